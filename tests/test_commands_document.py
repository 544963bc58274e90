"""docs/commands.md says what the commands take, and the documents name only commands and options that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.command_reference import PATH, command_reference, parsers
from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import build_parser

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md"]
COMMAND = re.compile(r"python -m picie_core ((?:[a-z-]+ )*[a-z-]+)(.*)")


def test_the_reference_is_that_of_the_program():
    """An option that is added or described anew is in it: `python docs/command_reference.py --write`."""
    assert PATH.read_text(encoding="utf-8") == command_reference()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documents_name_commands_and_options_that_exist(document):
    """Every `python -m picie_core ...` in a document names a command, and only options that it takes."""
    known = {
        parser.prog.removeprefix("python -m picie_core "): {
            word for action in parser._actions for word in action.option_strings
        }
        for parser in parsers(build_parser(COMMANDS))
    }
    for line in document.read_text(encoding="utf-8").splitlines():
        for found in COMMAND.finditer(line):
            words = found[1].split()
            name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in known), None)
            assert name is not None, f"no command: {found[0]}"
            unknown = set(re.findall(r"--[a-z][a-z-]*", found[2])) - known[name]
            assert not unknown, f"{name} takes no {', '.join(sorted(unknown))}: {found[0]}"
