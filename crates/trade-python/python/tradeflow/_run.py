"""Training, and what a trained flow gives."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import tempfile
import warnings
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._native import TradeError
from ._numbers import REAL, broken, number, whole
from ._problem import Problem
from ._target import Target


def train(
    problem: Problem,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    init_from: str | os.PathLike[str] | Run | None = None,
    progress: bool | Callable[[dict[str, Any]], None] = True,
    device: str = "flex",
    accept_changed_target: bool = False,
) -> Run:
    """Trains a flow, for five minutes at most or as ``minutes`` or ``steps`` say.

    The run is kept in the folder ``out``; without it in a folder that is deleted with the returned object.
    With ``resume`` a training that was stopped in ``out`` goes on. ``init_from`` is a trained run, or its folder,
    whose weights this training starts from wherever names and shapes are the same. ``progress`` is whether a bar is drawn on
    the terminal, or a function that gets each report as a dict. Ctrl-C and an exception in a function of
    the problem end the training with a checkpoint; the exception says where. A target whose source has
    changed since the run began is refused unless ``accept_changed_target``.

    >>> from tradeflow import Problem
    >>> run = train(Problem({"double_well": {}}, {"temperature": (0.5, 1.1)},
    ...                     data={"at": {"temperature": 1.0}, "from": {"exact": 1000}}),
    ...             steps=20, progress=False)
    >>> run.controls
    ['temperature']
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"`problem` must be a Problem, found {type(problem).__name__}")
    if minutes is not None and steps is not None:
        raise TypeError("the length of training is given by one of `minutes` and `steps`")
    steps = None if steps is None else whole(steps, "steps", 1)
    seed = None if seed is None else whole(seed, "seed", 0)
    if minutes is not None and not 0 < number(minutes, "minutes") < np.inf:
        raise ValueError(f"minutes: expected a number above 0, found {minutes}")
    if resume and out is None:
        raise TypeError("`resume` needs the folder `out`")
    problem._check()
    temporary = out is None
    folder = Path(tempfile.mkdtemp(prefix="tradeflow-")) if temporary else Path(os.path.abspath(out))  # type: ignore[arg-type]
    watch = (lambda text: progress(json.loads(text))) if callable(progress) else None
    try:
        if not resume and (folder / "config.json").exists():
            raise TradeError(
                f"{folder} already holds a run; go on with resume=True, open it with Run.open, or choose "
                "another folder with `out`"
            )
        native = _native.train(
            problem._written(folder, seed),
            problem._base or os.getcwd(),
            problem.target,
            str(folder),
            minutes,
            steps,
            resume,
            None if init_from is None else os.path.abspath(getattr(init_from, "path", init_from)),
            accept_changed_target,
            device,
            progress is not True,
            watch,
        )
    except BaseException as error:
        kept = any((folder / "checkpoints").glob("*")) if (folder / "checkpoints").is_dir() else False
        if kept:
            _note(error, f"The training has a checkpoint; train(problem, out={str(folder)!r}, resume=True) goes on.")
        elif temporary:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return Run(native, folder, temporary)


def _note(error: BaseException, text: str) -> None:
    if hasattr(error, "add_note"):
        error.add_note(text)
    else:  # Python 3.10
        warnings.warn(text, RuntimeWarning, stacklevel=3)


class Run:
    """A trained flow with its target.

    :func:`train` and :meth:`Run.open` make one. The tool ``trade`` opens the same folder.

    >>> from tradeflow import Problem
    >>> data = {"at": {"temperature": 1.0}, "from": {"exact": 1000}}
    >>> run = train(Problem({"double_well": {}}, {"temperature": (0.5, 1.1)}, data=data), steps=20, progress=False)
    >>> samples = run.at(temperature=0.7).sample(500, seed=1)
    >>> bool(np.allclose(run.at(temperature=0.7).log_prob(samples.x), samples.log_prob, atol=1e-5))
    True
    >>> path = run.free_energy({"temperature": 1.0}, {"temperature": 0.6}, points=3, samples=500)
    >>> np.asarray(path["temperature"]).round(6).tolist()
    [1.0, 0.8, 0.6]
    >>> sorted(run.plot())[:2]
    ['marginals', 'marginals-high']
    """

    def __init__(self, native: _native.NativeRun, path: Path, temporary: bool = False) -> None:
        self._native = native
        #: The folder of the run.
        self.path = path
        if temporary:
            weakref.finalize(self, shutil.rmtree, path, True)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        target: Target | None = None,
        *,
        device: str = "flex",
        accept_changed_target: bool = False,
    ) -> Run:
        """Opens a run of this module or of the tool.

        A run whose target is a function needs it for importance weights and for whatever is measured by them;
        without it the flow can be sampled, and its density is known.
        """
        folder = Path(os.path.abspath(path))
        if target is not None and (folder / "config.json").is_file():
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            external = config["target"].get("external")
            if external is None:
                raise TradeError(f"the target of {folder} is no function; open it without `target`")
            ours = target._config()["external"]
            for part in ("dim", "controls", "form", "support"):
                if ours[part] != external[part]:
                    raise TradeError(
                        f"`{target.name}` has {part} {ours[part]}, and the target of {folder} has {external[part]}"
                    )
            if external["source"] != target.source and not accept_changed_target:
                raise TradeError(
                    f"the source of `{target.name}` is another one than {folder} was trained with; pass the "
                    "former one, or accept_changed_target=True"
                )
        return cls(_native.open(folder, target, device), folder)

    def _weighed(self) -> None:
        """Refuses what needs importance weights where the function is missing."""
        if not self._native.is_known() and (external := self.config["target"].get("external")):
            raise TradeError(
                f"the target of {self.path} is the function `{external['name']}`; open the run with it: "
                "Run.open(path, target=f)"
            )

    @property
    def config(self) -> dict[str, Any]:
        """The complete configuration."""
        found: dict[str, Any] = json.loads(self._native.config())
        return found

    @property
    def controls(self) -> list[str]:
        """The names of the control parameters."""
        return self._native.controls()

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The trained range of each control parameter."""
        return dict(zip(self.controls, self._native.ranges()))

    def __repr__(self) -> str:
        ranges = ", ".join(f"{name}=[{low:g}, {high:g}]" for name, (low, high) in self.ranges.items())
        return f"<tradeflow.Run {ranges} in {self.path}>"

    def at(self, condition: Mapping[str, float] | None = None, /, **named: float) -> At:
        """The flow at a condition: ``run.at(T=0.5)`` or ``run.at({"T": 0.5})``. Warns outside of the range."""
        if condition and (twice := set(condition) & set(named)):
            raise TypeError(f"`{twice.pop()}` is given twice")
        c = self._condition({**(condition or {}), **named})
        warning = self._native.warning(c)
        if warning:
            warnings.warn(warning, RuntimeWarning, stacklevel=2)
        return At(self, c, None)

    def _condition(self, named: Mapping[str, float]) -> list[float]:
        controls = self.controls
        unknown = [name for name in named if name not in controls]
        if unknown:
            raise TradeError(f"unknown control parameter `{unknown[0]}`; the target has {', '.join(controls)}")
        missing = [name for name in controls if name not in named]
        if missing:
            raise TradeError(f"no value for `{missing[0]}`")
        return [number(named[name], f"condition `{name}`") for name in controls]

    def evaluate(self, seed: int = 0) -> Any:
        """Measures the run as ``trade evaluate`` does, and writes its report.

        The result has a row for each condition: a ``pandas.DataFrame`` where pandas is installed, and a
        dict of arrays otherwise; both give a column by name.
        """
        self._weighed()
        found = json.loads(self._native.evaluate(whole(seed, "seed", 0))[0])
        columns: dict[str, Any] = {}
        for i, name in enumerate(found["controls"]):
            columns[name] = np.array([row["condition"][i] for row in found["at"]])
        for name in (name for name in found["at"][0] if name != "condition"):
            values = [row[name] for row in found["at"]]
            kind = object if name == "fit" else float
            columns[name] = np.array([np.nan if v is None and name != "fit" else v for v in values], dtype=kind)
        return _frame(columns)

    def verdict(self, seed: int = 0) -> str:
        """Measures the run, and says in sentences where it is fit for importance weights."""
        self._weighed()
        return self._native.evaluate(whole(seed, "seed", 0))[1]

    def free_energy(
        self,
        start: Mapping[str, float],
        end: Mapping[str, float],
        *,
        points: int = 21,
        samples: int = 10_000,
        seed: int = 0,
    ) -> Any:
        """``log Z`` along the straight path between two conditions, less that at its start, with errors.

        A table as of :meth:`evaluate`: by weights, by integration, and exact where that is known.
        """
        self._weighed()
        path = json.loads(
            self._native.free_energy(
                self._condition(start),
                self._condition(end),
                whole(points, "points", 2),
                whole(samples, "samples", 1),
                whole(seed, "seed", 0),
            )
        )
        return _table(path, self.controls)

    def evidence(
        self, at: Sequence[float] = (), *, points: int = 17, samples: int = 3000, seed: int = 0
    ) -> Any:
        """The log evidence of a posterior at every power of its likelihood, with errors, as a table."""
        self._weighed()
        powers = [number(b, "at") for b in np.atleast_1d(np.asarray(at))]
        counts = whole(points, "points", 5), whole(samples, "samples", 100), whole(seed, "seed", 0)
        found = json.loads(self._native.evidence(powers, *counts))
        return _table(found["at"], [])

    def plot(self, seed: int = 0) -> Figures:
        """The tool's own figures of this run, which a notebook shows."""
        self._weighed()
        return Figures(self._native.plots(whole(seed, "seed", 0)))

    def to_arviz(self, n: int = 4000, *, chains: int = 4, seed: int = 0, **condition: float) -> Any:
        """Independent samples at a condition as ArviZ takes them, resampled by their weights.

        Without a condition a posterior is that at the power 1. ``sample_stats`` has the log density under
        the flow, and the attributes of the posterior the condition and, where it is known, ``log Z`` with
        its error: the log evidence of a posterior.
        """
        try:
            import arviz
        except ImportError as error:
            raise ImportError("to_arviz needs ArviZ: pip install arviz") from error
        chains = whole(chains, "chains", 1)
        n = whole(n, "n", chains)
        if not condition and len(self.controls) == 1:
            low, high = self.ranges[self.controls[0]]
            condition = {self.controls[0]: min(max(1.0, low), high)}
        samples = self.at(condition).sample(n - n % chains, seed=seed)
        attrs: dict[str, Any] = {name: float(value) for name, value in condition.items()}
        if samples.log_weight is not None:
            attrs["log_z"], attrs["log_z_error"] = samples.log_z
            attrs["ess"] = samples.ess
            samples = samples.resample(seed=seed)
        x = samples.x.astype(np.float64).reshape(chains, -1, samples.x.shape[1])
        posterior, stats = {"x": x}, {"lp": samples.log_prob.reshape(chains, -1)}
        if "posterior" in inspect.signature(arviz.from_dict).parameters:  # before 1.0
            found = arviz.from_dict(posterior=posterior, sample_stats=stats)
        else:
            found = arviz.from_dict({"posterior": posterior, "sample_stats": stats})
        found["posterior"].attrs.update(attrs)
        return found


class At:
    """A flow at one condition; see :meth:`Run.at`."""

    def __init__(self, run: Run, condition: list[float], given: list[float] | None) -> None:
        self._run, self._condition, self._given = run, condition, given

    def given(self, observation: Sequence[float]) -> At:
        """The same with an observation, for a flow that is given one."""
        given = [number(y, "observation") for y in np.asarray(observation).ravel()]
        return At(self._run, self._condition, given)

    def sample(self, n: int, *, seed: int = 0) -> Samples:
        """Draws ``n`` independent samples; those of one seed and device are the tool's, bit for bit."""
        n, seed = whole(n, "n", 1), whole(seed, "seed", 0)
        return Samples(*self._run._native.sample(self._condition, self._given, n, seed))

    def log_prob(self, x: Any, *, seed: int = 0) -> NDArray[np.float64]:
        """``log p`` of states ``[n, dim]`` under the flow."""
        seed = whole(seed, "seed", 0)
        return self._run._native.log_prob(self._states(x), self._condition, self._given, seed)

    def log_density(self, x: Any) -> NDArray[np.float64]:
        """The target's own ``log q`` of states ``[n, dim]``, which is not normalised."""
        return self._run._native.log_density(self._states(x), self._condition, self._given)

    def _states(self, x: Any) -> NDArray[np.float32]:
        array = np.asarray(x)
        dim = self._run.config["flow"]["dim"]
        if array.dtype.kind not in REAL:
            raise TypeError(f"x: expected real numbers, found dtype {array.dtype}")
        if array.ndim != 2 or array.shape[1] != dim:
            raise ValueError(f"x: expected shape [n, {dim}], found {list(array.shape)}")
        with np.errstate(over="ignore"):
            states = np.ascontiguousarray(array, dtype=np.float32)
        bad = broken(states)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(f"x: row {row} is not finite in single precision, found {array[row].tolist()}")
        return states.reshape(-1)


@dataclass(frozen=True)
class Samples:
    """Independent samples of a flow at one condition.

    >>> samples = Samples(np.zeros((2, 1), np.float32), np.zeros(2), np.log([1.0, 3.0]))
    >>> samples.weights.round(6).tolist(), round(samples.ess, 6)
    ([0.25, 0.75], 0.8)
    >>> bool(abs(samples.log_z[0] - np.log(2.0)) < 1e-12)
    True
    >>> len(samples.resample(10))
    10
    """

    #: The states, ``[n, dim]``, in single precision as the flow computes them.
    x: NDArray[np.float32]
    #: ``log p`` of each under the flow.
    log_prob: NDArray[np.float64]
    #: ``log q - log p`` of each; ``None`` where the target's density is not known.
    log_weight: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.log_prob)

    def _weights(self) -> NDArray[np.float64]:
        if self.log_weight is None:
            raise TradeError(
                "these samples have no weights: they were resampled, or the target's density is not known here; a "
                "run whose target is a function is opened with it: Run.open(path, target=f)"
            )
        return self.log_weight

    @property
    def ess(self) -> float:
        """The relative effective sample size of the weights, between 1/n and 1."""
        return _native.relative_ess(self._weights())[0]

    @property
    def ess_error(self) -> float:
        """The bootstrap error of :attr:`ess`."""
        return _native.relative_ess(self._weights())[1]

    @property
    def log_z(self) -> tuple[float, float]:
        """``log Z`` of the target at this condition, and its standard error."""
        return _native.log_z(self._weights())

    @property
    def pareto_k(self) -> float | None:
        """The Pareto shape of the weights; above 0.7 they are not to be trusted."""
        return _native.pareto_k(self._weights())

    @property
    def weights(self) -> NDArray[np.float64]:
        """The importance weights, which sum to 1."""
        weights: NDArray[np.float64] = np.exp(self._weights() - self._weights().max())
        return np.asarray(weights / weights.sum())

    def resample(self, n: int | None = None, *, seed: int = 0) -> Samples:
        """``n`` of the samples, drawn by their weights; these are exact up to the effective sample size."""
        stream = np.random.default_rng(seed)
        size = len(self) if n is None else whole(n, "n", 1)
        rows = stream.choice(len(self), size=size, p=self.weights)
        return Samples(self.x[rows], self.log_prob[rows], None)


class Figures(dict):  # type: ignore[type-arg]
    """Figures as SVG, by name; a notebook shows them all."""

    def _repr_html_(self) -> str:
        return "".join(f"<div>{svg}</div>" for svg in self.values())

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes each figure as ``name.svg`` into a folder."""
        os.makedirs(folder, exist_ok=True)
        for name, svg in self.items():
            (Path(folder) / f"{name}.svg").write_text(svg, encoding="utf-8")


def _table(rows: list[dict[str, Any]], controls: list[str]) -> Any:
    columns: dict[str, Any] = {}
    for i, name in enumerate(controls):
        columns[name] = np.array([row["condition"][i] for row in rows])
    for name in (name for name in rows[0] if name != "condition"):
        columns[name] = np.array([np.nan if row[name] is None else row[name] for row in rows])
    return _frame(columns)


def _frame(columns: dict[str, Any]) -> Any:
    try:
        import pandas
    except ImportError:
        return columns
    return pandas.DataFrame(columns)
