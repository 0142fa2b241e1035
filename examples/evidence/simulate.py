"""Write the data of the linear regression, and print its exact log evidence.

The model is y = X w + noise with 40 rows and 20 weights, w ~ N(0, 1), and noise of deviation 1. Columns of
X are correlated. The evidence at the power b is that of noise of deviation 1/sqrt(b), up to a known factor.

    python simulate.py
"""

import numpy as np

ROWS, COLUMNS = 40, 20


def log_evidence(x, y, power):
    """log of the integral of N(w; 0, 1) N(y; X w, 1)^power."""
    n = len(y)
    # N(y; Xw, 1)^b = (2 pi)^(-nb/2) (2 pi/b)^(n/2) N(y; Xw, 1/b)
    covariance = x @ x.T + np.eye(n) / power
    _, log_det = np.linalg.slogdet(covariance)
    normal = -0.5 * (n * np.log(2 * np.pi) + log_det + y @ np.linalg.solve(covariance, y))
    return normal + 0.5 * n * (np.log(2 * np.pi / power) - power * np.log(2 * np.pi))


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
        print(f"beta = {power}: log Z = {log_evidence(x, y, power):.5f}")


if __name__ == "__main__":
    main()
