"""The README says what is there: its file tree is that of the packages."""

from __future__ import annotations

from pathlib import Path

from docs.file_tree import END, START, file_tree

ROOT = Path(__file__).resolve().parents[1]


def test_the_file_tree_lists_every_module_with_its_phrase():
    """A module that is added, renamed or described anew is in the tree: `python docs/file_tree.py --write`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.partition(START)[2].partition(END)[0] == file_tree()
