"""The reference of commands, docs/commands.md: every command and option, from the parser of the command line.

python docs/command_reference.py --write     writes docs/commands.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import build_parser
from picie_core.published_backbones import PUBLISHED_BACKBONES

PATH = Path(__file__).resolve().parent / "commands.md"
HEAD = """# Commands

Everything the app does, `python -m picie_core COMMAND` does too. Made from the program by
`python docs/command_reference.py --write`; a test keeps both together.
"""


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yields the parser of each command, those of a group after the group."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield sub
                yield from parsers(sub)


def spelling(action: argparse.Action) -> str:
    """Returns how an option is given: `--format {png,voc} ...`."""
    words = [*action.option_strings[-1:]]
    if action.nargs != 0:
        value = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else str(action.metavar or action.dest)
        words.append(value + (" ..." if action.nargs == "+" else ""))
    return " ".join(words)


def section(parser: argparse.ArgumentParser) -> str:
    """Returns the heading, the advice and the options of one command."""
    name = parser.prog.removeprefix("python -m picie_core ")
    options = [action for action in parser._actions if action.dest not in ("help", "json")]
    lines = [f"\n## `{name}`\n\n{parser.description}\n"]
    options = [action for action in options if not isinstance(action, argparse._SubParsersAction)]
    if options:
        lines.append("\n| option | meaning |\n|---|---|\n")
        for action in options:
            meaning = (action.help or "").replace("|", "\\|").replace("%%", "%")
            lines.append(f"| `{spelling(action)}`{' (needed)' if action.required else ''} | {meaning} |\n")
    return "".join(lines)


def command_reference() -> str:
    """Returns docs/commands.md."""
    parser = build_parser(COMMANDS)
    return HEAD + "\nAll commands take `--json`, which prints the result as one JSON line at the end.\n" + "".join(
        section(sub) for sub in parsers(parser)
    ) + backbone_table()


def backbone_table() -> str:
    """Returns the table of what `--backbone` offers."""
    head = """
## Backbones

What `--backbone` takes by a short name, `timm:NAME` aside; time on a CPU for an image of 320 px, of ResNet-18 = 1.

| name | good for | network | download, MB | time | weights | published |
|---|---|---|---|---|---|---|
"""
    return head + "".join(
        f"| `{one.name}` | {one.meaning} | {one.network} | {one.download_mb} | {one.cpu_time:g} | {one.source} | "
        f"{one.quality or '-'} |\n"
        for one in PUBLISHED_BACKBONES
    )


def main() -> None:
    """Prints the reference, or writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/commands.md")
    if parser.parse_args().write:
        PATH.write_text(command_reference(), encoding="utf-8")
    else:
        print(command_reference())


if __name__ == "__main__":
    main()
