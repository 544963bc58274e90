"""The names that are offered while naming: one a line, checked, kept in the workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from picie_core.errors import PicieError, SettingError
from picie_core.labels.vocabulary import names_in, read_vocabulary, set_vocabulary
from picie_core.workspace.workspace import Workspace


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    (tmp_path / "images").mkdir()
    return Workspace.create(tmp_path / "work", tmp_path / "images")


def test_names_by_hand() -> None:
    """Stripped, each once in its first spelling, in order; empty lines and comments are no names."""
    text = "\ufeffroad\n  Sky \n\n# things\nSKY\ntall trees\r\n".encode()
    assert names_in(text, "x.txt") == ["road", "Sky", "tall trees"]


def test_a_vocabulary_is_kept_and_replaced(space: Workspace) -> None:
    """What was set is read again as it was, in a text file that people can open; another set replaces it."""
    assert read_vocabulary(space.vocabulary_path) == []
    assert set_vocabulary(space.vocabulary_path, b"road\nsky\n", "a.txt") == ["road", "sky"]
    assert (space.vocabulary_path).read_text() == "road\nsky\n"
    set_vocabulary(space.vocabulary_path, "straße".encode(), "b.txt")
    assert read_vocabulary(space.vocabulary_path) == ["straße"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"road\n" + b"x" * 61, "line 2.*1 to 60 characters"),
        (b"ignore", "line 1.*reserved"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"".join(b"name %d\n" % number for number in range(5001)), "5,001 names"),
    ],
)
def test_what_is_no_list_of_names_is_refused_and_changes_nothing(space: Workspace, text: bytes, words: str) -> None:
    """The message says which line and what is wrong with it; the old names stay."""
    set_vocabulary(space.vocabulary_path, b"road", "a.txt")
    with pytest.raises(SettingError, match=words):
        set_vocabulary(space.vocabulary_path, text, "b.txt")
    assert read_vocabulary(space.vocabulary_path) == ["road"]


def test_the_command_sets_and_lists(space: Workspace, tmp_path: Path, say) -> None:
    """`label vocabulary FILE` takes a file, without FILE it prints the names; a missing file is an error."""
    (tmp_path / "names.txt").write_text("road\nsky\n")
    assert say("label", "vocabulary", tmp_path / "names.txt", "--workspace", space.root).code == 0
    said = say("label", "vocabulary", "--workspace", space.root, "--json")
    assert said.code == 0 and '"names": ["road", "sky"]' in said.out
    said = say("label", "vocabulary", tmp_path / "gone.txt", "--workspace", space.root)
    assert said.code == 1 and "cannot be read" in said.err


def test_a_file_broken_by_hand_is_refused(space: Workspace) -> None:
    """The error names the file and the line."""
    (space.vocabulary_path).write_text("road\nignore\n")
    with pytest.raises(PicieError, match=r"vocabulary.txt, line 2"):
        read_vocabulary(space.vocabulary_path)
