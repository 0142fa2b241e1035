"""A posterior from its log likelihood, whose evidence is known: a mean with a normal prior and normal data."""

import argparse

import numpy as np
import tradeflow as tf

data = np.random.default_rng(1).normal(0.7, 1.0, size=20)


@tf.log_likelihood(prior=[{"normal": {"mean": 0.0, "std": 2.0}}])
def model(theta):
    return -0.5 * ((data - theta) ** 2).sum(axis=1) - 0.5 * len(data) * np.log(2 * np.pi)


parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, help="a fixed number of steps instead of a minute")
steps = parser.parse_args().steps
length = {"steps": steps} if steps else {"minutes": 1}

run = tf.train(tf.Problem(model, {"beta": (0.01, 1.0)}), **length)
samples = run.at(beta=1.0).sample(10_000)
value, error = samples.log_z
# The data are jointly normal: covariance 1 + 4·11ᵀ.
n, total = len(data), data.sum()
quadratic = data @ data - 4 * total**2 / (1 + 4 * n)
exact = -0.5 * (quadratic + np.log(1 + 4 * n) + n * np.log(2 * np.pi))
print(f"log evidence {value:.4f} ± {error:.4f}, exact {exact:.4f}; ESS {samples.ess:.3f}")
