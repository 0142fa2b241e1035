"""# A peptide through OpenMM, beside the native one

Alanine dipeptide in implicit solvent. TRADE has this energy itself; here OpenMM computes it in a
`Context`, and TRADE has the coordinates only. Data, flow, losses and seed are the same for both trainings. The
free energy of cooling the molecule must be the same within errors, and the energies within rounding.
"""

# %%
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import openmm as mm
import tradeflow as tf
from openmm import app, unit

small = "STEPS" in os.environ
steps = int(os.environ.get("STEPS", 400))
folder = Path(os.environ.get("ALANINE", "../../trade-molecule/data/alanine"))
files = folder / "system.xml", folder / "topology.pdb"
molecule = tf.Molecule(*files, temperature=600.0)

# %% [markdown]
# A trajectory at 600 K from OpenMM:

# %%
system = mm.XmlSerializer.deserialize(files[0].read_text())
pdb = app.PDBFile(str(files[1]))
integrator = mm.LangevinMiddleIntegrator(600 * unit.kelvin, 2 / unit.picosecond, 2 * unit.femtosecond)
integrator.setRandomNumberSeed(1)
simulation = app.Simulation(pdb.topology, system, integrator, mm.Platform.getPlatform("Reference"))
simulation.context.setPositions(pdb.positions)
simulation.context.setVelocitiesToTemperature(600 * unit.kelvin, 1)
frames = []
for _ in range(200 if small else 2000):
    simulation.step(20 if small else 50)
    positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)
    frames.append(positions.value_in_unit(unit.nanometer))
states = molecule.states(np.array(frames))
print(f"{len(states)} frames of {molecule.atoms} atoms, {molecule.dim} coordinates")

# %% [markdown]
# The target through OpenMM. The energy grows as a logarithm above 1000 k<sub>B</sub>T, as that of TRADE does, so that
# atoms that overlap have a finite density.

# %%
context = mm.Context(system, mm.VerletIntegrator(0.001), mm.Platform.getPlatform("Reference"))


def energies(positions):
    found = np.empty(len(positions))
    for i, frame in enumerate(positions):
        context.setPositions(frame)
        state = context.getState(energy=True)
        found[i] = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    return found


@tf.target(dim=molecule.dim, controls=["temperature"])
def peptide(x, c):
    u = energies(molecule.positions(x)) / molecule.thermal_energy
    high = u > 1000
    u[high] = 1000 + np.log1p(u[high] - 1000)
    u[~np.isfinite(u)] = 1000 + np.log(np.finfo(np.float32).max)
    return molecule.log_det(x) - u / c[:, 0], u[:, None] / c**2


# %% [markdown]
# Flow and losses are those of `trade config molecule`, without the noise on positions.

# %%
np.save("frames.npy", np.array(frames))
command = [Path(sys.executable).parent / "trade", "config", "molecule", "--system", files[0], "--pdb", files[1]]
text = subprocess.run([*command, "--data", "frames.npy"], check=True, capture_output=True, text=True).stdout
os.remove("frames.npy")
recipe = json.loads(text)
losses = recipe["objectives"]
for loss in losses:
    loss["loss"].get("nll", {}).pop("noise", None)
recipe["train"].update(steps=steps, rounds=1)
parts = {"flow": recipe["flow"], "objectives": losses, "train": recipe["train"]}
runs = {}
for name, target in {"native": molecule.config, "OpenMM": peptide}.items():
    start = time.perf_counter()
    problem = tf.Problem(target, {"temperature": (0.8, 1.0)}, data=({"temperature": 1.0}, states), **parts)
    runs[name] = tf.train(problem, seed=3, progress=False)
    print(f"{name}: {time.perf_counter() - start:.0f} s")

# %% [markdown]
# Energies of samples, and free energies of cooling from 600 K to 480 K by the weights of each run:

# %%
x = runs["native"].at(temperature=0.9).sample(500).x
u = molecule.energy(x)
calm = u < 1000 * molecule.thermal_energy
difference = np.abs(energies(molecule.positions(x)) - u)[calm]
print(f"energies of {calm.sum()} samples differ by at most {difference.max():.1e} kJ/mol")
found = []
for name, run in runs.items():
    samples = [run.at(temperature=T).sample(500 if small else 4000) for T in (1.0, 0.8)]
    (hot, hot_error), (cold, cold_error) = (s.log_z for s in samples)
    found.append((cold - hot, np.hypot(cold_error, hot_error)))
    print(f"{name}: log Z(480 K) - log Z(600 K) = {found[-1][0]:.2f} ± {found[-1][1]:.2f}; ESS {samples[1].ess:.4f}")
assert difference.max() < 1e-3, "the energies differ"
