"""Molecules that OpenMM describes, in the coordinates of a flow."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._numbers import rows


class Molecule:
    """A molecule of OpenMM's files: its states, positions and energies.

    ``system`` is OpenMM's ``System`` as XML and ``pdb`` a PDB file; further settings are those of the target
    ``molecule`` in a configuration. A state holds the free bonds, angles and torsions, each about 0 to 1.
    ``config`` is the target of these files, for :class:`Problem`; a function of the user's own may take its
    place, and find the positions of a state and the log determinant here.
    """

    def __init__(self, system: str | os.PathLike[str], pdb: str | os.PathLike[str], **settings: Any) -> None:
        files = {"system": os.path.abspath(system), "pdb": os.path.abspath(pdb)}
        self._settings = {**files, **settings}
        self._native = _native.molecule(json.dumps(self._settings, default=os.fspath))
        for warning in self._native.warnings():
            warnings.warn(warning, RuntimeWarning, stacklevel=2)

    @property
    def config(self) -> dict[str, Any]:
        """The target of a configuration."""
        return {"molecule": dict(self._settings)}

    @property
    def dim(self) -> int:
        """The number of entries of a state."""
        return self._native.dim()

    @property
    def atoms(self) -> int:
        """The number of atoms."""
        return self._native.atoms()

    @property
    def thermal_energy(self) -> float:
        """``k_B T`` in kJ/mol at the temperature that the control parameter 1 stands for, 600 K by default."""
        return self._native.thermal_energy()

    def positions(self, x: Any) -> NDArray[np.float64]:
        """Positions in nm, ``[n, atoms, 3]``, of states ``[n, dim]``."""
        return self._native.positions(self._flat(x)).reshape(-1, self.atoms, 3)

    def states(self, positions: Any) -> NDArray[np.float64]:
        """States ``[n, dim]`` of positions ``[n, atoms, 3]`` in nm."""
        frames = rows(positions, "positions", None)
        if frames.shape[1:] != (self.atoms, 3):
            raise ValueError(f"positions: expected shape [n, {self.atoms}, 3], found {list(frames.shape)}")
        return self._native.states(frames.reshape(-1)).reshape(-1, self.dim)

    def energy(self, x: Any) -> NDArray[np.float64]:
        """The energy in kJ/mol of each state ``[n, dim]``."""
        return self._native.energies(self._flat(x))[0]

    def log_det(self, x: Any) -> NDArray[np.float64]:
        """The log determinant of the way from states ``[n, dim]`` to positions in nm, without place and turn."""
        return self._native.energies(self._flat(x))[1]

    def _flat(self, x: Any) -> NDArray[np.float64]:
        return rows(x, "x", self.dim).reshape(-1)
