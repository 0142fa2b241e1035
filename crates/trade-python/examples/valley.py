"""A flow for the curved valley U(x, y) = x²/2 + 2 (y − x²)², whose normaliser is known: Z(T) = πT."""

import argparse

import numpy as np
import tradeflow as tf


@tf.energy(dim=2)
def valley(x):
    return x[:, 0] ** 2 / 2 + 2 * (x[:, 1] - x[:, 0] ** 2) ** 2


parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, help="a fixed number of steps instead of a minute")
steps = parser.parse_args().steps
length = {"steps": steps} if steps else {"minutes": 1}

run = tf.train(tf.Problem(valley, {"T": (0.4, 1.2)}), **length)
for T in (0.4, 0.7, 1.2):
    samples = run.at(T=T).sample(10_000)
    value, error = samples.log_z
    print(f"T = {T}: ESS {samples.ess:.3f}, log Z {value:.3f} ± {error:.3f}, exact {np.log(np.pi * T):.3f}")
