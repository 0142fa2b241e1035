"""What a flow is trained on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._target import Target

Condition = Mapping[str, float]


class Problem:
    """A target, the range of each control parameter, and samples or base conditions.

    ``target`` is a function made a target by :func:`tradeflow.target`, :func:`tradeflow.energy` or
    :func:`tradeflow.log_likelihood`, or a dict as the key ``target`` of a configuration file.

    ``ranges`` maps the name of each control parameter to its lowest and highest value.

    ``data`` is a list of pairs: a condition by name and the samples drawn there. Samples are an array of shape
    ``[n, dim]``, the path of an npy or npz file, or a number of samples that the target draws itself. Of a target
    with observations they are triples with an array of observations, one a row. Without data, samples come from
    an ensemble of walkers.

    ``bases`` is a list of conditions without data, for losses that need none.

    Every other key of a configuration file may be given by name, such as ``flow``, ``objectives``, ``train`` or
    ``evaluate``; what is left out is chosen from the problem.

    >>> problem = Problem({"double_well": {}}, {"temperature": (0.5, 2.0)}, data=[({"temperature": 1.0}, 1000)])
    >>> problem.config["data"]
    [{'at': {'temperature': 1.0}, 'from': {'exact': 1000}}]
    """

    def __init__(
        self,
        target: Target | Mapping[str, Any],
        ranges: Mapping[str, Sequence[float]],
        data: Sequence[Any] = (),
        bases: Sequence[Condition] = (),
        **settings: Any,
    ) -> None:
        if not isinstance(target, Target | Mapping):
            raise TypeError(
                f"the target is a {type(target).__name__}; decorate a function with @tradeflow.target, "
                "@tradeflow.energy or @tradeflow.log_likelihood, or give a dict"
            )
        self.target = target
        self.ranges = {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
        if isinstance(target, Target) and set(self.ranges) != set(target.controls):
            raise ValueError(
                f"`{target.name}` has the control parameters {', '.join(target.controls)}, but `ranges` names "
                f"{', '.join(self.ranges) or 'none'}"
            )
        if isinstance(data, tuple) and data and isinstance(data[0], Mapping):
            data = [data]
        dim = target.dim if isinstance(target, Target) else None
        self.data = [_entry(i, entry, dim) for i, entry in enumerate(data)]
        self.bases = [dict(base) for base in bases]
        self.settings = settings

    @classmethod
    def of(cls, config: Mapping[str, Any] | str | os.PathLike[str]) -> Problem:
        """Make a problem of a whole configuration, a dict or the path of a JSON file."""
        if not isinstance(config, Mapping):
            path = Path(config)
            config = json.loads(path.read_text(encoding="utf-8"))
            for entry in config.get("data", []):
                if "file" in entry.get("from", {}):
                    entry["from"]["file"] = str(path.parent.absolute() / entry["from"]["file"])
        return cls(**config)

    @property
    def config(self) -> dict[str, Any]:
        """The problem as a configuration states it; arrays are shown as their shapes."""
        return self._config([f"array of shape {list(e[1].shape)}" if isinstance(e[1], np.ndarray) else None for e in self.data])

    def _config(self, files: Sequence[str | None]) -> dict[str, Any]:
        """The configuration, with a file for each entry of the data that is an array."""
        target = self.target.config if isinstance(self.target, Target) else dict(self.target)
        data = [
            {"at": at, "from": source if file is None else {"file": file}}
            for (at, source, _), file in zip(self.data, files, strict=True)
        ]
        ranges = {name: list(ends) for name, ends in self.ranges.items()}
        return {"target": target, "ranges": ranges, "data": data, "bases": self.bases, **self.settings}

    def _write(self, folder: Path) -> list[str | None]:
        """Write the arrays of the data beside a run, and compare them with what an earlier training wrote."""
        files: list[str | None] = []
        for i, (_, x, y) in enumerate(self.data):
            if not isinstance(x, np.ndarray):
                files.append(None)
                continue
            path = folder.absolute() / (f"data-{i}.npy" if y is None else f"data-{i}.npz")
            files.append(str(path))
            if path.exists():
                if not _holds(path, x, y):
                    raise ValueError(f"data[{i}] differs from {path}, which the run was started with")
                continue
            folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".part{path.suffix}")
            if y is None:
                np.save(part, x)
            else:
                np.savez(part, theta=x, y=y)
            os.replace(part, path)
        return files

    def _states(self) -> np.ndarray | None:
        """States to check a score at: those of the data, if there are any."""
        arrays = [x for _, x, _ in self.data if isinstance(x, np.ndarray)]
        return np.concatenate(arrays) if arrays else None


def _holds(path: Path, x: np.ndarray, y: np.ndarray | None) -> bool:
    if y is None:
        return np.array_equal(np.load(path), x)
    with np.load(path) as found:
        return np.array_equal(found["theta"], x) and np.array_equal(found["y"], y)


def _entry(i: int, entry: Any, dim: int | None) -> tuple[dict[str, float], Any, np.ndarray | None]:
    """A condition, and an array with its observations or what a configuration says of it."""
    if isinstance(entry, Mapping):
        return dict(entry["at"]), dict(entry["from"]), None
    if not isinstance(entry, Sequence) or len(entry) not in (2, 3) or not isinstance(entry[0], Mapping):
        raise TypeError(f"data[{i}] must be a pair such as ({{'T': 1.0}}, samples)")
    at = {name: float(value) for name, value in entry[0].items()}
    samples = entry[1]
    if isinstance(samples, str | os.PathLike):
        return at, {"file": str(Path(samples).absolute())}, None
    if isinstance(samples, int | np.integer):
        return at, {"exact": int(samples)}, None
    x = _samples(f"data[{i}]", samples, dim)
    y = _samples(f"the observations of data[{i}]", entry[2], None) if len(entry) == 3 else None
    if y is not None and len(x) != len(y):
        raise ValueError(f"data[{i}] has {len(x)} states, but {len(y)} observations")
    return at, x, y


def _samples(what: str, samples: Any, dim: int | None) -> np.ndarray:
    x = np.asarray(samples)
    if x.dtype.kind not in "fiu":
        raise TypeError(f"{what} must be real numbers, found {x.dtype}")
    if x.ndim == 1 and dim in (None, 1):
        x = x[:, None]
    if x.ndim != 2 or (dim is not None and x.shape[1] != dim):
        width = "dim" if dim is None else dim
        raise ValueError(f"{what} must have the shape [n, {width}], found {list(x.shape)}")
    if len(x) == 0:
        raise ValueError(f"{what} is empty; give samples, or leave the entry out")
    x = np.array(x, dtype=np.float64, order="C")
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if bad.size:
        raise ValueError(f"{what} has {bad.size} rows with NaN or infinity, first row {bad[0]}; remove them")
    return x
