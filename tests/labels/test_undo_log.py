"""The history of edits: undo is the exact inverse, redo the exact inverse of undo, for everyone and across restarts."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from picie_core.data.class_names import IGNORE_ID
from picie_core.errors import PicieError, SettingError
from picie_core.labels.label_map import LabelMap
from tests.factories import decisions, names_of, unit

KEY, OTHER = "k27-digest", "k60-digest"
ROOT = Path(__file__).parents[2]
PROTOTYPES = unit(np.random.default_rng(0).normal(size=(3, 8)))


EVERY_EDIT = [
    lambda m: m.name_clusters(KEY, [0, 3], "road"),
    lambda m: m.name_clusters(KEY, [1, 4], "sky"),
    lambda m: m.name_clusters(OTHER, [7], "road"),
    lambda m: m.name_clusters(KEY, [2], "tree"),
    lambda m: m.split_cluster(KEY, 3, PROTOTYPES, 27),
    lambda m: m.name_clusters(KEY, [27], "car"),
    lambda m: m.split_cluster(KEY, 27, PROTOTYPES[:2], 29),
    lambda m: m.name_clusters(KEY, [1, 27], "ignore"),
    lambda m: m.name_clusters(KEY, [2], None),
    lambda m: m.name_clusters(KEY, [0, 3, 28, 29], "sky"),
    lambda m: m.rename_class(0, "street"),
    lambda m: m.recolor_class(1, "#010203"),
    lambda m: m.delete_class(1),
    lambda m: m.transfer_names(OTHER, {1: 0, 2: IGNORE_ID, 7: 1}, "K = 27"),
    lambda m: m.import_map(KEY, {"classes": [{"name": "a"}, {"name": "street"}], "clusters": {"1": "a"}}, 27),
    lambda m: m.restore_snapshot("early"),
]
WORDS = [
    "named 2 clusters road",
    "named 2 clusters sky",
    "named cluster 7 road",
    "named cluster 2 tree",
    "split cluster 3 into 3",
    "named cluster 27 car",
    "split cluster 27 into 2",
    "ignored 2 clusters",
    "took the name of cluster 2 away",
    "named 4 clusters sky",
    "renamed road to street",
    "recoloured sky",
    "deleted class sky",
    "transferred 2 names from K = 27",
    "imported 1 name",
    "returned to snapshot “early”",
]


def test_every_edit_back_and_forth(label_map):
    """Every kind of edit, undone down to nothing and redone to the end: each state comes back row by row."""
    states, events = [decisions(label_map)], []
    for index, edit in enumerate(EVERY_EDIT):
        edit(label_map)
        if index == 3:
            label_map.save_snapshot("early")
        states.append(decisions(label_map))
        events.append(label_map.can_undo())
    assert [event.words for event in events] == WORDS
    for event, state in zip(events[::-1], states[-2::-1], strict=True):
        assert label_map.can_undo() == event and label_map.undo() == event
        assert decisions(label_map) == state
    assert label_map.undo() is None and label_map.can_undo() is None
    for event, state in zip(events, states[1:], strict=True):
        assert label_map.can_redo() == event and label_map.redo() == event
        assert decisions(label_map) == state
    assert label_map.redo() is None and label_map.can_redo() is None


def test_undo_and_redo_are_events_and_nothing_leaves_the_log(label_map):
    """The log only grows: it says what was undone and redone, and the version tells other tabs."""
    label_map.name_clusters(KEY, [0], "road")
    label_map.undo()
    label_map.redo()
    label_map.undo()
    label_map.name_clusters(KEY, [0], "sky")
    assert [event.id for event in label_map.history()] == [5, 4, 3, 2, 1] and label_map.version() == 5
    assert [event.words for event in label_map.history()] == [
        "named cluster 0 sky",
        "undid: named cluster 0 road",
        "redid: named cluster 0 road",
        "undid: named cluster 0 road",
        "named cluster 0 road",
    ]
    assert label_map.history(2)[1].payload == {"undoes": 1, "what": "named cluster 0 road"}


def test_a_new_edit_ends_what_can_be_redone(label_map):
    """After undos, the next edit starts from what is there; what was undone stays in the log only."""
    for name in ("road", "sky", "tree"):
        label_map.name_clusters(KEY, [0], name)
    label_map.undo()
    label_map.undo()
    assert label_map.can_redo().words == "named cluster 0 sky"
    label_map.name_clusters(KEY, [1], "car")
    assert label_map.can_redo() is None and label_map.redo() is None
    assert names_of(label_map, KEY) == {0: "road", 1: "car"}
    label_map.undo()
    label_map.undo()
    assert names_of(label_map, KEY) == {} and label_map.classes() == []


def test_an_edit_that_changes_nothing_is_none(label_map):
    """Naming a cluster as it is called is no edit: nothing to undo, and what can be redone stays."""
    label_map.name_clusters(KEY, [0], "road")
    label_map.name_clusters(KEY, [1], "road")
    label_map.undo()
    label_map.name_clusters(KEY, [0], "ROAD")
    label_map.rename_class(0, "road")
    label_map.name_clusters(KEY, [5], None)
    assert label_map.version() == 3 and label_map.can_redo().words == "named cluster 1 road"


def test_choices_and_refusals_are_no_edits(label_map):
    """What is in use, and what was refused, cannot be undone."""
    label_map.set_choice("clustering", "k27-s0")
    with pytest.raises(SettingError):
        label_map.rename_class(0, "x")
    assert label_map.can_undo() is None and label_map.undo() is None
    assert label_map.get_choice("clustering") == "k27-s0"


def test_undo_in_another_process_after_a_restart(label_map):
    """The history is in the file: a process that never saw the edits takes them back, another makes them again."""
    for edit in EVERY_EDIT[:4]:
        edit(label_map)
    after = decisions(label_map)
    program = (
        "import sys; from picie_core.labels.label_map import LabelMap\n"
        "print(getattr(LabelMap(sys.argv[1]), sys.argv[2])().words)"
    )

    def elsewhere(name: str) -> str:
        command = [sys.executable, "-c", program, str(label_map.path), name]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()

    assert [elsewhere("undo"), elsewhere("undo")] == ["named cluster 2 tree", "named cluster 7 road"]
    assert names_of(label_map, KEY) == {0: "road", 3: "road", 1: "sky", 4: "sky"}
    assert [elsewhere("redo"), elsewhere("redo")] == ["named cluster 7 road", "named cluster 2 tree"]
    assert decisions(label_map) == after


def test_undo_refuses_another_edit_than_the_one_meant(label_map):
    """Who clicks on “undo: named road” does not take back what another tab did since."""
    label_map.name_clusters(KEY, [0], "road")
    meant = label_map.can_undo().id
    LabelMap(label_map.path).name_clusters(KEY, [1], "sky")
    with pytest.raises(SettingError, match="somebody edited meanwhile, the last edit is now “named cluster 1 sky”"):
        label_map.undo(meant)
    assert names_of(label_map, KEY) == {0: "road", 1: "sky"}
    label_map.undo(label_map.can_undo().id)
    with pytest.raises(SettingError, match="somebody edited meanwhile"):
        label_map.redo(meant)
    label_map.redo()
    with pytest.raises(SettingError, match="nothing is left"):
        label_map.redo(meant)


def test_a_file_changed_behind_the_log_is_never_made_worse(label_map):
    """Where rows are not what the edit left, undo refuses instead of guessing."""
    label_map.name_clusters(KEY, [0], "road")
    with closing(sqlite3.connect(label_map.path)) as database, database:
        database.execute("UPDATE assignments SET cluster = 5")
    before = decisions(label_map)
    with pytest.raises(PicieError, match=r"edit 1 .* cannot be undone or redone: another program changed assignments"):
        label_map.undo()
    assert decisions(label_map) == before


# -- merges never swap


def test_a_merge_moves_the_clusters_it_names_and_no_other(label_map):
    """Merging b into a leaves a called a, b's old clusters called a, and c untouched, whatever the order of ids."""
    for cluster, name in enumerate(["c", "a", "b", "a", "b", "c"]):
        label_map.name_clusters(KEY, [cluster], name)
    ids = {item.name: item.id for item in label_map.classes()}
    colors = {item.name: item.color for item in label_map.classes()}
    label_map.name_clusters(KEY, [2, 4], "a")
    assert names_of(label_map, KEY) == {0: "c", 1: "a", 2: "a", 3: "a", 4: "a", 5: "c"}
    assert {item.name: item.id for item in label_map.classes()} == ids
    label_map.delete_class(ids["b"])
    assert names_of(label_map, KEY) == {0: "c", 1: "a", 2: "a", 3: "a", 4: "a", 5: "c"}
    assert {item.name: item.color for item in label_map.classes()} == {"c": colors["c"], "a": colors["a"]}
    label_map.undo()
    label_map.undo()
    assert names_of(label_map, KEY) == dict(enumerate(["c", "a", "b", "a", "b", "c"]))


# -- splits


def test_parts_get_new_ids_and_inherit_the_class(label_map):
    """The first part keeps the id; a part can be split again; other clusters keep id and name."""
    label_map.name_clusters(KEY, [3], "road")
    label_map.name_clusters(KEY, [4], "sky")
    assert label_map.split_cluster(KEY, 3, PROTOTYPES, 27) == [3, 27, 28]
    assert label_map.split_cluster(KEY, 28, PROTOTYPES[:2], 29) == [28, 29]
    assert label_map.split_cluster(KEY, 5, PROTOTYPES[:2], 30) == [5, 30]
    assert names_of(label_map, KEY) == {3: "road", 27: "road", 28: "road", 29: "road", 4: "sky"}
    assert [(one.cluster, one.first_new, len(one.centroids)) for one in label_map.splits_of(KEY)] == [
        (3, 27, 3),
        (28, 29, 2),
        (5, 30, 2),
    ]
    np.testing.assert_array_equal(label_map.splits_of(KEY)[0].centroids, PROTOTYPES)
    assert label_map.splits_of(OTHER) == []


def test_two_who_split_at_once(label_map):
    """A concurrent split of another cluster moves the new ids; one of the same cluster is refused."""
    assert label_map.split_cluster(KEY, 3, PROTOTYPES, 27) == [3, 27, 28]
    assert label_map.split_cluster(KEY, 5, PROTOTYPES[:2], 27) == [5, 29]
    with pytest.raises(SettingError, match="cluster 3 was split, or a split undone, meanwhile"):
        label_map.split_cluster(KEY, 3, PROTOTYPES, 27)
    label_map.undo()
    with pytest.raises(SettingError, match="cluster 7 was split, or a split undone, meanwhile"):
        label_map.split_cluster(KEY, 7, PROTOTYPES, 30)
    label_map.undo()
    with pytest.raises(SettingError, match="a split undone, meanwhile"):
        label_map.split_cluster(KEY, 3, PROTOTYPES, 29)
    with pytest.raises(SettingError, match="no cluster 27: ids run from 0 to 26"):
        label_map.split_cluster(KEY, 27, PROTOTYPES, 27)
    assert label_map.splits_of(KEY) == []


def test_splits_are_exported_and_imported(label_map, tmp_path):
    """A map with splits goes into an empty workspace and comes back the same; one without removes them."""
    for edit in EVERY_EDIT[:8]:
        edit(label_map)
    record, other = label_map.export_map(KEY), LabelMap(tmp_path / "other.sqlite")
    other.import_map(KEY, record, 27, 8)
    assert other.export_map(KEY) == record and len(record["splits"]) == 2
    assert other.split_cluster(KEY, 0, PROTOTYPES, 30) == [0, 30, 31]
    old = {name: record[name] for name in ("classes",)} | {"clusters": {"0": "road"}}
    other.import_map(KEY, old, 27)
    assert other.splits_of(KEY) == [] and names_of(other, KEY) == {0: "road"}
    with pytest.raises(SettingError, match="cluster from 0 to 26, got '27'"):
        other.import_map(KEY, {**old, "clusters": {"27": "road"}}, 27)


# -- label transfer


def test_a_label_transfer_never_replaces_a_name(label_map):
    """Only clusters without a name get one, in one edit; an unknown class is refused."""
    label_map.name_clusters(KEY, [0], "road")
    label_map.name_clusters(OTHER, [1], "sky")
    assert label_map.transfer_names(OTHER, {1: 0, 2: 0, 3: IGNORE_ID}, "K = 27") == 2
    assert names_of(label_map, OTHER) == {1: "sky", 2: "road", 3: "ignore"}
    with pytest.raises(SettingError, match="no class 7: there are 2"):
        label_map.transfer_names(OTHER, {5: 7}, "K = 27")
    assert label_map.undo().words == "transferred 2 names from K = 27"
    assert names_of(label_map, OTHER) == {1: "sky"}
