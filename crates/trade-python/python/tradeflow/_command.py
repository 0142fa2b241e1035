"""The command `trade`, as the wheel installs it."""

import signal
import sys

from . import _native


def main() -> None:
    """Run the tool with the arguments of the process and exit with its code."""
    # The tool ends a training with a checkpoint by itself; anything else ends at once, as a program does.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_native.command(sys.argv[1:]))
