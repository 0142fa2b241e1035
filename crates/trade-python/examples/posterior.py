"""# A posterior with its evidence, in ArviZ

A straight line with noise of unknown width: intercept, slope and the logarithm of the width have normal
priors, and the likelihood is a function in Python. One flow serves all powers of the likelihood from 0, where
the posterior is the prior, to 1. The log evidence is compared with quadrature over the width, for which the
rest of the model is normal.
"""

# %%
import os

import numpy as np
import tradeflow as tf

rng = np.random.default_rng(1)
t = np.linspace(-1.0, 1.0, 20)
data = 0.7 + 1.3 * t + 0.5 * rng.standard_normal(len(t))
width = 2.0


@tf.log_likelihood(prior=[{"normal": {"mean": 0.0, "std": width}}] * 2 + [{"normal": {"mean": 0.0, "std": 1.0}}])
def line(theta):
    noise = np.exp(theta[:, 2:])
    z = (data - theta[:, :1] - theta[:, 1:2] * t) / noise
    return np.sum(-0.5 * z**2 - np.log(noise) - 0.5 * np.log(2 * np.pi), axis=1)


# A fixed number of steps where STEPS is set, else two minutes.
length = {"steps": int(os.environ["STEPS"])} if "STEPS" in os.environ else {"minutes": 2}
run = tf.train(tf.Problem(line, {"beta": (0.0, 1.0)}), **length)

# %% [markdown]
# The log evidence at every power, by three routes:

# %%
evidence = run.evidence(points=9)
evidence

# %% [markdown]
# The same at the power 1, with the likelihood integrated over intercept and slope in closed form and over the
# width by the midpoint rule:

# %%
design = np.stack([np.ones_like(t), t], axis=1)
edges = np.linspace(-5.0, 5.0, 4001)
logs = []
for s in 0.5 * (edges[1:] + edges[:-1]):
    covariance = np.exp(2 * s) * np.eye(len(t)) + width**2 * design @ design.T
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    logs.append(-0.5 * (data @ np.linalg.solve(covariance, data) + log_det + s**2 + np.log(2 * np.pi)))
exact = np.log(np.sum(np.exp(np.array(logs))) * (edges[1] - edges[0]))
value, error = (float(np.asarray(evidence[name])[-1]) for name in ("log_z", "log_z_error"))
print(f"log evidence {value:.4f} ± {error:.4f}, quadrature {exact:.4f}")

# %% [markdown]
# Samples of the posterior for ArviZ, resampled by their weights, with the evidence among the attributes:

# %%
try:
    import arviz
except ImportError:
    print("ArviZ SKIPPED, it is not installed")
else:
    inference = run.to_arviz(4000)
    attrs = inference["posterior"].attrs
    print(f"beta {attrs['beta']}: log evidence {attrs['log_z']:.4f} ± {attrs['log_z_error']:.4f}, ESS {attrs['ess']:.3f}")
    print(arviz.summary(inference, kind="stats"))
