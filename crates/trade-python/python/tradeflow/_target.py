"""Targets that are functions in Python."""

from __future__ import annotations

import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Function = Callable[..., Any]

#: Conditions and states at which a score or a gradient is checked.
_CHECKED = 64


def target(
    *,
    dim: int,
    controls: Sequence[str],
    grad: Function | None = None,
    support: Sequence[Any] | None = None,
) -> Callable[[Function], Target]:
    """Make a target of a function that gives a log density and its derivative in the condition.

    The function gets states ``x`` of shape ``[n, dim]`` and a condition for each, ``c`` of shape ``[n, k]``, both
    ``float64``. It gives ``log_q`` of shape ``[n]``, known up to a constant, and the score ``∂ log_q/∂c`` of
    shape ``[n, k]``, or ``[n]`` if there is one control parameter. ``log_q`` is ``-inf`` where there is no density.

    ``grad`` gives ``∂ log_q/∂x`` of shape ``[n, dim]`` from the same arguments. Only the loss ``reverse_kl``
    needs it. ``support`` says for each entry of the state which numbers it may take: ``"real"``, ``"positive"``,
    ``"angle"`` or ``(low, high)``; by default every number.

    >>> @target(dim=1, controls=["width"])
    ... def normal_distribution(x, c):
    ...     u = x[:, 0] / c[:, 0]
    ...     return -u**2 / 2, u**2 / c[:, 0]
    >>> normal_distribution.check({"width": (0.5, 2.0)})
    """
    return lambda function: Target(
        function, "density", dim=dim, controls=list(controls), grad=grad, support=support
    )


def energy(
    *,
    dim: int,
    temperature: str | None = None,
    beta: str | None = None,
    grad: Function | None = None,
    support: Sequence[Any] | None = None,
) -> Callable[[Function], Target]:
    """Make a target of an energy ``U(x)``, from states ``[n, dim]`` to ``[n]``: ``log q = -U/T``.

    The name of the temperature is ``T`` by default. With ``beta`` the control parameter is an inverse temperature
    of that name, ``log q = -βU``. The energy is ``inf`` where there is no density. ``grad`` gives ``∂U/∂x``.

    >>> @energy(dim=1)
    ... def spring(x):
    ...     return x[:, 0] ** 2 / 2
    >>> spring.controls
    ['T']
    """
    if temperature is not None and beta is not None:
        raise ValueError("`temperature` and `beta` both name the control parameter; leave out one")
    form = "temperature" if beta is None else "beta"
    name = beta or temperature or "T"
    return lambda function: Target(function, form, dim=dim, controls=[name], grad=grad, support=support)


def log_likelihood(
    *, prior: Sequence[Mapping[str, Any]], power: str = "beta", grad: Function | None = None
) -> Callable[[Function], Target]:
    """Make a target of a log likelihood ``ℓ(θ)``, from parameters ``[n, dim]`` to ``[n]``.

    The control parameter is the power of the likelihood, ``log q = log prior + βℓ``: the prior at 0 and the
    posterior at 1. ``prior`` has an entry for each parameter, see :func:`normal`, :func:`uniform` and
    :func:`log_normal`. ``grad`` gives ``∂ℓ/∂θ``.

    >>> @log_likelihood(prior=[normal(0, 2)])
    ... def measured(theta):
    ...     return -((theta[:, 0] - 1.5) ** 2) / 2
    >>> measured.dim
    1
    """
    return lambda function: Target(
        function, {"likelihood": [dict(p) for p in prior]}, dim=len(prior), controls=[power], grad=grad
    )


def normal(mean: float, std: float) -> dict[str, Any]:
    """Give the prior ``N(mean, std²)`` of a parameter."""
    return {"normal": {"mean": float(mean), "std": float(std)}}


def uniform(low: float, high: float) -> dict[str, Any]:
    """Give the prior of a parameter that is uniform between two numbers."""
    return {"uniform": {"low": float(low), "high": float(high)}}


def log_normal(mean: float, std: float) -> dict[str, Any]:
    """Give the prior of a positive parameter whose logarithm is ``N(mean, std²)``."""
    return {"log_normal": {"mean": float(mean), "std": float(std)}}


class Target:
    """A target that is a function in Python; made by :func:`target`, :func:`energy` or :func:`log_likelihood`."""

    def __init__(
        self,
        function: Function,
        form: str | dict[str, Any],
        *,
        dim: int,
        controls: list[str],
        grad: Function | None = None,
        support: Sequence[Any] | None = None,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.name: str = getattr(function, "__name__", type(function).__name__)
        self.dim = int(dim)
        self.controls = controls
        self._function = function
        self._form = form
        self._grad = grad
        self._gradient = None if grad is None else self._checked_gradient
        self._support = [_support(entry) for entry in support or ()]

    def __call__(self, *arguments: Any) -> Any:
        """Call the function itself."""
        return self._function(*arguments)

    def __repr__(self) -> str:
        return f"<target {self.name}: {self.dim} dimensions, {', '.join(self.controls)}>"

    @property
    def config(self) -> dict[str, Any]:
        """The target as a run's configuration states it."""
        return {
            "external": {
                "name": self.name,
                "dim": self.dim,
                "controls": self.controls,
                "form": self._form,
                "support": self._support,
                "differentiable": self._grad is not None,
                "source": self.source,
            }
        }

    @property
    def source(self) -> str:
        """The SHA-256 of the source of the function and of its gradient, without decorators.

        What the function uses from elsewhere is not part of it.
        """
        parts = [_source(function) for function in (self._function, self._grad) if function is not None]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def check(self, ranges: Mapping[str, Sequence[float]], states: ArrayLike | None = None, seed: int = 0) -> None:
        """Compare score and gradient with differences, and raise ``ValueError`` where they are wrong.

        :func:`train` does this with the data that it trains on. Without ``states`` the check takes normal
        random numbers, within the support.
        """
        random = np.random.default_rng(seed)
        x = self._states(random) if states is None else np.array(states, dtype=np.float64)
        if len(x) > _CHECKED:
            x = x[random.choice(len(x), _CHECKED, replace=False)]
        low, high = (np.array([ranges[name][end] for name in self.controls], dtype=np.float64) for end in (0, 1))
        # Away from the ends, beyond which there may be no density.
        c = low + (high - low) * random.uniform(0.05, 0.95, (len(x), len(low)))
        value, score = self._evaluate(x.copy(), c.copy())
        if score is not None:
            for j, name in enumerate(self.controls):
                step = np.zeros(len(low))
                step[j] = 1e-3 * (high[j] - low[j])
                found = self._difference(lambda c: self._evaluate(x.copy(), c)[0], c, step, value)
                self._compare("score", f"∂log_q/∂{name}", score[:, j], *found, x, c)
        if self._gradient is not None:
            gradient = self._gradient(x.copy(), c.copy())
            what = "U" if self._form in ("temperature", "beta") else "log_q" if score is not None else "log_likelihood"
            for j in range(self.dim):
                step = np.zeros(self.dim)
                step[j] = 1e-4 * max(float(np.std(x[:, j])), 1e-3)
                found = self._difference(lambda x: self._evaluate(x, c.copy())[0], x, step, value)
                self._compare("grad", f"∂{what}/∂x[{j}]", gradient[:, j], *found, x, c)

    @staticmethod
    def _difference(
        f: Callable[[Floats], Floats], at: Floats, step: Floats, value: Floats
    ) -> tuple[Floats, Floats]:
        """The derivative by central differences of two widths, and its error."""
        width = float(np.abs(step).sum())
        with np.errstate(all="ignore"):
            wide = (f(at + step) - f(at - step)) / (2 * width)
            narrow = (f(at + step / 2) - f(at - step / 2)) / width
            error = np.abs(wide - narrow) + 1e-14 * np.abs(value) / width
            return (4 * narrow - wide) / 3, error

    def _compare(
        self, who: str, what: str, given: Floats, expected: Floats, error: Floats, x: Floats, c: Floats
    ) -> None:
        with np.errstate(all="ignore"):
            size = np.maximum(np.abs(given), np.abs(expected))
            apart = np.abs(given - expected) > 10 * error + 1e-4 * size + 1e-9
        wrong = np.flatnonzero(apart & np.isfinite(given) & np.isfinite(expected))
        if wrong.size:
            i = wrong[0]
            raise ValueError(
                f"the {who} of `{self.name}` is wrong at {wrong.size} of {len(x)} states: {self._place(x, c, i)} it "
                f"gives {what} = {given[i]:.6g}, and differences give {expected[i]:.6g}"
            )

    def _states(self, random: np.random.Generator) -> Floats:
        x = random.standard_normal((_CHECKED, self.dim))
        if isinstance(self._form, dict):
            for j, prior in enumerate(self._form["likelihood"]):
                ((kind, p),) = prior.items()
                if kind == "uniform":
                    x[:, j] = random.uniform(p["low"], p["high"], _CHECKED)
                else:
                    x[:, j] = p["mean"] + p["std"] * x[:, j]
                    if kind == "log_normal":
                        x[:, j] = np.exp(x[:, j])
        for j, support in enumerate(self._support):
            if support == "positive":
                x[:, j] = np.exp(x[:, j])
            elif isinstance(support, dict):
                ends = support["interval"]
                x[:, j] = random.uniform(ends["low"], ends["high"], _CHECKED)
        return x

    def _place(self, x: Floats, c: Floats, i: int) -> str:
        named = ", ".join(f"{name} = {value:.6g}" for name, value in zip(self.controls, c[i], strict=True))
        numbers = ", ".join(f"{value:.6g}" for value in x[i])
        return f"at x = [{numbers}]" + (f", {named}," if self._form == "density" else "")

    def _evaluate(self, x: Floats, c: Floats) -> tuple[Floats, Floats | None]:
        """The values of states and, of a density, their scores: what the extension module calls."""
        if self._form == "density":
            place = (x.copy(), c.copy())
            found = self._function(x, c)
            if not isinstance(found, tuple) or len(found) != 2:
                raise TypeError(f"`{self.name}` must give a pair (log_q, score), found {_kind(found)}")
            value = self._array("log_q", found[0], (len(place[0]),))
            score = self._array("the score", found[1], place[1].shape)
            self._no_density("log_q", value, -np.inf, *place)
            bad = np.isnan(score).any(axis=1) | np.isinf(score).any(axis=1)
            self._refuse("a score that is not finite", bad & np.isfinite(value), *place)
            # Without density there is no score either.
            score[bad] = 0.0
            return value, score
        place = (x.copy(), c)
        value = self._array("the value", self._function(x), (len(x),))
        self._no_density("a value", value, -np.inf if isinstance(self._form, dict) else np.inf, *place)
        return value, None

    def _checked_gradient(self, x: Floats, c: Floats) -> Floats:
        assert self._grad is not None
        place = (x.copy(), c.copy())
        found = self._grad(x, c) if self._form == "density" else self._grad(x)
        return self._array("grad", found, place[0].shape)

    def _array(self, what: str, found: Any, shape: tuple[int, ...]) -> Floats:
        """Numbers of the user's function as a new contiguous array of a shape."""
        array = np.asarray(found)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"`{self.name}`: {what} must be real numbers, found {_kind(found)} of {array.dtype}")
        if array.shape != shape:
            # One column more or less says the same.
            same = array.size == np.prod(shape) and {array.ndim, len(shape)} == {1, 2} and 1 in (*array.shape[1:], *shape[1:])
            if not same:
                raise ValueError(f"`{self.name}`: {what} must have the shape {list(shape)}, found {list(array.shape)}")
            array = array.reshape(shape)
        return np.array(array, dtype=np.float64, order="C")

    def _no_density(self, what: str, value: Floats, infinite: float, x: Floats, c: Floats) -> None:
        self._refuse(f"{what} that is NaN", np.isnan(value), x, c, infinite)
        self._refuse(f"{what} of {-infinite}", value == -infinite, x, c, infinite)

    def _refuse(self, what: str, bad: NDArray[np.bool_], x: Floats, c: Floats, infinite: float | None = None) -> None:
        count = int(np.count_nonzero(bad))
        if count:
            i = int(np.flatnonzero(bad)[0])
            hint = "" if infinite is None else f"; where there is no density, give {infinite}"
            raise ValueError(
                f"`{self.name}` gave {what} for {count} of {len(x)} states, first {self._place(x, c, i).rstrip(',')}{hint}"
            )


def _kind(value: Any) -> str:
    return type(value).__name__


def _support(entry: Any) -> Any:
    if isinstance(entry, str | dict):
        return entry
    low, high = entry
    return {"interval": {"low": float(low), "high": float(high)}}


def _source(function: Function) -> str:
    """The source of a function without decorators, or its code where there is none."""
    while isinstance(function, functools.partial):
        function = function.func
    try:
        lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr(function) if code is None else _code(code)
    first = next((i for i, line in enumerate(lines) if line.startswith(("def ", "async def ", "class "))), 0)
    return "\n".join(line.rstrip() for line in lines[first:] if line.strip())


def _code(code: Any) -> str:
    constants = [_code(c) if inspect.iscode(c) else repr(c) for c in code.co_consts]
    return repr((code.co_code, constants, code.co_names))
