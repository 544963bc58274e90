"""One function a command; its docstring is the help, its parameters and settings are the options."""

from __future__ import annotations

from picie_core.cli import Command
from picie_core.commands.embed import embed

COMMANDS: dict[str, Command] = {
    "embed": embed,
}
