"""Sets timings of our training step and of peers side by side.

Each file holds lines of JSON as `trade-bench speed` and `torch_step.py` print them. The first file is
ours; the others are named by their files. Prints a table in Markdown.
"""

import argparse
import json
from pathlib import Path


def timings(path):
    """Milliseconds by settings and operation, and the device they were taken on."""
    found = {}
    for line in path.read_text().splitlines():
        if line.startswith("{") and "milliseconds" in (measured := json.loads(line)):
            found[measured["settings"], measured["operation"]] = measured["milliseconds"]
    return found


def table(ours, peers):
    """One line for each operation that was measured, of ours or of a peer."""
    names = list(peers)
    yield "| settings | operation | TRADE, ms | " + " | ".join(f"{n}, ms" for n in names) + " | " + (
        " | ".join(f"{n} / TRADE" for n in names) + " |"
    )
    yield "|:--|:--|--:|" + "--:|" * (2 * len(names))
    keys = sorted(set(ours).union(*peers.values()))
    for key in keys:
        own = ours.get(key)
        theirs = [peers[name].get(key) for name in names]
        cells = ["–" if t is None else f"{t:.2f}" for t in [own, *theirs]]
        cells += ["–" if t is None or own is None else f"{t / own:.2f}" for t in theirs]
        yield "| " + " | ".join([*key, *cells]) + " |"


def main():
    """Reads the files and prints the table."""
    parser = argparse.ArgumentParser(description="Ratios of step times.")
    parser.add_argument("ours", type=Path)
    parser.add_argument("peers", type=Path, nargs="*")
    arguments = parser.parse_args()
    peers = {path.stem: timings(path) for path in arguments.peers}
    print("\n".join(table(timings(arguments.ours), peers)))


if __name__ == "__main__":
    main()
