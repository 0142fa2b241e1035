"""What is to be learned."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ._native import TradeError
from ._numbers import number, rows
from ._target import Target


class Problem:
    """A target, the range of each control parameter, and data or base conditions if there are any.

    ``target`` is a :class:`Target` or a target's configuration as a dict, such as
    ``{"double_well": {}}``. ``ranges`` maps names of control parameters to ``(low, high)``. ``data`` is a pair
    ``(condition, samples)``, a triple ``(condition, samples, observations)``, or a list of such; conditions
    are dicts and samples are anything that NumPy takes, of shape ``[n, dim]``. Entries of a configuration,
    ``{"at": …, "from": …}``, are taken too. ``bases`` are conditions without data. All other parts of a
    configuration may be given by name: ``flow``, ``objectives``, ``train``, ``pilot``, ``selection``,
    ``max_calls``, ``evaluate``. What is left out is chosen.

    >>> problem = Problem({"double_well": {}}, {"temperature": (0.5, 1.1)},
    ...                   data=({"temperature": 1.0}, [[0.1, 0.2], [0.3, 0.1]]))
    >>> problem.configuration["ranges"]
    {'temperature': [0.5, 1.1]}
    """

    def __init__(
        self,
        target: Target | Mapping[str, Any],
        ranges: Mapping[str, Sequence[float]],
        data: Any = None,
        bases: Sequence[Mapping[str, float]] | Mapping[str, float] | None = None,
        **parts: Any,
    ) -> None:
        known = {"flow", "objectives", "train", "pilot", "selection", "max_calls", "evaluate"}
        for name in parts:
            if name not in known:
                raise TypeError(f"`{name}` is no part of a problem; the parts are {', '.join(sorted(known))}")
        self.target = target if isinstance(target, Target) else None
        if self.target is None and not isinstance(target, Mapping):
            raise TypeError(
                "`target` must be a Target or a configuration; decorate the function with @tradeflow.target, "
                "@tradeflow.energy or @tradeflow.log_likelihood"
            )
        self._arrays: list[tuple[dict[str, float], NDArray[np.float64], NDArray[np.float64] | None]] = []
        entries: list[Any] = []
        for entry in _entries(data):
            if isinstance(entry, Mapping):
                entries.append(dict(entry))
                continue
            at, x, *rest = entry
            states = rows(x, "data", self.target.dim if self.target else None)
            observed = rows(rest[0], "observations", None) if rest else None
            if observed is not None and self.target is not None:
                raise TradeError("data: a target that is a function has no observations; leave them out")
            if observed is not None and len(observed) != len(states):
                raise TradeError(f"data: {len(states)} states, but {len(observed)} observations")
            self._arrays.append((_condition(at), states, observed))
        if isinstance(bases, Mapping):
            bases = [bases]
        #: The configuration without the data that are arrays.
        self.configuration: dict[str, Any] = {
            "target": self.target._config() if self.target else dict(target),  # type: ignore[arg-type]
            "ranges": _ranges(ranges),
            "data": entries,
            "bases": [_condition(base) for base in bases or []],
            **{name: part for name, part in parts.items() if part is not None},
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | os.PathLike[str]) -> Problem:
        """The problem of a whole configuration: a dict, or a JSON file. Its ``seed`` is that of :func:`train`."""
        if not isinstance(config, Mapping):
            path = Path(config)
            problem = cls.from_config(json.loads(path.read_text(encoding="utf-8-sig")))
            problem._base = str(path.resolve().parent)
            return problem
        for part in ("target", "ranges"):
            if part not in config:
                raise TradeError(f"the configuration has no `{part}`")
        parts = {k: v for k, v in config.items() if k not in ("target", "ranges", "data", "bases", "seed")}
        problem = cls(config["target"], config["ranges"], config.get("data"), config.get("bases"), **parts)
        problem._seed = int(config.get("seed", 0))
        return problem

    _base: str | None = None
    _seed: int = 0

    def _check(self) -> None:
        """Calls the target's function before any training."""
        if self.target is None:
            return
        missing = [name for name in self.target.controls if name not in self.configuration["ranges"]]
        if missing:
            raise TradeError(f"`ranges.{missing[0]}` is missing; give (low, high)")
        for at, x, _ in self._arrays:
            if set(at) == set(self.target.controls):
                self.target._check_data(at, x)
        points = self._arrays[0][1] if self._arrays else None
        self.target._check(self.configuration["ranges"], points)

    def _written(self, folder: Path, seed: int | None) -> str:
        """The configuration as JSON, with the arrays written into the run's folder."""
        config = dict(self.configuration)
        config["seed"] = self._seed if seed is None else int(seed)
        config["data"] = list(config["data"])
        for i, (at, x, y) in enumerate(self._arrays):
            file = folder / f"data-{i}.{'npy' if y is None else 'npz'}"
            _write(file, x, y)
            config["data"].append({"at": at, "from": {"file": str(file)}})
        return json.dumps(config, default=_plain)


def _entries(data: Any) -> list[Any]:
    if data is None:
        return []
    if isinstance(data, Mapping):
        return [data]
    entries = list(data)
    if len(entries) in (2, 3) and isinstance(entries[0], Mapping) and not isinstance(entries[1], Mapping):
        if not isinstance(entries[1], tuple):
            return [tuple(entries)]
    return entries


def _ranges(ranges: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    if not isinstance(ranges, Mapping):
        raise TypeError(f"`ranges` is a dict such as {{'T': (0.5, 2.0)}}, found {type(ranges).__name__}")
    found = {}
    for name, ends in ranges.items():
        ends = np.asarray(ends).tolist()
        if not isinstance(ends, list) or len(ends) != 2:
            raise TypeError(f"`ranges.{name}`: expected (low, high), found {ends!r}")
        low, high = (number(end, f"`ranges.{name}`") for end in ends)
        if not -np.inf < low < high < np.inf:
            raise ValueError(f"`ranges.{name}`: expected low < high, found ({low}, {high})")
        found[name] = [low, high]
    return found


def _condition(at: Mapping[str, float]) -> dict[str, float]:
    if not isinstance(at, Mapping):
        raise TypeError(f"a condition is a dict such as {{'T': 1.0}}, found {type(at).__name__}")
    return {name: number(value, f"condition `{name}`") for name, value in at.items()}


def _write(file: Path, x: NDArray[np.float64], y: NDArray[np.float64] | None) -> None:
    """Writes data once; a run that goes on must have the same."""
    if file.exists():
        kept = np.load(file)
        same = np.array_equal(kept, x) if y is None else np.array_equal(kept["x"], x) and np.array_equal(kept["y"], y)
        if not same:
            raise TradeError(f"{file} holds other data than the problem; choose another folder with `out`")
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    if y is None:
        np.save(file, x)
    else:
        np.savez(file, x=x, y=y)


def _plain(value: Any) -> Any:
    """NumPy's numbers and paths in a configuration."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a configuration cannot hold {type(value).__name__}")
