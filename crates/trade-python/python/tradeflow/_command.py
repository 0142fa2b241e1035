"""The command ``trade``, which is the tool of that name."""

import signal
import sys

from . import _native


def main() -> None:
    """Does what was typed and ends the program."""
    # The tool has handlers of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_native.command(["trade", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
