"""Simulate pairs of parameters and observations of a decaying source in front of a counter.

A source of activity A (counts a minute at t = 0) and half-life h (minutes) is counted for one minute
from t = 0, 1, 2, 4, 8, 16 minutes, over a background of b counts a minute. The observation is
2 sqrt(n + 3/8) of each count n, whose noise has a standard deviation of about 1.

    python simulate.py pairs.npz 20000
"""

import sys

import numpy as np

STARTS = np.array([0.0, 1.0, 2.0, 4.0, 8.0, 16.0])


def prior(n, rng):
    activity = np.exp(rng.normal(np.log(200.0), 0.5, n))
    half_life = np.exp(rng.normal(np.log(4.0), 0.4, n))
    background = rng.uniform(5.0, 40.0, n)
    return np.stack([activity, half_life, background], axis=1)


def expected_counts(theta):
    activity, half_life, background = (theta[..., k, None] for k in range(3))
    rate = np.log(2.0) / half_life
    decayed = np.exp(-rate * STARTS) - np.exp(-rate * (STARTS + 1.0))
    return activity * decayed / rate + background


def observe(counts):
    return 2.0 * np.sqrt(counts + 0.375)


def main():
    path, n = sys.argv[1], int(sys.argv[2])
    rng = np.random.default_rng(1)
    theta = prior(n, rng)
    y = observe(rng.poisson(expected_counts(theta)))
    np.savez(path, theta=theta.astype(np.float32), y=y.astype(np.float32))


if __name__ == "__main__":
    main()
