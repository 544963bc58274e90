"""Names in the app: one rule for what is the same name, that of the core and of the command line."""

from __future__ import annotations

import unicodedata

import pytest

from app.shared.naming import class_of_name, names_offered
from picie_core.workspace.workspace import Workspace

DECOMPOSED = unicodedata.normalize("NFD", "Café")
"""As a Mac types it: the accent is a character of its own."""


@pytest.fixture
def named(workspace: Workspace) -> Workspace:
    """A workspace with one class, called café."""
    workspace.label_map.name_clusters(workspace.current_run().clustering().key, [0], "café")
    return workspace


def test_another_spelling_is_the_class_that_is_there(named: Workspace) -> None:
    """Case, and how accents are composed, make no other name; the label map agrees, and `ignore` has its id."""
    assert class_of_name(named, DECOMPOSED) == class_of_name(named, " CAFÉ ") == 0
    assert class_of_name(named, "Ignore") == 255 and class_of_name(named, "cafe") is None
    named.label_map.name_clusters(named.current_run().clustering().key, [1], DECOMPOSED)
    assert [item.name for item in named.label_map.classes()] == ["café"]


def test_the_vocabulary_offers_no_second_spelling_of_a_class(named: Workspace) -> None:
    """A name of the vocabulary that is a class already is offered once, as it is written there."""
    named.vocabulary_path.write_text(f"{DECOMPOSED}\nroad\n", encoding="utf-8")
    assert names_offered(named) == ["café", "road", "ignore"]
