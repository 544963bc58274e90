"""Names and splits that corrected masks propose: the majority, the shares, and splits that make pixels right."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.clustering.clustering import cluster_scores
from picie_core.clustering.splits import Split
from picie_core.labels.corrections import LEAST_POSITIONS, Corrections
from tests.factories import clustering_of, unit

CENTROIDS = unit(np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]]))


def map_of(rows: np.ndarray) -> np.ndarray:
    """A feature map (h, 10, 4) whose rows of positions are near these embeddings."""
    noise = np.random.default_rng(0).normal(scale=0.02, size=(len(rows), 10, 4))
    return unit(rows[:, None] + noise)


def mask_of(classes: list[int]) -> np.ndarray:
    """A mask at eight times the size of the map, each row of positions of one class."""
    return np.repeat(np.array(classes, np.uint8), 8)[:, None].repeat(80, axis=1)


def test_majorities_are_counted_at_the_centres_of_positions():
    """Cluster 0 is mostly class 2, cluster 1 half and half, cluster 2 too small to say anything."""
    found = Corrections(clustering_of(CENTROIDS), 3)
    rows = CENTROIDS[[0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2]]
    found.add(map_of(rows), mask_of([2, 2, 2, 1, 0, 0, 0, 1, 1, 1, 0]))
    assert found.counts.tolist() == [[0, 10, 30], [30, 30, 0], [10, 0, 0]]
    names = {one.cluster: one for one in found.names()}
    assert set(names) == {0, 1} and (names[0].class_id, names[0].share, names[0].positions) == (2, 0.75, 40)
    assert names[1].class_id == 0 and LEAST_POSITIONS > 10


def test_positions_without_a_corrected_class_do_not_count():
    found = Corrections(clustering_of(CENTROIDS), 2)
    found.add(map_of(CENTROIDS[[0, 0, 0]]), mask_of([255, 1, 255]))
    found.add(map_of(CENTROIDS[[0]]), mask_of([255]))
    assert found.counts.tolist() == [[0, 10], [0, 0], [0, 0]] and found.names() == []


@pytest.mark.parametrize("owner", [None, 0, 1])
def test_a_cluster_of_two_kinds_is_split_between_them(owner):
    """The prototypes tell the kinds apart; the class that the cluster has comes first and keeps its id."""
    clustering = clustering_of(CENTROIDS)
    kinds = CENTROIDS[[0] * 8] + np.outer([1] * 5 + [-1] * 3, [0, 0, 0, 0.4])
    found = Corrections(clustering, 2)
    feature_map = map_of(kinds)
    found.add(feature_map, mask_of([0] * 5 + [1] * 3))
    (split,) = found.splits({} if owner is None else {0: owner})
    first = owner or 0
    assert split.cluster == 0 and [one for one, _ in split.parts] == [first, 1 - first]
    assert dict(split.parts) == {0: 5 / 8, 1: 3 / 8}
    assert (split.right_before, split.right_after) == (5 / 8, 1.0)
    scores = cluster_scores(feature_map.reshape(-1, 4), clustering_of(CENTROIDS, [Split(0, 3, split.prototypes)]))
    parts = np.where(scores.argmax(0) == 0, first, 1 - first).reshape(8, 10)
    np.testing.assert_array_equal(parts, np.repeat([[0]] * 5 + [[1]] * 3, 10, axis=1))


def test_what_the_network_cannot_tell_apart_is_not_split():
    """Two classes that look alike, and a class of less than 15 % of the cluster, are no reason to split."""
    found = Corrections(clustering_of(CENTROIDS), 2)
    found.add(map_of(CENTROIDS[[0] * 6]), mask_of([0, 1] * 3))
    kinds = CENTROIDS[[1] * 20] + np.outer([1] * 18 + [-1] * 2, [0, 0, 0, 0.4])
    found.add(map_of(kinds), mask_of([0] * 18 + [1] * 2))
    assert found.splits({}) == []


def test_the_same_images_propose_the_same():
    """Which embeddings are kept is drawn by the seed."""
    rng = np.random.default_rng(3)
    proposals = []
    for _ in range(2):
        found = Corrections(clustering_of(CENTROIDS), 2)
        rng = np.random.default_rng(3)
        for _ in range(6):
            side = rng.random(30) < 0.5
            kinds = CENTROIDS[[0] * 30] + np.outer(np.where(side, 1, -1), [0, 0, 0, 0.2])
            found.add(
                unit(kinds[:, None] + rng.normal(scale=0.1, size=(30, 10, 4))), mask_of(side.astype(int).tolist())
            )
        proposals += found.splits({})
    np.testing.assert_array_equal(proposals[0].prototypes, proposals[1].prototypes)
