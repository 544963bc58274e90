"""Crops that are sorted out of a cluster: what gets a new cluster, what stays, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.errors import SettingError
from picie_core.labels.crop_split import CROPS, crops_to_review, split_crops


@pytest.fixture
def crop_split(finished_copy):
    """A workspace whose cluster 1 is road, its clustering, its sample, and the crops of that cluster."""
    found = finished_copy.current_run().clustering()
    finished_copy.label_map.name_clusters(found.key, [1], "road")
    sample = finished_copy.current_run().sample()
    return finished_copy, found, sample, crops_to_review(sample, found, 1)


def test_the_picked_crops_and_similar_pixels_get_a_new_cluster(crop_split):
    """Most picked crops are in the new part, most others stay; other clusters keep every pixel; one undo is enough."""
    space, found, sample, crops = crop_split
    assert len(crops) <= CROPS and (found.labels[crops] == 1).all()
    rows = np.asarray(sample.embeddings[crops], np.float32)
    picked = np.argsort(rows @ rows[0])[-len(crops) // 3 :]  # a third that looks like the first
    (made,) = split_crops(space.label_map, sample, found, 1, crops=crops, sets={"kerb": picked.tolist()})
    after = space.current_run().clustering()
    assert made == 6 and after.k == 7
    np.testing.assert_array_equal(after.labels[found.labels != 1], found.labels[found.labels != 1])
    chosen = np.isin(np.arange(len(crops)), picked)
    assert (after.labels[crops[chosen]] == 6).mean() > 0.8 and (after.labels[crops[~chosen]] == 1).mean() > 0.8
    names = {item.id: item.name for item in space.label_map.classes()}
    owners = space.label_map.classes_of(found.key)
    assert {cluster: names[owner] for cluster, owner in owners.items()} == {1: "road", 6: "kerb"}
    assert space.label_map.undo().words == "split kerb off cluster 1"
    assert space.label_map.classes_of(found.key) == {1: 0} and len(space.label_map.classes()) == 1


def test_all_crops_picked_name_the_cluster(crop_split):
    """Where nothing is left over there is nothing to split."""
    space, found, sample, crops = crop_split
    assert split_crops(space.label_map, sample, found, 1, crops=crops, sets={"Ignore": range(len(crops))}) == [1]
    assert space.label_map.classes_of(found.key) == {1: 255}


def test_a_second_set_is_sorted_with_the_first_in_one_edit(crop_split):
    """The edit with fewer sets is replaced, by whoever made it only; one undo takes all of it back."""
    space, found, sample, crops = crop_split
    half = len(crops) // 2
    split_crops(space.label_map, sample, found, 1, crops=crops, sets={"kerb": [0, 1]})
    event = space.label_map.can_undo().id
    sets = {"kerb": [0, 1], "grass": [half, half + 1]}
    made = split_crops(space.label_map, sample, found, 1, crops=crops, sets=sets, instead_of=event)
    assert made == [6, 7]
    after = space.current_run().clustering()
    assert after.k == 8 and after.labels[crops[0]] == 6 and after.labels[crops[half]] == 7
    with pytest.raises(SettingError, match="somebody edited meanwhile"):
        split_crops(space.label_map, sample, found, 1, crops=crops, sets={"kerb": [0, 1], "sky": [3]}, instead_of=event)
    assert space.current_run().clustering().digest == after.digest
    assert space.label_map.undo().words == "split kerb and grass off cluster 1"
    assert space.label_map.classes_of(found.key) == {1: 0}


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({}, "no crop is picked"),
        ({"kerb": []}, "no crop is picked"),
        ({"kerb": [-1]}, "no crop -1"),
        ({"kerb": [60]}, "no crop 60"),
        ({"kerb": [1], "sky": [2, 1]}, "crop 1 is picked twice"),
        ({"kerb": [0], "sky": range(1, 60)}, "every crop is picked|no crop"),
    ],
)
def test_impossible_picks_are_refused(crop_split, sets, words):
    """Nothing is stored."""
    space, found, sample, crops = crop_split
    with pytest.raises(SettingError, match=words):
        split_crops(space.label_map, sample, found, 1, crops=crops, sets=sets)
    with pytest.raises(SettingError):
        split_crops(space.label_map, sample, found, 1, crops=crops, sets={"": [0]})
    assert space.label_map.version() == 1
