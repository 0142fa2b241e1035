"""Numbers and arrays that a user gives, checked and named."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Kinds of dtypes that are real numbers.
REAL = "fiu"


def number(value: Any, what: str) -> float:
    """A real number, which need not be finite."""
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind not in "fiu":
        raise TypeError(f"{what}: expected a number, found {value!r}")
    return float(array)


def whole(value: Any, what: str, least: int) -> int:
    """A whole number, at least ``least``."""
    found = number(value, what)
    if not (found.is_integer() and least <= found < 2**63):
        raise ValueError(f"{what}: expected a whole number of at least {least}, found {value!r}")
    return int(value)


def broken(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows are not finite."""
    return np.asarray(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))


def rows(values: Any, what: str, dim: int | None) -> NDArray[np.float64]:
    """An array of f64 in C order with at least one row, all of it finite."""
    array = np.asarray(values)
    if array.dtype.kind not in REAL:
        raise TypeError(f"{what}: expected real numbers, found dtype {array.dtype}")
    expected = f"[n, {dim if dim is not None else 'dim'}]"
    if array.ndim < 2 or (dim is not None and array.shape[1:] != (dim,)):
        raise ValueError(f"{what}: expected shape {expected}, found {list(array.shape)}")
    if len(array) == 0:
        raise ValueError(f"{what}: there are no rows")
    bad = broken(array)
    if bad.any():
        raise ValueError(f"{what}: row {int(np.argmax(bad))} is not finite")
    return np.array(array, dtype=np.float64, order="C")
