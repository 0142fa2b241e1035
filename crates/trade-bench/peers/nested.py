"""Measure the log evidence of the worked examples by nested sampling: nautilus and dynesty.

    python nested.py --model schools --peer nautilus --seed 1

The models are those of examples/evidence at the power 1, with the same data. One JSON object a line: peer,
version, model, seed, log_z, its own error, the exact value where one is known, likelihood calls and
wall-clock seconds. Neither peer gives a density, or another power, from the same run.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy import special, stats

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "evidence"


def table(name):
    return np.genfromtxt(FOLDER / name, delimiter=",", names=True)


def regression():
    x = np.genfromtxt(FOLDER / "regression_x.csv", delimiter=",", skip_header=1)
    y = np.genfromtxt(FOLDER / "regression_y.csv", skip_header=1)

    def log_likelihood(w):
        return -0.5 * np.sum((y - x @ w) ** 2) - 0.5 * len(y) * np.log(2 * np.pi)

    exact = stats.multivariate_normal(np.zeros(len(y)), x @ x.T + np.eye(len(y))).logpdf(y)
    return x.shape[1], special.ndtri, log_likelihood, float(exact)


def schools(centred):
    data = table("schools.csv")
    y, sigma = data["effect"], data["error"]

    def transform(u):
        mu, tau = 5 * special.ndtri(u[0]), 5 * np.tan(0.5 * np.pi * u[1])
        eta = special.ndtri(u[2:])
        return np.concatenate([[mu, tau], mu + tau * eta if centred else eta])

    def log_likelihood(x):
        theta = x[2:] if centred else x[0] + x[1] * x[2:]
        return np.sum(stats.norm.logpdf(y, theta, sigma))

    # Given tau all is normal; tau = 5 tan(pi u / 2) of a uniform u, by midpoints.
    u = (np.arange(400_000) + 0.5) / 400_000
    variance = (5 * np.tan(0.5 * np.pi * u))[:, None] ** 2 + sigma**2
    precision = np.sum(1 / variance, 1) + 1 / 25
    log = -0.5 * np.sum(np.log(2 * np.pi * variance) + y**2 / variance, 1)
    log += 0.5 * np.sum(y / variance, 1) ** 2 / precision - 0.5 * np.log(25 * precision)
    exact = special.logsumexp(log) - np.log(len(u))
    return 10, transform, log_likelihood, float(exact)


def iris(columns):
    data = table("iris.csv")
    x = np.stack([np.ones(len(data))] + [data[c] for c in columns], 1)
    sign = 2 * data["virginica"] - 1

    def log_likelihood(b):
        return -np.sum(np.logaddexp(0, -sign * (x @ b)))

    return x.shape[1], lambda u: 5 * special.ndtri(u), log_likelihood, None


PETALS = ["petal_length", "petal_width"]
MODELS = {
    "regression": regression,
    "schools": lambda: schools(False),
    "schools_centred": lambda: schools(True),
    "iris_petals": lambda: iris(PETALS),
    "iris_all": lambda: iris(PETALS + ["sepal_length", "sepal_width"]),
}


def nautilus(dim, transform, log_likelihood, seed):
    from nautilus import Sampler, __version__

    sampler = Sampler(transform, log_likelihood, n_dim=dim, pass_dict=False, seed=seed)
    sampler.run(verbose=False)
    # The error of an importance-weighted mean.
    error = 1 / np.sqrt(sampler.n_eff)
    return __version__, sampler.log_z, error


def dynesty(dim, transform, log_likelihood, seed):
    from dynesty import NestedSampler, __version__

    rng = np.random.default_rng(seed)
    sampler = NestedSampler(log_likelihood, transform, dim, nlive=500, rstate=rng)
    sampler.run_nested(dlogz=0.01, print_progress=False)
    found = sampler.results
    return __version__, found.logz[-1], found.logzerr[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--peer", choices=["nautilus", "dynesty"], required=True)
    parser.add_argument("--seed", type=int, default=0)
    typed = parser.parse_args()
    dim, transform, log_likelihood, exact = MODELS[typed.model]()
    calls = 0

    def counted(x):
        nonlocal calls
        calls += 1
        return log_likelihood(x)

    start = time.time()
    peer = {"nautilus": nautilus, "dynesty": dynesty}[typed.peer]
    version, log_z, error = peer(dim, transform, counted, typed.seed)
    found = {
        "peer": typed.peer,
        "version": version,
        "model": typed.model,
        "seed": typed.seed,
        "log_z": float(log_z),
        "error": float(error),
        "exact": exact,
        "calls": calls,
        "seconds": round(time.time() - start, 1),
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
