"""# Reweighting an existing trajectory

A trajectory at one temperature says little about a colder one, for few of its frames have weight there. A flow that
was trained on the frames and the energy samples at the colder temperature itself, and its weights are more even.

The system is a chain of twelve particles in double wells, coupled to their neighbours. Its mean energy follows from a
transfer matrix, so that both answers can be compared with the truth.
"""

# %%
import os

import numpy as np
import tradeflow as tf

SITES, HOT, COLD = 12, 1.2, 0.3


@tf.energy(dim=SITES)
def chain(x):
    return ((x**2 - 1) ** 2).sum(axis=1) + 0.5 * (np.diff(x, axis=1) ** 2).sum(axis=1)


# %% [markdown]
# The trajectory, here by Langevin dynamics (BAOAB) of fifty copies at the temperature 1.2. One from any other program
# is an array of the shape `[frames, 12]` just as well.

# %%
def force(x):
    bond = np.diff(x, axis=1)
    return -4 * x * (x**2 - 1) + np.pad(bond, ((0, 0), (0, 1))) - np.pad(bond, ((0, 0), (1, 0)))


rng, step = np.random.default_rng(1), 0.05
x, v, frames = rng.standard_normal((50, SITES)), np.zeros((50, SITES)), []
for i in range(4100):
    v += 0.5 * step * force(x)
    x = x + 0.5 * step * v
    v = np.exp(-step) * v + np.sqrt((1 - np.exp(-2 * step)) * HOT) * rng.standard_normal(v.shape)
    x = x + 0.5 * step * v
    v += 0.5 * step * force(x)
    if i >= 100 and i % 20 == 0:
        frames.append(x)
trajectory = np.concatenate(frames)
print(trajectory.shape)

# %%
# A fixed number of steps where STEPS is set, else three minutes.
length = {"steps": int(os.environ["STEPS"])} if "STEPS" in os.environ else {"minutes": 3}
run = tf.train(tf.Problem(chain, {"T": (COLD, HOT)}, data=({"T": HOT}, trajectory)), **length)

# %% [markdown]
# The mean energy at colder temperatures: from all frames, with the weights $e^{-(1/T - 1/1.2) U}$; from as many samples of
# the flow, with their weights; and exactly. ESS is the number of even samples that the weights are worth.

# %%
grid = np.linspace(-3, 3, 601)
well, bond = (grid**2 - 1) ** 2, 0.5 * (grid[:, None] - grid) ** 2


def log_z(beta):
    matrix = np.exp(-beta * (bond + 0.5 * well[:, None] + 0.5 * well)) * (grid[1] - grid[0])
    end = np.exp(-0.5 * beta * well)
    return np.log(end @ np.linalg.matrix_power(matrix, SITES - 1) @ end * (grid[1] - grid[0]))


def mean(values, log_weights):
    w = np.exp(log_weights - log_weights.max())
    w /= w.sum()
    average = np.sum(w * values)
    return 1 / np.sum(w**2), average, np.sqrt(np.sum(w**2 * (values - average) ** 2))


u = chain(trajectory)
print("   T |  frames: ESS       <U>       |  flow: ESS        <U>       | exact")
for T in (1.2, 0.8, 0.5, 0.3):
    samples = run.at(T=T).sample(len(trajectory))
    ours = mean(chain(samples.x.astype(float)), samples.log_weight)
    theirs = mean(u, -(1 / T - 1 / HOT) * u)
    exact = -(log_z(1 / T + 1e-4) - log_z(1 / T - 1e-4)) / 2e-4
    print("{:4.1f} | {:11.1f} {:8.3f} ± {:.3f} | {:9.1f} {:8.3f} ± {:.3f} | {:.3f}".format(T, *theirs, *ours, exact))
