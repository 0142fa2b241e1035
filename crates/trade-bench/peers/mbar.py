"""Free energies of the φ⁴ lattice from hybrid Monte Carlo by pymbar.

    python mbar.py --kappa 0.25 0.26 0.27 0.28 0.29 --count 4000

Fields of each κ come from `trade simulate phi4`, which must be on PATH or be named with --trade. One JSON
object a line: κ, log Z(κ)/Z(first κ) with pymbar's error, and at the end the energy evaluations, the
wall-clock seconds of the simulations and those of pymbar. Only differences of log Z can be had of such
samples.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pymbar


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kappa", type=float, nargs="+", required=True)
    parser.add_argument("--side", type=int, default=8)
    parser.add_argument("--lam", type=float, default=0.02, help="the quartic coupling")
    parser.add_argument("--count", type=int, default=4000, help="fields at each κ")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trade", default="trade")
    args = parser.parse_args()

    fields, evaluations, start = [], 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for kappa in args.kappa:
            path = Path(folder) / f"{kappa}.npy"
            settings = {"l": args.side, "lambda": args.lam, "kappa": kappa, "seed": args.seed, "count": args.count}
            flags = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
            command = [args.trade, "simulate", "phi4", *flags, "--output", str(path), "--quiet"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            fields.append(np.load(path).astype(float).reshape(-1, args.side, args.side))
            run = json.loads(path.with_suffix(".json").read_text())
            trajectories = run["thermalisation"] + run["trajectories"]
            evaluations += run["config"]["chains"] * trajectories * run["steps"]
    simulated = time.perf_counter() - start

    counts = [len(x) for x in fields]
    x = np.concatenate(fields)
    local = ((1 - 2 * args.lam) * x**2 + args.lam * x**4).sum((1, 2))
    hopping = (x * np.roll(x, 1, 1) + x * np.roll(x, 1, 2)).sum((1, 2))
    reduced = np.stack([local - 2 * kappa * hopping for kappa in args.kappa])
    start = time.perf_counter()
    found = pymbar.MBAR(reduced, counts).compute_free_energy_differences()
    solved = time.perf_counter() - start
    for kappa, value, error in zip(args.kappa, found["Delta_f"][0], found["dDelta_f"][0]):
        print(json.dumps({"kappa": kappa, "log_z": -value, "error": error}))
    totals = {"evaluations": evaluations, "simulated_s": simulated, "pymbar_s": solved}
    print(json.dumps(totals | {"pymbar": pymbar.__version__, "count": args.count}))


if __name__ == "__main__":
    main()
