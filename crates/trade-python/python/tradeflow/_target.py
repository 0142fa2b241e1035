"""Targets that are functions in Python."""

from __future__ import annotations

import functools
import hashlib
import inspect
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ._numbers import REAL, broken, number, whole

Function = Callable[..., Any]

#: Steps of the differences that a score is checked by, in units of the range.
_STEPS = (1e-2, 1e-3, 1e-4)
#: The part of the points that may miss, for a density may have kinks.
_MISSES = 0.1


@dataclass(eq=False)
class Target:
    """A family of densities that a Python function computes, in batches.

    The decorators :func:`target`, :func:`energy` and :func:`log_likelihood` make one. It can be called
    as the function itself.
    """

    function: Function
    form: str
    dim: int
    controls: list[str]
    prior: list[Any] = field(default_factory=list)
    support: list[Any] = field(default_factory=list)
    grad: Function | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"a target is made of a function, found {type(self.function).__name__}")
        self.dim = whole(self.dim, "dim", 1)
        if not self.controls or not all(isinstance(name, str) and name for name in self.controls):
            raise TypeError(f"controls: expected at least one name, found {self.controls!r}")
        if len(set(self.controls)) < len(self.controls):
            raise ValueError(f"controls: a name stands twice in {self.controls!r}")

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    @property
    def name(self) -> str:
        """The name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    @property
    def source(self) -> str:
        """A hash of the function's source, or of ``version`` where that was given."""
        text = self.version if self.version is not None else _source(self.function)
        return hashlib.sha256(text.encode()).hexdigest()

    def _config(self) -> dict[str, Any]:
        form: Any = {"likelihood": self.prior} if self.form == "likelihood" else self.form
        return {
            "external": {
                "name": self.name,
                "dim": self.dim,
                "controls": self.controls,
                "form": form,
                "support": self.support,
                "differentiable": self.grad is not None,
                "source": self.source,
            }
        }

    def _values(
        self, x: NDArray[np.float64], c: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, str] | None]:
        """The values of a batch and their scores, checked; called by the compiled part.

        A state whose value is no number has no density in what is returned. How many these are and a
        sentence about the first are the third entry, which the caller warns of.
        """
        n = len(x)
        if self.form != "density":
            value = self._checked(self.function(x), (n,), "a value")
            nothing = -np.inf if self.form == "likelihood" else np.inf
            value, undefined = self._without_nan(value, x, c, nothing)
            return value, np.empty(0), undefined
        found = self.function(x, c)
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise TypeError(
                f"`{self.name}` returned {type(found).__name__}, expected a pair (log_q, score) of arrays "
                f"of shapes ({n},) and ({n}, {len(self.controls)})"
            )
        value = self._checked(found[0], (n,), "log_q")
        k = len(self.controls)
        score = np.asarray(found[1])
        if k == 1 and score.shape == (n,):
            score = score[:, None]
        score = self._checked(score, (n, k), "score")
        value, undefined = self._without_nan(value, x, c, -np.inf)
        without = value == -np.inf
        if without.any():
            score = np.where(without[:, None], 0.0, score)
        bad = broken(score)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"`{self.name}` returned the score {score[row].tolist()} with a finite log_q at "
                f"{self._place(x, c, row)}; return -inf as log_q where there is no density"
            )
        return value, np.ascontiguousarray(score), undefined

    def _slopes(
        self, x: NDArray[np.float64], c: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        if self.grad is None:
            return None
        found = self.grad(x, c) if self.form == "density" else self.grad(x)
        slope = self._checked(found, x.shape, "the gradient")
        bad = broken(slope)
        if bad.any():
            # Where there is no density, there is no gradient.
            wrong = bad & np.isfinite(self._values(x, c)[0])
            if wrong.any():
                row = int(np.argmax(wrong))
                raise ValueError(
                    f"`grad` of `{self.name}` returned {slope[row].tolist()} where the value is finite, at "
                    f"{self._place(x, c, row)}"
                )
            slope = np.where(bad[:, None], 0.0, slope)
        return slope

    def _checked(self, found: Any, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
        array = np.asarray(found)
        if array.dtype.kind not in REAL:
            raise TypeError(
                f"`{self.name}` returned {what} of dtype {array.dtype}, expected real numbers"
            )
        if array.shape != shape:
            raise ValueError(
                f"`{self.name}` returned {what} of shape {array.shape}, expected {shape}"
            )
        values = np.ascontiguousarray(array, dtype=np.float64)
        if np.ma.is_masked(found):
            # What is masked is no value.
            values = np.where(np.ma.getmaskarray(found), np.nan, values)
        return values

    def _without_nan(
        self,
        value: NDArray[np.float64],
        x: NDArray[np.float64],
        c: NDArray[np.float64],
        nothing: float,
    ) -> tuple[NDArray[np.float64], tuple[int, str] | None]:
        """A bad value far off is a state without density, which is said; a whole batch is an error."""
        bad = np.isnan(value) | (value == -nothing)
        if not bad.any():
            return value, None
        row, count = int(np.argmax(bad)), int(bad.sum())
        said = f"`{self.name}` returned {value[row]} at {self._place(x, c, row)}"
        if bad.all():
            raise ValueError(
                f"{said}, and so at all {len(x)} states of a batch; return {nothing} where there is no density"
            )
        if count > 1:
            said += f", and so at {count} of {len(x)} states of a batch"
        return np.where(bad, nothing, value), (count, said)

    def _place(self, x: NDArray[np.float64], c: NDArray[np.float64], row: int) -> str:
        conditions = ", ".join(f"{k} = {v:g}" for k, v in zip(self.controls, c[row]))
        return f"row {row}, x = {x[row].tolist()}, {conditions}"

    def _check(
        self,
        ranges: Mapping[str, Sequence[float]],
        points: NDArray[np.float64] | None,
    ) -> None:
        """Calls the function once with a few states, and compares its score with differences."""
        stream = np.random.default_rng(0)
        low, high = (np.array([float(ranges[k][i]) for k in self.controls]) for i in (0, 1))
        if points is None:
            points = self._anywhere(stream)
        else:
            points = points[stream.integers(len(points), size=64)]
        n, k = len(points), len(self.controls)
        # Away from the ends, where a condition may have no neighbour.
        c = low + (high - low) * (0.1 + 0.8 * stream.random((n, k)))
        # A function may write into what it is given.
        value, score, _ = self._values(points.copy(), c.copy())
        self._check_rows(points, c, value)
        if self.form != "density":
            return
        best = np.full((n, k), np.inf)
        found = np.zeros((n, k))
        usual = np.median(np.abs(score[np.isfinite(value)]), axis=0) if np.isfinite(value).any() else 0.0
        for step in _STEPS:
            for j in range(k):
                h = step * (high - low)[j]

                def at(shift: float) -> NDArray[np.float64]:
                    moved = c.copy()
                    moved[:, j] += shift * h
                    return self._values(points.copy(), moved)[0]

                with np.errstate(invalid="ignore"):
                    slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)
                    miss = np.abs(slope - score[:, j])
                better = miss < best[:, j]
                best[better, j], found[better, j] = miss[better], slope[better]
        finite = np.isfinite(value)
        wrong = finite[:, None] & (best > 1e-3 * (np.abs(score) + usual) + 1e-6)
        if wrong.any(axis=1).sum() > _MISSES * max(finite.sum(), 1):
            worst = np.unravel_index(np.argmax(np.where(wrong, best, -1)), best.shape)
            row, j = (int(i) for i in worst)
            raise ValueError(
                f"the score that `{self.name}` returned is not the derivative of its log_q: for "
                f"{self.controls[j]} it is {score[row, j]:.6g} and differences give {found[row, j]:.6g}, at "
                f"{self._place(points, c, row)}"
            )

    def _check_rows(self, x: NDArray[np.float64], c: NDArray[np.float64], value: NDArray[np.float64]) -> None:
        """Refuses a function whose value of a row depends on the other rows, or on chance."""
        rows = np.arange(len(x))[::-2]
        again = self._values(x[rows].copy(), c[rows].copy())[0]
        value = value[rows]
        with np.errstate(invalid="ignore"):
            other = np.abs(again - value) > 1e-3 * (1 + np.abs(value))
        if other.sum() > _MISSES * len(rows):
            i = int(np.argmax(other))
            raise ValueError(
                f"`{self.name}` returned {value[i]:.6g} and then {again[i]:.6g} at {self._place(x, c, int(rows[i]))}, "
                "in batches of other rows; the value of a row must depend on that row alone"
            )

    def _check_data(self, at: Mapping[str, float], x: NDArray[np.float64]) -> None:
        """Refuses data at which the function gives no number: a sample has a density."""
        x = x[np.linspace(0, len(x) - 1, min(len(x), 64)).astype(int)]
        c = np.tile([float(at[name]) for name in self.controls], (len(x), 1))
        bad = self._values(x, c)[2]
        if bad is not None:
            raise ValueError(f"data: {bad[1]}; a sample of the target has a density")

    def _anywhere(self, stream: np.random.Generator) -> NDArray[np.float64]:
        """States on several scales, within the support."""
        z: NDArray[np.float64] = stream.standard_normal((64, self.dim)) * np.repeat([0.1, 0.5, 1.0, 2.0], 16)[:, None]
        supports = [_prior_support(p) for p in self.prior] or self.support
        for j, support in enumerate(supports):
            if support == "positive":
                z[:, j] = np.exp(z[:, j])
            elif isinstance(support, Mapping) and {"low", "high"} <= set(support.get("interval", ())):
                low, high = support["interval"]["low"], support["interval"]["high"]
                z[:, j] = low + (high - low) / (1 + np.exp(-z[:, j]))
        return z


#: The priors of one parameter, and the numbers of each.
_PRIORS = {"normal": ("mean", "std"), "uniform": ("low", "high"), "log_normal": ("mean", "std")}


def _prior(i: int, prior: Any) -> dict[str, dict[str, float]]:
    if isinstance(prior, Mapping) and len(prior) == 1:
        (name, numbers), *_ = prior.items()
        if name in _PRIORS and isinstance(numbers, Mapping) and set(numbers) == set(_PRIORS[name]):
            return {name: {key: number(value, f"prior[{i}].{key}") for key, value in numbers.items()}}
    known = ", ".join(f"{{{name!r}: {{{a!r}: …, {b!r}: …}}}}" for name, (a, b) in _PRIORS.items())
    raise TypeError(f"prior[{i}]: expected one of {known}, found {prior!r}")


def _prior_support(prior: Any) -> Any:
    if "uniform" in prior:
        return {"interval": prior["uniform"]}
    return "positive" if "log_normal" in prior else "real"


def _source(function: Any) -> str:
    if isinstance(function, functools.partial):
        return f"{_source(function.func)} {function.args!r} {function.keywords!r}"
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        pass
    code = getattr(function, "__code__", None)
    if code is not None:
        return repr((code.co_code, code.co_names, [c for c in code.co_consts if not hasattr(c, "co_code")]))
    kind = type(function)
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return f"{kind.__module__}.{kind.__qualname__}"


def target(
    *,
    dim: int,
    controls: Sequence[str],
    support: Sequence[Any] = (),
    grad: Function | None = None,
    version: str | None = None,
) -> Callable[[Function], Target]:
    """Makes a target of ``f(x, c) -> (log_q, score)``, in batches of f64.

    ``x`` has the shape ``[n, dim]`` and ``c`` ``[n, k]`` with a column for each name of ``controls``.
    ``log_q`` has the shape ``[n]``, need not be normalised, and may be ``-inf``; ``score`` is its derivative
    in ``c``, ``[n, k]``. No derivative in ``x`` is needed; with ``grad(x, c) -> [n, dim]`` there is one, and
    the loss ``reverse_kl`` can be used. ``support`` says which numbers each entry of the state may take, as
    in a configuration. ``version`` takes the place of the function's source in the run's record.

    >>> import numpy as np
    >>> @target(dim=1, controls=["s"])
    ... def normal(x, c):
    ...     return -0.5 * x[:, 0] ** 2 / c[:, 0] ** 2, x**2 / c**3
    >>> normal.name, normal.controls
    ('normal', ['s'])
    """

    def make(function: Function) -> Target:
        names = [controls] if isinstance(controls, str) else list(controls)
        return Target(function, "density", dim, names, [], list(support), grad, version)

    return make


def energy(
    *,
    dim: int,
    control: str = "T",
    inverse: bool = False,
    support: Sequence[Any] = (),
    grad: Function | None = None,
    version: str | None = None,
) -> Callable[[Function], Target]:
    """Makes the Boltzmann distributions ``exp(-u(x)/T)`` of an energy ``u(x) -> [n]``.

    The control parameter is a temperature in units of the energy; with ``inverse`` it is an inverse
    temperature. The score follows. An energy may be ``+inf``. ``grad(x) -> [n, dim]`` is that of the energy.

    >>> @energy(dim=1)
    ... def spring(x):
    ...     return 0.5 * x[:, 0] ** 2
    >>> spring.controls
    ['T']
    """

    def make(function: Function) -> Target:
        form = "beta" if inverse else "temperature"
        return Target(function, form, dim, [control], [], list(support), grad, version)

    return make


def log_likelihood(
    *,
    prior: Sequence[Mapping[str, Any]],
    control: str = "beta",
    grad: Function | None = None,
    version: str | None = None,
) -> Callable[[Function], Target]:
    """Makes the posteriors ``prior(theta) * likelihood(theta)**beta`` of ``f(theta) -> [n]``.

    ``prior`` has an entry for each parameter, as in a configuration: ``{"normal": {"mean": 0, "std": 1}}``,
    ``{"uniform": {"low": 0, "high": 1}}`` or ``{"log_normal": {"mean": 0, "std": 1}}``. The score follows.

    >>> @log_likelihood(prior=[{"normal": {"mean": 0.0, "std": 1.0}}])
    ... def model(theta):
    ...     return -2.0 * (theta[:, 0] - 1.0) ** 2
    >>> model.dim
    1
    """

    priors = [_prior(i, p) for i, p in enumerate(prior)]

    def make(function: Function) -> Target:
        return Target(function, "likelihood", len(priors), [control], priors, [], grad, version)

    return make
