"""The command line: `python -m picie_core COMMAND`."""

from __future__ import annotations

import sys

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command


def main() -> None:
    """Runs the command that the process was started with and exits with its code."""
    sys.exit(run_command(COMMANDS))


if __name__ == "__main__":
    main()
