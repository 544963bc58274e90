"""Splits: parts take over from their cluster, and no pixel of any other cluster ever changes."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.clustering.clustering import cluster_scores
from picie_core.clustering.split_proposals import split_among, split_between
from picie_core.clustering.splits import Split, clean_prototypes, cosine_scores, read_splits, splits_record
from picie_core.errors import PicieError, SettingError
from picie_core.evaluation.cluster_head import ClusterHead
from picie_core.segmentation.masks import class_mask, cluster_mask
from tests.factories import clustering_of, position_labels, unit

BASE = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
PARTS = unit(np.array([[1, 0, 1], [1, 0, -1]]))


def random_case(seed: int, k: int = 6, dim: int = 8, rows: int = 500):
    """Unit embeddings, unit centroids and three splits: of cluster 2 into 3, of its first part, and of a new part."""
    rng = np.random.default_rng(seed)
    draw = lambda count: unit(rng.normal(size=(count, dim)))  # noqa: E731
    splits = [Split(2, k, draw(3)), Split(2, k + 2, draw(2)), Split(k + 1, k + 3, draw(4))]
    return draw(rows), draw(k), splits


def test_the_rule_by_hand():
    """The part that fits best scores what the cluster scored; the other one less by their distance."""
    embeddings = np.array([[3, 0, 0.3], [3, 0, -0.3], [0, 2, 0]], np.float32)
    made = clustering_of(BASE, [Split(0, 2, PARTS)], embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))
    scores = cluster_scores(embeddings, made)
    own, lag = 1 / np.hypot(1, 0.1), 0.2 / np.sqrt(2) / np.hypot(1, 0.1)
    expected = [[own, own - lag, 0], [0, 0, 1], [own - lag, own, 0]]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert made.k == 3 and made.base_k == 2 and made.name == "k2-s0"
    assert made.labels.tolist() == [0, 2, 1] and made.counts.tolist() == [1, 1, 1]
    np.testing.assert_array_equal(made.centroids, [PARTS[0], BASE[1], PARTS[1]])


@pytest.mark.parametrize("seed", range(5))
def test_parts_take_over_and_no_other_cluster_moves(seed):
    """Bit by bit: other clusters keep their scores, the best part scores what the cluster scored, parts stay inside."""
    embeddings, centroids, splits = random_case(seed)
    before, after = cosine_scores(embeddings, centroids), cosine_scores(embeddings, centroids, splits)
    others = [0, 1, 3, 4, 5]
    family = [2, 6, 7, 8, 9, 10, 11]
    np.testing.assert_array_equal(after[others], before[others])
    np.testing.assert_array_equal(after[family].max(0), before[2])
    old, new = before.argmax(0), after.argmax(0)
    np.testing.assert_array_equal(np.isin(new, family), old == 2)
    np.testing.assert_array_equal(new[old != 2], old[old != 2])


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_the_sample_are_the_best_scores(seed):
    """Sample and feature maps go by one rule; the similarity of a part's pixels is the cosine to its prototype."""
    embeddings, centroids, splits = random_case(seed)
    made = clustering_of(centroids, splits, embeddings)
    np.testing.assert_array_equal(made.labels, cluster_scores(embeddings, made).argmax(0))
    np.testing.assert_array_equal(position_labels(embeddings[None], made)[0], made.labels)
    cosines = (embeddings * made.centroids[made.labels]).sum(1)
    np.testing.assert_allclose(made.similarity, cosines, atol=1e-3)


def test_splits_one_by_one_are_all_at_once():
    """Adding a split to a clustering that has some gives what all of them give together."""
    embeddings, centroids, splits = random_case(0)
    together, one_by_one = clustering_of(centroids, splits, embeddings), clustering_of(centroids, [], embeddings)
    for split in splits:
        one_by_one = one_by_one.with_splits([split], embeddings)
    assert one_by_one.digest == together.digest and one_by_one.k == together.k == 12
    for name in ("labels", "similarity", "centroids", "base_centroids"):
        np.testing.assert_array_equal(getattr(one_by_one, name), getattr(together, name))


def test_the_digest_changes_with_every_split_and_the_key_never():
    """Caches use the digest, names the key."""
    embeddings, centroids, splits = random_case(1)
    found = [clustering_of(centroids, splits[:count], embeddings) for count in range(4)]
    assert len({one.digest for one in found}) == 4 and {one.key for one in found} == {"key"}
    assert found[0].digest == "key"


def test_masks_keep_the_class_of_every_pixel_when_parts_share_it():
    """A split whose parts inherit the class changes no pixel of the mask of classes; other clusters' pixels never."""
    rng = np.random.default_rng(5)
    feature_map = rng.normal(size=(12, 17, 8)).astype(np.float32)
    _, centroids, splits = random_case(5)
    plain, parted = clustering_of(centroids), clustering_of(centroids, splits)
    classes = {0: 0, 2: 1, 4: 2, 5: 1}
    inherited = classes | {part: 1 for split in splits for part in split.parts}
    np.testing.assert_array_equal(
        class_mask(feature_map, parted, inherited, 50, 70), class_mask(feature_map, plain, classes, 50, 70)
    )
    before, after = cluster_mask(feature_map, plain, 50, 70), cluster_mask(feature_map, parted, 50, 70)
    np.testing.assert_array_equal(after[before != 2], before[before != 2])


def test_an_evaluated_clustering_scores_its_splits():
    """The classifier of a clustering has a row for each part, with the same scores as everywhere."""
    embeddings, centroids, splits = random_case(2)
    head = ClusterHead.of_centroids(centroids, splits)
    assert head.k == 12
    expected = cosine_scores(embeddings, centroids, splits)
    np.testing.assert_array_equal(head.scores(embeddings.reshape(20, 25, 8)).reshape(12, -1), expected)


def test_splits_go_through_json_bit_by_bit():
    """What `label export` writes is what `label import` reads."""
    _, _, splits = random_case(3)
    again = read_splits(splits_record(splits), k=6, dim=8)
    assert [(one.cluster, one.first_new) for one in again] == [(2, 6), (2, 8), (7, 9)]
    for one, other in zip(splits, again, strict=True):
        np.testing.assert_array_equal(one.centroids, other.centroids)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first_new": 7}, r'"splits"\[0\] must split one of clusters 0 to 5 and add 6: is this map of another'),
        ({"cluster": 6}, r"must split one of clusters 0 to 5"),
        ({"parts": 5}, r"cannot be read"),
        ({"centroids": "?"}, r"cannot be read"),
        ({"cluster": None}, r"cannot be read"),
    ],
)
def test_wrong_splits_of_a_record_are_refused(change, message):
    """A record of another clustering, or a broken one, is refused with key and rule."""
    records = splits_record(random_case(3)[2])
    with pytest.raises(SettingError, match=message):
        read_splits([{**records[0], **change}, *records[1:]], k=6)
    with pytest.raises(SettingError, match="8 numbers a prototype, not 32: is this map of another embedder"):
        read_splits(records, k=6, dim=32)


@pytest.mark.parametrize("rows", [np.ones((1, 3)), np.ones((2, 3)), np.full((2, 3), np.nan), np.eye(9), np.ones(3)])
def test_prototypes_are_two_to_eight_unit_vectors(rows):
    """Anything else is refused with what was given."""
    with pytest.raises(SettingError, match=r"2 to 8 prototypes|unit length"):
        clean_prototypes(rows)


def test_splits_of_another_embedder_say_what_to_do():
    """Prototypes of another width never reach a matrix product."""
    with pytest.raises(PicieError, match="2 numbers a prototype, the embeddings have 3: undo the import"):
        clustering_of(BASE, [Split(0, 2, np.eye(2, dtype=np.float32))])


def test_sorted_crops_give_their_unit_means():
    """A prototype a set, the mean direction whatever the lengths; each set is on its own side."""
    rng = np.random.default_rng(0)
    sets = [unit(np.eye(5)[i] + 0.2 * rng.normal(size=(7, 5))) for i in range(3)]
    found = split_among([sets[0] * 3, sets[1].astype(np.float16), sets[2]])
    np.testing.assert_allclose(found, unit(np.stack([one.mean(0) for one in sets])), atol=1e-3)
    assert [(one @ found.T).argmax(1).tolist() for one in sets] == [[0] * 7, [1] * 7, [2] * 7]
    np.testing.assert_allclose(split_among(sets[:2]), split_between(*sets[:2]), atol=1e-6)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([np.eye(3)], "sorted into 1 sets, a split takes 2 to 8"),
        ([np.eye(9)[i : i + 1] for i in range(9)], "sorted into 9 sets"),
        ([np.eye(3), np.zeros((0, 3))], "one of the sets has no crops"),
        ([np.eye(3), np.eye(3)], "two of the sets have the same mean embedding"),
    ],
)
def test_crops_that_cannot_be_told_apart_are_refused(sets, message):
    """Too few, too many, empty or equal sets say what to do."""
    with pytest.raises(SettingError, match=message):
        split_among(sets)
