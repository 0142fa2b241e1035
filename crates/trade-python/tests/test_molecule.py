"""Molecules: states, positions and energies."""

import json
from pathlib import Path

import numpy as np
import pytest
import tradeflow as tf

DATA = Path(__file__).resolve().parents[2] / "trade-molecule" / "data" / "glycine"


@pytest.fixture(scope="module")
def molecule():
    return tf.Molecule(DATA / "system.xml", DATA / "topology.pdb", temperature=300.0)


def test_energies_are_those_of_openmm(molecule):
    kept = json.loads((DATA / "energies.json").read_text())["conformations"]
    positions = np.array([c["positions_nm"] for c in kept])
    energies = np.array([c["energy_kJ_per_mol"]["total"] for c in kept])
    states = molecule.states(positions)
    assert states.shape == (len(positions), molecule.dim)
    # Place, turn and the lengths of rigid bonds are lost: distances say which conformations are the same.
    again = molecule.positions(states)
    assert np.allclose(molecule.states(again), states, atol=1e-9)

    def distances(x):
        return np.linalg.norm(x[:, :, None] - x[:, None], axis=-1)

    same = np.abs(distances(again) - distances(positions)).max(axis=(1, 2)) < 1e-6
    assert same.sum() >= 3
    assert np.allclose(molecule.energy(states)[same], energies[same], rtol=1e-4, atol=0.05)
    assert molecule.thermal_energy == pytest.approx(8.31446261815324e-3 * 300)


def test_the_density_is_the_energy_with_the_determinant(molecule, tmp_path):
    x = np.random.default_rng(0).uniform(0.45, 0.55, (50, molecule.dim))
    problem = tf.Problem(molecule.config, {"temperature": (0.9, 1.1)}, data=({"temperature": 1.0}, x))
    flow = {"dim": molecule.dim, "controls": 1, "preprocess": "log", "base": "control", "layers": []}
    run = tf.train(problem, steps=2, progress=False, out=tmp_path / "run")
    x = x.astype(np.float32)
    u = molecule.energy(x) / molecule.thermal_energy
    u = np.where(u > 1000, 1000 + np.log1p(np.maximum(u - 1000, 0)), u)
    expected = molecule.log_det(x) - u / 0.95
    assert np.allclose(run.at(temperature=0.95).log_density(x), expected, rtol=1e-5)


def test_misfits_are_named(molecule):
    with pytest.raises(ValueError, match=rf"expected shape \[n, {molecule.atoms}, 3\]"):
        molecule.states(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match=rf"x: expected shape \[n, {molecule.dim}\]"):
        molecule.positions(np.zeros((2, 3)))
    with pytest.raises(tf.TradeError, match="colour"):
        tf.Molecule(DATA / "system.xml", DATA / "topology.pdb", colour=1)
