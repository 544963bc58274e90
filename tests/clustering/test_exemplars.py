"""Exemplars: which pixels stand for a cluster, by hand and by what holds for every kind, and the facts of clusters."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.clustering.clustering import Clustering
from picie_core.clustering.exemplars import KINDS, cluster_facts, exemplars
from picie_core.data.embedding_sample import EmbeddingSample
from picie_core.errors import SettingError


def a_sample(images: np.ndarray, positions: np.ndarray, similarity: np.ndarray, labels: np.ndarray):
    """A sample of 2-D embeddings at given positions, and its clustering of two centroids."""
    centroids = np.eye(2, dtype=np.float32)
    angle = np.where(labels == 0, np.arccos(similarity), np.pi / 2 - np.arccos(similarity))
    embeddings = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float16)
    positions = np.column_stack([images, positions]).astype(np.int32)
    sample = EmbeddingSample(embeddings, positions, np.zeros((len(images), 2), np.float32))
    return sample, Clustering(2, 0, "key", centroids, labels.astype(np.uint16), similarity.astype(np.float16), 0.1)


def random_sample(seed: int = 0, images: int = 12, n: int = 600):
    rng = np.random.default_rng(seed)
    positions = rng.integers(0, 60, (n, 2))
    return a_sample(rng.integers(0, images, n), positions, rng.uniform(0.71, 1, n), rng.integers(0, 2, n))


def test_typical_by_hand():
    """The closest of each image first, the best image first; then the second ones; neighbours of a shown one never."""
    images = np.array([0, 0, 0, 1, 1, 2])
    positions = np.array([[0, 0], [1, 1], [30, 30], [5, 5], [40, 5], [9, 9]])
    similarity = np.array([0.99, 0.98, 0.80, 0.95, 0.90, 0.97])
    sample, clustering = a_sample(images, positions, similarity, np.zeros(6, int))
    assert exemplars(sample, clustering, 0).tolist() == [0, 5, 3, 4, 2]
    assert exemplars(sample, clustering, 1).tolist() == []


def test_border_is_the_smallest_margin_to_another_cluster():
    """The border exemplar is the one that is nearly in the other cluster."""
    sample, clustering = random_sample()
    first = exemplars(sample, clustering, 0, "border")[0]
    cosines = sample.embeddings.astype(np.float32) @ clustering.centroids.T
    margin = cosines[:, 0] - cosines[:, 1]
    members = np.flatnonzero(clustering.labels == 0)
    assert first == members[margin[members].argmin()]


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_comes_once_before_any_comes_twice(kind):
    """Every kind shows as many images as it can; all exemplars are members, none comes twice, and repeats are equal."""
    sample, clustering = random_sample()
    found = exemplars(sample, clustering, 1, kind)
    images = sample.positions[found, 0].tolist()
    assert len(set(images[:12])) == 12
    assert (clustering.labels[found] == 1).all() and len(set(found.tolist())) == len(found)
    assert exemplars(sample, clustering, 1, kind).tolist() == found.tolist()
    if kind == "one per image":
        assert len(found) == 12


def test_one_per_image_is_sorted_by_share_and_shows_the_most_typical():
    """The image that the cluster fills comes first, with its most typical pixel."""
    sample, clustering = random_sample(3)
    found = exemplars(sample, clustering, 0, "one per image")
    images = sample.positions[:, 0]
    shares = [(clustering.labels[images == image] == 0).mean() for image in images[found]]
    assert shares == sorted(shares, reverse=True)
    for pixel in found:
        mates = (images == images[pixel]) & (clustering.labels == 0)
        assert clustering.similarity[pixel] == clustering.similarity[mates].max()


def test_random_draws_differ_by_seed():
    """Another seed shows other pixels."""
    sample, clustering = random_sample()
    first, second = (exemplars(sample, clustering, 0, "random", seed=seed).tolist() for seed in (0, 1))
    assert first != second


def test_images_with_a_stored_feature_map_come_first():
    """With a small disk budget the crops that can be outlined are shown before the others."""
    sample, clustering = random_sample()
    stored = {2, 7, 9}
    found = exemplars(sample, clustering, 0, "typical", stored)
    assert set(sample.positions[found[:3], 0].tolist()) == stored
    assert len(set(sample.positions[found[:12], 0].tolist())) == 12


def test_facts_by_hand():
    """Share, images and tightness of each cluster, an empty one included."""
    sample, clustering = a_sample(
        np.array([0, 0, 4]), np.zeros((3, 2), int), np.array([1.0, 0.75, 0.875]), np.zeros(3, int)
    )
    full, empty = cluster_facts(sample, clustering)
    assert (full.share, full.images, round(full.tightness, 6)) == (1.0, 2, 0.875)
    assert (empty.share, empty.images, empty.tightness) == (0.0, 0, 0.0)


def test_wrong_kind_and_cluster_are_refused():
    """The message names the value and what there is."""
    sample, clustering = random_sample()
    with pytest.raises(SettingError, match="kind='best' is unknown: choose one of typical"):
        exemplars(sample, clustering, 0, "best")
    with pytest.raises(SettingError, match="no cluster 2: ids run from 0 to 1"):
        exemplars(sample, clustering, 2)
