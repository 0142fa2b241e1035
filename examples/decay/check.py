"""Compare samples of the trained flow with the exact posterior of this simulator.

    python check.py COUNTS samples-0.5.npy 0.5 samples-1.npy 1 ...

COUNTS are the six counts, separated by commas. The program prints mean and standard deviation of each
parameter, from the samples and by quadrature over a grid.
"""

import sys

import numpy as np

from simulate import expected_counts


def exact(counts, beta):
    """Mean and deviation of log A, log h and b under p(theta) p(n|theta)^beta."""
    axes = [
        np.linspace(np.log(200.0) - 3.0, np.log(200.0) + 3.0, 161),
        np.linspace(np.log(4.0) - 2.4, np.log(4.0) + 2.4, 161),
        np.linspace(5.0, 40.0, 141),
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    theta = np.concatenate([np.exp(grid[..., :2]), grid[..., 2:]], axis=-1)
    mean = expected_counts(theta)
    log_prior = -0.5 * ((grid[..., 0] - np.log(200.0)) / 0.5) ** 2
    log_prior += -0.5 * ((grid[..., 1] - np.log(4.0)) / 0.4) ** 2
    log = log_prior + beta * np.sum(counts * np.log(mean) - mean, axis=-1)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    first = [np.sum(weight * grid[..., k]) for k in range(3)]
    second = [np.sum(weight * (grid[..., k] - first[k]) ** 2) for k in range(3)]
    return np.array(first), np.sqrt(second)


def main():
    counts = np.array([float(n) for n in sys.argv[1].split(",")])
    print("beta   parameter    flow             exact")
    for path, beta in zip(sys.argv[2::2], sys.argv[3::2]):
        theta = np.load(path).astype(float)
        values = np.concatenate([np.log(theta[:, :2]), theta[:, 2:]], axis=1)
        mean, deviation = exact(counts, float(beta))
        for k, name in enumerate(["log A", "log h", "b"]):
            print(
                f"{beta:>4}   {name:9}  {values[:, k].mean():7.3f} ± {values[:, k].std():.3f}"
                f"  {mean[k]:7.3f} ± {deviation[k]:.3f}"
            )


if __name__ == "__main__":
    main()
