"""Merging two classes: all clusters follow, ids stay dense, one edit that can be undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from picie_core.errors import SettingError
from picie_core.labels.label_map import LabelMap


@pytest.fixture
def named(tmp_path: Path) -> LabelMap:
    """Three classes; clusters of two clusterings."""
    label_map = LabelMap(tmp_path / "labels.sqlite")
    for key, clusters, name in (("a", [0], "sea"), ("a", [1, 2], "road"), ("b", [5], "sea"), ("a", [3], "lake")):
        label_map.name_clusters(key, clusters, name)
    return label_map


def by_name(label_map: LabelMap, key: str) -> dict[int, str]:
    """Cluster to the name of its class."""
    names = {item.id: item.name for item in label_map.classes()}
    return {cluster: names[owner] for cluster, owner in label_map.classes_of(key).items()}


def test_every_cluster_follows_and_no_other_changes(named: LabelMap) -> None:
    """Clusters of every clustering go over; ids are dense; colours of the others stay."""
    colors = {item.name: item.color for item in named.classes()}
    named.merge_class(0, into=2)
    assert by_name(named, "a") == {0: "lake", 1: "road", 2: "road", 3: "lake"}
    assert by_name(named, "b") == {5: "lake"}
    assert [item.id for item in named.classes()] == [0, 1]
    assert {item.name: item.color for item in named.classes()} == {one: colors[one] for one in ("road", "lake")}


def test_undo_brings_everything_back(named: LabelMap) -> None:
    """The exact inverse, and the words of the history say what it was."""
    before = named.classes(), named.classes_of("a"), named.classes_of("b")
    named.merge_class(2, into=0)
    undone = named.undo()
    assert undone is not None and undone.words == "merged lake into sea"
    assert (named.classes(), named.classes_of("a"), named.classes_of("b")) == before


def test_what_cannot_be_merged_is_told(named: LabelMap) -> None:
    """A class with itself, or one that is not there: nothing changes."""
    with pytest.raises(SettingError, match="into itself"):
        named.merge_class(1, into=1)
    with pytest.raises(SettingError, match="no class 7"):
        named.merge_class(1, into=7)
    assert named.history(1)[0].kind == "name"
