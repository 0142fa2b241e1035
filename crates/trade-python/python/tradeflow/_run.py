"""Trained runs."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from ._target import Target

if TYPE_CHECKING:
    import pandas


class Run:
    """A trained run; :func:`tradeflow.train` gives one, and :meth:`open` reads one from its folder."""

    def __init__(self, native: _native.Run, folder: Path, target: Target | None) -> None:
        self._native = native
        self._target = target
        self.folder = folder

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str],
        target: Target | None = None,
        *,
        device: str = "",
        changed: bool = False,
    ) -> Run:
        """Open a run that Python or the tool trained.

        If its target is a function in Python, ``target`` is that function. Without it samples have no weights.
        A function whose source has changed is refused, unless ``changed`` is true.
        """
        folder = Path(folder)
        native = _native.Run.open(folder, target=target, device=device)
        if target is not None:
            was = json.loads(native.config())["target"].get("external")
            if was is None:
                raise ValueError(f"{folder}: the target of this run is no function in Python; leave out `target`")
            if was["source"] != target.source and not changed:
                raise ValueError(
                    f"{folder}: the run was trained with another source of `{was['name']}`; pass changed=True to use "
                    "the new one"
                )
        return cls(native, folder, target)

    def __repr__(self) -> str:
        ends = ", ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in self.ranges.items())
        return f"<run {self.folder}: {self.dim} dimensions, {ends}>"

    @property
    def config(self) -> dict[str, Any]:
        """The complete configuration of the run."""
        return json.loads(self._native.config())

    @property
    def dim(self) -> int:
        """The dimension of a state."""
        return self._native.dim

    @property
    def controls(self) -> list[str]:
        """The names of the control parameters."""
        return self._native.controls

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The trained range of each control parameter."""
        return dict(zip(self.controls, self._native.ranges, strict=True))

    def at(self, condition: Mapping[str, float] | None = None, /, **named: float) -> At:
        """Give the flow at a condition: ``run.at(T=0.5)``, or a dict if a name is no Python name."""
        c = {**(condition or {}), **named}
        return At(self, self._ordered(c))

    def evaluate(self, seed: int = 0) -> Table:
        """Measure ESS, ``log Z`` and, where the truth is known, NLL and KL over the range.

        The result is also written into the folder ``report`` of the run, as by ``trade evaluate``.
        """
        found, text, verdict = self._native.evaluate(seed)
        rows = json.loads(found)["at"]
        return Table(_columns(self.controls, rows), f"{text}\n{verdict}", verdict)

    def free_energy(
        self,
        from_: Mapping[str, float],
        to: Mapping[str, float],
        *,
        points: int = 21,
        samples: int = 10_000,
        seed: int = 0,
    ) -> Table:
        """Compute ``log Z(c) - log Z(from_)`` on a straight path, by weights and by an integral, with errors."""
        found, verdict = self._native.free_energy(self._ordered(from_), self._ordered(to), points, samples, seed)
        return Table(_columns(self.controls, json.loads(found)), None, verdict)

    def evidence(self, at: Sequence[float] = (), *, points: int = 17, samples: int = 2000, seed: int = 0) -> Table:
        """Measure ``log Z`` of a posterior stated as text at every power of its likelihood, absolute.

        Of a log likelihood in Python, :meth:`free_energy` from the power 0 gives the same number.
        """
        found = json.loads(self._native.evidence([float(a) for a in at], points, samples, seed))
        rows = [{"condition": [row.pop("beta")], **row} for row in found["at"]]
        return Table(_columns(self.controls, rows), None, "")

    def plot(self, seed: int = 0) -> Plots:
        """Draw the figures of ``trade plot``; a notebook shows them."""
        figures, notes = self._native.plot(seed)
        return Plots({stem: Figure(figure) for stem, figure in figures}, notes)

    def _ordered(self, condition: Mapping[str, float]) -> list[float]:
        controls = self.controls
        unknown = [name for name in condition if name not in controls]
        if unknown:
            raise ValueError(f"unknown control parameter `{unknown[0]}`; the target has {', '.join(controls)}")
        missing = [name for name in controls if name not in condition]
        if missing:
            raise ValueError(f"no value for `{missing[0]}`; give all of {', '.join(controls)}")
        return [float(condition[name]) for name in controls]


class At:
    """A trained flow at one condition."""

    def __init__(self, run: Run, c: list[float], observation: list[float] | None = None) -> None:
        self._run, self._c, self._observation = run, c, observation

    def given(self, observation: ArrayLike) -> At:
        """Give the flow of a posterior its observation."""
        return At(self._run, self._c, [float(y) for y in np.ravel(np.asarray(observation))])

    def sample(self, n: int, seed: int = 0) -> Samples:
        """Draw ``n`` independent samples; with the same seed they are those of ``trade sample``."""
        said = self._run._native.warning(self._c)
        if said is not None:
            warnings.warn(said, stacklevel=2)
        if n < 1:
            raise ValueError(f"at least one sample is needed, found {n}")
        return Samples(*self._run._native.sample(self._c, int(n), seed, self._observation))

    def log_prob(self, x: ArrayLike, seed: int = 0) -> NDArray[np.float64]:
        """Evaluate the normalised log density of the flow at states ``[n, dim]``, in single precision."""
        return self._run._native.log_prob(self._c, self._states(x), seed, self._observation)

    def log_density(self, x: ArrayLike) -> NDArray[np.float64]:
        """Evaluate the target's ``log q`` at states ``[n, dim]``."""
        return self._run._native.log_density(self._c, self._states(x), self._observation)

    def _states(self, x: ArrayLike) -> NDArray[np.float32]:
        states = np.asarray(x)
        if states.dtype.kind not in "fiu":
            raise TypeError(f"states must be real numbers, found {states.dtype}")
        if states.ndim != 2:
            raise ValueError(f"states must have the shape [n, {self._run.dim}], found {list(states.shape)}")
        return np.ascontiguousarray(states, dtype=np.float32)


class Samples:
    """Independent samples of a flow at one condition.

    ``x`` has the shape ``[n, dim]``, in single precision as the flow computes; ``log_prob`` is the exact log density
    of the flow at each; ``log_weight`` is ``log q - log_prob``, or ``None`` where the target is not known.
    """

    def __init__(
        self, x: NDArray[np.float32], log_prob: NDArray[np.float64], log_weight: NDArray[np.float64] | None
    ) -> None:
        self.x, self.log_prob, self.log_weight = x, log_prob, log_weight

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        ess = "" if self.log_weight is None else f", relative ESS {self.ess:.3f}"
        return f"<{len(self)} samples of {self.x.shape[1]} dimensions{ess}>"

    @cached_property
    def _weighed(self) -> tuple[float, float, float, float, float | None]:
        if self.log_weight is None:
            raise ValueError("the target's density is not known here, so samples have no weights; open with target=")
        return _native.weigh(self.log_weight)

    @property
    def ess(self) -> float:
        """The relative effective sample size of the weights, between 1/n and 1."""
        return self._weighed[0]

    @property
    def ess_error(self) -> float:
        """Its error, one standard deviation."""
        return self._weighed[1]

    @property
    def log_z(self) -> float:
        """The logarithm of the mean weight, an estimate of the target's ``log Z``."""
        return self._weighed[2]

    @property
    def log_z_error(self) -> float:
        """Its error, one standard deviation."""
        return self._weighed[3]

    @property
    def pareto_k(self) -> float | None:
        """The Pareto shape of the weights; above 0.7 ESS and ``log Z`` mean little."""
        return self._weighed[4]


class Table(dict[str, Any]):
    """Columns by name, each an array; ``verdict`` says in a sentence what they mean."""

    def __init__(self, columns: dict[str, Any], text: str | None, verdict: str) -> None:
        super().__init__(columns)
        self._text, self.verdict = text, verdict

    def to_pandas(self) -> pandas.DataFrame:
        """Give the table as a data frame."""
        import pandas

        return pandas.DataFrame(dict(self))

    def __repr__(self) -> str:
        if self._text is not None:
            return self._text
        names = list(self)
        rows = [[f"{v:.5g}" if isinstance(v, float) else str(v) for v in row] for row in zip(*self.values(), strict=True)]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in [names, *rows]]
        return "\n".join([*lines, self.verdict]).rstrip()


def _columns(controls: Sequence[str], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows of JSON as columns; columns of nothing are left out."""
    c = [row.pop("condition") for row in rows]
    columns: dict[str, Any] = {name: np.array([value[i] for value in c]) for i, name in enumerate(controls)}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if all(value is None for value in values):
            continue
        if all(isinstance(value, bool) for value in values):
            columns[name] = np.array(values)
        else:
            columns[name] = np.array([np.nan if value is None else value for value in values], dtype=float)
    return columns


class Figure:
    """A figure, which a notebook shows."""

    def __init__(self, native: _native.Figure) -> None:
        self._native = native

    @property
    def svg(self) -> str:
        """The text of the figure as an SVG file."""
        return self._native.svg()

    def _repr_html_(self) -> str:
        return self.svg

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the figure to a file, .svg or .png."""
        self._native.save(Path(file))


class Plots(Mapping[str, Figure]):
    """Figures by name, which a notebook shows; ``notes`` says what is not in them."""

    def __init__(self, figures: dict[str, Figure], notes: list[str]) -> None:
        self._figures, self.notes = figures, notes

    def __getitem__(self, name: str) -> Figure:
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def __repr__(self) -> str:
        return f"<figures {', '.join(self)}>"

    def _repr_html_(self) -> str:
        return "\n".join(figure.svg for figure in self.values())

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write each figure as SVG and as PNG into a folder."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, figure in self.items():
            figure.save(Path(folder) / f"{name}.svg")
            figure.save(Path(folder) / f"{name}.png")
