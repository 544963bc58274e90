"""Names survive a change of K: a class goes to the new clusters that hold its pixels, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from picie_core.clustering.clustering import Clustering
from picie_core.clustering.split_proposals import propose_split
from picie_core.data.class_names import IGNORE_ID
from picie_core.errors import PicieError
from picie_core.labels.label_transfer import transferred_classes
from picie_core.workspace.cluster_edits import split_cluster, use_k
from tests.factories import clustering_of


def labelled(labels: list[int], k: int) -> Clustering:
    """A clustering whose sample has these labels."""
    return replace(clustering_of(np.eye(k, dtype=np.float32)), labels=np.array(labels, np.uint16))


def test_a_class_needs_half_of_the_cluster():
    """New cluster 0: 3 of 4 road; 1: 1 of 3 sky, 2 unnamed; 2: half ignored; 3: two clusters of one class together."""
    old = labelled([0, 0, 0, 1, 1, 2, 2, 3, 2, 0, 4], 6)
    new = labelled([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3], 5)
    classes = {0: 0, 4: 0, 1: 1, 3: IGNORE_ID}
    assert transferred_classes(old, classes, new) == {0: 0, 2: IGNORE_ID, 3: 0}


def test_of_two_halves_the_first_class_counts():
    """Exactly half each: the class with the lower id, whatever the order of pixels."""
    old, new = labelled([1, 0, 1, 0], 2), labelled([0, 0, 0, 0], 1)
    assert transferred_classes(old, {0: 5, 1: 3}, new) == {0: 3}


def test_the_same_clusters_transfer_everything():
    """From a clustering to itself, every class arrives."""
    labels = np.random.default_rng(0).integers(0, 7, 100).tolist()
    made = labelled(labels, 7)
    classes = {0: 2, 3: 0, 5: IGNORE_ID, 6: 2}
    assert transferred_classes(made, classes, made) == classes


def test_clusterings_of_two_samples_are_refused():
    """Pixels of two samples cannot be compared."""
    with pytest.raises(PicieError, match="names are transferred between clusterings of one sample only"):
        transferred_classes(labelled([0, 1], 2), {0: 0}, labelled([0, 1, 1], 2))


def test_another_k_gets_the_names_once_and_the_transfer_can_be_undone(finished_copy):
    """A cluster gets the class of half of its pixels; names that are there stay; one undo takes all of it back."""
    run, label_map = finished_copy.current_run(), finished_copy.label_map
    before = run.clustering()
    label_map.name_clusters(before.key, [0, 2], "road")
    label_map.name_clusters(before.key, [1], "ignore")
    made, transferred = use_k(run, 20)
    assert label_map.get_choice("clustering") == "k20-s0"
    expected = transferred_classes(before, label_map.classes_of(before.key), made)
    assert label_map.classes_of(made.key) == expected and len(expected) > 3
    assert (transferred.names, transferred.source) == (
        len(expected),
        "K = 6",
    ) and transferred.event == label_map.can_undo()
    assert use_k(run, 6)[1] is None and use_k(run, 20)[1] is None
    label_map.undo(transferred.event.id)
    assert label_map.classes_of(made.key) == {} and label_map.classes_of(before.key) == {0: 0, 1: IGNORE_ID, 2: 0}


def test_a_transfer_that_was_undone_is_not_made_again(finished_copy):
    """Who returns to a K whose names they took away finds it without names; another K gets them as ever."""
    run, label_map = finished_copy.current_run(), finished_copy.label_map
    label_map.name_clusters(run.clustering().key, [0, 2], "road")
    made, transferred = use_k(run, 20)
    label_map.undo(transferred.event.id)
    assert use_k(run, 6)[1] is None and use_k(run, 20)[1] is None
    assert label_map.classes_of(made.key) == {}
    assert use_k(run, 6)[1] is None and use_k(run, 15)[1] is not None


def test_names_of_parts_are_transferred_too(finished_copy):
    """A class that only a part of a split has goes where the pixels of that part go."""
    run, label_map = finished_copy.current_run(), finished_copy.label_map
    before = run.clustering()
    parts = split_cluster(before, 0, propose_split(before, before.sample().embeddings, 0, 2)).parts
    label_map.name_clusters(before.key, [parts[1]], "road")
    made, transferred = use_k(run, 20)
    split = run.clustering("k6-s0")
    owned = label_map.classes_of(made.key)
    assert transferred.names == len(owned) > 0
    for cluster in owned:
        assert np.mean(split.labels[made.labels == cluster] == parts[1]) >= 0.5


def test_without_names_nothing_is_transferred(finished_copy):
    """The first clusterings of a workspace make no edit."""
    run = finished_copy.current_run()
    assert use_k(run, 9)[1] is None and finished_copy.label_map.version() == 0


def test_the_command_line_says_what_was_transferred(finished_copy, say):
    """`cluster --k` names how many and from where, and `label undo` takes it back."""
    key = finished_copy.current_run().clustering().key
    finished_copy.label_map.name_clusters(key, [0, 1, 2], "road")
    result = json.loads(say("cluster", "--workspace", finished_copy.root, "--k", 4, "--json").out)
    assert result["names_transferred"] > 0 and result["transferred_from"] == "K = 6"
    undone = json.loads(say("label", "undo", "--workspace", finished_copy.root, "--json").out)["undone"]
    names = f"{result['names_transferred']} name{'s' * (result['names_transferred'] > 1)}"
    assert undone == [f"transferred {names} from K = 6"]
    again = json.loads(say("cluster", "--workspace", finished_copy.root, "--k", 6, "--json").out)
    assert "names_transferred" not in again
