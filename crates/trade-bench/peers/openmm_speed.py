"""Speed of OpenMM's CPU platforms on a small molecule, beside `trade simulate molecule`.

    python3 -m venv venv
    venv/bin/pip install openmm==8.6.1
    venv/bin/python openmm_speed.py --system ../../trade-molecule/data/alanine/system.xml \
        --pdb ../../trade-molecule/data/alanine/topology.pdb

Langevin middle dynamics of one molecule at 300 K with 1/ps and 2 fs, as `trade simulate molecule`
runs it. One JSON object a line: `peer`, `version`, `platform`, `threads`, then of the fastest of
some repeats `steps_per_s` and `ns_per_day`, and `evaluations_per_s`, energies with forces alone.
"""

import argparse
import json
import time

import openmm
from openmm import app, unit


def fastest(action, repeats):
    """The shortest time of `action`, s."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(system, positions, platform, threads, steps, repeats):
    """Steps and evaluations in a second on a platform."""
    integrator = openmm.LangevinMiddleIntegrator(
        300 * unit.kelvin, 1 / unit.picosecond, 2 * unit.femtosecond
    )
    properties = {"Threads": str(threads)} if platform == "CPU" else {}
    context = openmm.Context(
        system, integrator, openmm.Platform.getPlatformByName(platform), properties
    )
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=200)
    context.setVelocitiesToTemperature(300 * unit.kelvin, 1)
    integrator.step(steps // 10)
    moving = fastest(lambda: integrator.step(steps), repeats)

    def evaluate():
        # Setting positions makes the platform compute anew.
        for _ in range(steps // 10):
            context.setPositions(positions)
            context.getState(energy=True, forces=True)

    evaluating = fastest(evaluate, repeats)
    return steps / moving, steps // 10 / evaluating


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--system", required=True, help="a System as XML")
    arguments.add_argument("--pdb", required=True, help="the start")
    arguments.add_argument("--threads", type=int, default=1, help="of the platform CPU")
    arguments.add_argument("--steps", type=int, default=20_000, help="in a repeat")
    arguments.add_argument("--repeats", type=int, default=5)
    typed = arguments.parse_args()
    with open(typed.system) as file:
        system = openmm.XmlSerializer.deserialize(file.read())
    positions = app.PDBFile(typed.pdb).positions
    for platform in ("Reference", "CPU"):
        steps, evaluations = measure(
            system, positions, platform, typed.threads, typed.steps, typed.repeats
        )
        line = {
            "peer": "openmm",
            "version": openmm.version.version,
            "platform": platform,
            "threads": typed.threads if platform == "CPU" else 1,
            "steps_per_s": round(steps),
            "ns_per_day": round(steps * 2e-6 * 86_400, 1),
            "evaluations_per_s": round(evaluations),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
