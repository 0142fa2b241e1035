"""# Reweighting an existing trajectory

A trajectory at one temperature says little about a colder one: few of its frames have weight there. A flow that
was trained on the frames samples at the colder temperature itself, and its weights are more even. The molecule
is alanine dipeptide; its trajectory, here made by the tool, may come from any program.
"""

# %%
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import tradeflow as tf

small = "STEPS" in os.environ
folder = Path(os.environ.get("ALANINE", "../../trade-molecule/data/alanine"))
trade = Path(sys.executable).parent / "trade"
files = ["--system", folder / "system.xml", "--pdb", folder / "topology.pdb"]
simulate = [trade, "simulate", "molecule", *files, "--temperature", "600", "--ns", "0.02" if small else "4"]
subprocess.run([*simulate, "-o", "frames.npy"], check=True, capture_output=True)

frames = np.load("frames.npy")
molecule = tf.Molecule(folder / "system.xml", folder / "topology.pdb", temperature=600.0)
states = molecule.states(frames)
print(f"{len(frames)} frames of {molecule.atoms} atoms")

# %% [markdown]
# The flow and the losses for a molecule are those of `trade config molecule`:

# %%
text = subprocess.run([trade, "config", "molecule", *files, "--data", "frames.npy"], check=True, capture_output=True, text=True)
recipe = json.loads(text.stdout)
recipe["ranges"] = {"temperature": [0.7, 1.0]}
recipe["train"].update(steps=int(os.environ.get("STEPS", 1500)), rounds=1)
run = tf.train(tf.Problem.from_config(recipe), progress=False)
os.remove("frames.npy")

# %% [markdown]
# The effective sample size at colder temperatures: of all frames, whose weights are
# $e^{-(1/T - 1) U/k_B T_0}$, and of as many samples of the flow. The mean energy by both, with the error that the
# effective number of samples gives:

# %%
u = molecule.energy(states) / molecule.thermal_energy


def mean(values, log_weights):
    w = np.exp(log_weights - log_weights.max())
    w /= w.sum()
    average = np.sum(w * values)
    return average, np.sqrt(np.sum(w**2 * (values - average) ** 2)), 1 / np.sum(w**2)


print(" T      frames: ESS   <U>/kT0            flow: ESS   <U>/kT0")
for T in (1.0, 0.9, 0.8, 0.7):
    samples = run.at(temperature=T).sample(len(frames))
    energy = molecule.energy(samples.x) / molecule.thermal_energy
    a, b = mean(u, -(1 / T - 1) * u), mean(energy, samples.log_weight)
    print(f"{600 * T:.0f} K {a[2]:12.1f} {a[0]:8.2f} ± {a[1]:.2f} {b[2]:18.1f} {b[0]:8.2f} ± {b[1]:.2f}")
