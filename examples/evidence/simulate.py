"""Write the data of two linear regressions, and print their exact log evidence.

One is y = X w + noise with 40 rows and 20 weights, w ~ N(0, 1), and noise of deviation 1. Columns of X are
correlated. The other one is a line through 30 years, y = a + b year with noise of deviation 2 and the priors
a ~ N(0, 5000), b ~ N(0, 10). The evidence at the power b is that of noise of deviation sigma/sqrt(b), up to a
known factor.

    python simulate.py
"""

import numpy as np

ROWS, COLUMNS = 40, 20


def log_evidence(x, y, sigma, power):
    """log of the integral of N(w; 0, 1) N(y; X w, sigma)^power."""
    n, variance = len(y), sigma**2 / power
    # N(y; Xw, s)^b = (2 pi s^2)^(-nb/2) (2 pi s^2/b)^(n/2) N(y; Xw, s/sqrt(b)). The posterior's precision is small
    # beside the covariance of the data, and better conditioned.
    precision = np.eye(x.shape[1]) + x.T @ x / variance
    right = x.T @ y / variance
    _, log_det = np.linalg.slogdet(precision)
    square = y @ y / variance - right @ np.linalg.solve(precision, right)
    return -0.5 * (n * power * np.log(2 * np.pi * sigma**2) + log_det + square)


def main():
    rng = np.random.default_rng(3)
    common = rng.normal(size=(ROWS, 1))
    x = np.round(np.sqrt(0.8) * rng.normal(size=(ROWS, COLUMNS)) + np.sqrt(0.2) * common, 4)
    w = rng.normal(size=COLUMNS)
    y = np.round(x @ w + rng.normal(size=ROWS), 4)
    header = ",".join(f"x{k}" for k in range(COLUMNS))
    np.savetxt("regression_x.csv", x, "%.4f", ",", header=header, comments="")
    np.savetxt("regression_y.csv", y, "%.4f", header="y", comments="")
    for power in [0.01, 0.1, 0.5, 1.0, 2.0]:
        print(f"regression, beta = {power}: log Z = {log_evidence(x, y, 1.0, power):.5f}")

    year = np.arange(1990, 2020)
    y = np.round(12 + 0.4 * (year - 1990) + 2 * rng.normal(size=len(year)), 2)
    np.savetxt("years.csv", np.column_stack([year, y]), ["%d", "%.2f"], ",", header="year,y", comments="")
    x = np.column_stack([np.full(len(year), 5000.0), 10.0 * year])
    for power in [1e-6, 1e-3, 0.1, 1.0]:
        print(f"years, beta = {power:g}: log Z = {log_evidence(x, y, 2.0, power):.5f}")


if __name__ == "__main__":
    main()
