"""Snapshots: saved once under a name, restored as one edit, deleted without changing a decision."""

from __future__ import annotations

import pytest

from picie_core.errors import SettingError
from tests.factories import names_of

KEY = "k27-digest"


def test_snapshots_are_listed_saved_once_and_deleted(label_map):
    """Saving and deleting change no decision and cannot be undone; returning is an edit like any other."""
    label_map.name_clusters(KEY, [0, 1], "road")
    label_map.save_snapshot(" before ")
    label_map.name_clusters(KEY, [0], "ignore")
    label_map.save_snapshot("after")
    assert [(one.name, one.classes, one.clusters) for one in label_map.snapshots()] == [
        ("after", 1, 2),
        ("before", 1, 2),
    ]
    label_map.restore_snapshot("before")
    assert names_of(label_map, KEY) == {0: "road", 1: "road"}
    label_map.undo()
    assert names_of(label_map, KEY) == {0: "ignore", 1: "road"}
    label_map.delete_snapshot("before")
    assert label_map.can_redo().words == "returned to snapshot “before”" and label_map.redo() is not None
    assert names_of(label_map, KEY) == {0: "road", 1: "road"}
    assert [event.kind for event in label_map.history(3)] == ["redo", "forget", "undo"]


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda m: m.save_snapshot("one"), "snapshot 'one' is there already: choose another"),
        (lambda m: m.save_snapshot("  "), "1 to 60 characters"),
        (lambda m: m.save_snapshot("a\nb"), "one line"),
        (lambda m: m.restore_snapshot("two"), "no snapshot 'two': there are one"),
        (lambda m: m.delete_snapshot("two"), "no snapshot 'two': there are one"),
    ],
)
def test_wrong_snapshots_are_refused(label_map, use, message):
    """Nothing is overwritten in silence, and an unknown name lists the known ones."""
    label_map.save_snapshot("one")
    with pytest.raises(SettingError, match=message):
        use(label_map)
    assert label_map.version() == 1
