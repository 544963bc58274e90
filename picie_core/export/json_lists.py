"""JSON files with long lists, written item by item: a list of a million images is never in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any


def write_json_list(path: Path, items: Iterable[Any]) -> None:
    """Writes a JSON list with one item a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        _write_list(file, items)
        file.write("\n")


def write_json_lists(path: Path, head: dict[str, Any], lists: dict[str, Iterable[Any]]) -> None:
    """Writes a JSON object: the pairs of `head` (at least one), then the lists, in order, with one item a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(head, ensure_ascii=False).removesuffix("}"))
        for name, items in lists.items():
            file.write(f",\n{json.dumps(name)}: ")
            _write_list(file, items)
        file.write("}\n")


def _write_list(file: IO[str], items: Iterable[Any]) -> None:
    file.write("[")
    separator = "\n"
    for item in items:
        file.write(separator + json.dumps(item, ensure_ascii=False))
        separator = ",\n"
    file.write("\n]")
