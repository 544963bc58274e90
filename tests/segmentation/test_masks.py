"""Masks: scores of channels, and labels of pixels, against slow versions and by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np

from picie_core.clustering.clustering import Clustering
from picie_core.segmentation.masks import channel_scores, class_mask, cluster_mask
from tests.hand_made import clustering_of, unit


def some_features(height: int, width: int, k: int, seed: int = 0) -> tuple[np.ndarray, Clustering]:
    """A feature map (h, w, 8) and a clustering of k random unit centroids."""
    rng = np.random.default_rng(seed)
    feature_map = rng.normal(size=(height, width, 8)).astype(np.float32)
    return feature_map, clustering_of(unit(rng.normal(size=(k, 8))))


def test_memory_is_bounded_for_wide_pictures():
    """A 20,000 px wide picture with 300 clusters stays under 256 MB, its mask included."""
    feature_map, clustering = some_features(40, 640, 300)
    feature_map = feature_map[:1, :1] + 0.2 * feature_map  # as in images, few clusters are possible
    tracemalloc.start()
    mask = cluster_mask(feature_map, clustering, 600, 20_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mask.shape == (600, 20_000) and peak < 256e6


def test_rows_of_scores_equal_all_scores():
    """Scores that are made a few rows at a time, to save memory, give the same mask as all at once."""
    feature_map, clustering = some_features(40, 50, 20)
    whole = cluster_mask(feature_map, clustering, 333, 417)
    np.testing.assert_array_equal(cluster_mask(feature_map, clustering, 333, 417, scores_bytes=1000), whole)


def test_scores_are_cosines_to_the_best_cluster_of_a_channel():
    """Against the definition, position by position; the length of an embedding (int8 ones have any) does not matter."""
    feature_map, clustering = some_features(5, 6, 7)
    channels = np.array([2, 0, 1, 0, 2, 2, 1])
    cosines = unit(feature_map) @ clustering.centroids.T
    for channel in range(3):
        expected = cosines[..., channels == channel].max(-1)
        np.testing.assert_allclose(channel_scores(feature_map, clustering, channels)[channel], expected, atol=1e-6)
    scaled = channel_scores(feature_map * np.linspace(1, 9, 6)[None, :, None], clustering, channels)
    np.testing.assert_allclose(scaled, channel_scores(feature_map, clustering, channels), atol=1e-6)
    quantised = np.rint(feature_map / np.abs(feature_map).max(-1, keepdims=True) * 127).astype(np.int8)
    np.testing.assert_allclose(channel_scores(quantised, clustering), cosines.transpose(2, 0, 1), atol=0.02)


def test_an_empty_embedding_has_no_score():
    """A position of zeros gives zeros, not NaN."""
    assert (channel_scores(np.zeros((2, 2, 8), np.int8), some_features(1, 1, 3)[1]) == 0).all()


def test_cluster_masks_leave_255_free_up_to_255_clusters():
    """Raw ids are uint8 while 255 means nothing else, then uint16."""
    for k, dtype in ((255, np.uint8), (256, np.uint16), (300, np.uint16)):
        feature_map, clustering = some_features(20, 20, k)
        mask = cluster_mask(feature_map, clustering, 40, 40)
        assert mask.dtype == dtype and mask.max() < k


def test_a_merge_never_swaps_ids():
    """With two clusters in one class no class takes another's id: names only replace the ids of clusters."""
    feature_map, clustering = some_features(12, 12, 6)
    raw = cluster_mask(feature_map, clustering, 12, 12)  # one pixel a position: no interpolation
    merged = class_mask(feature_map, clustering, {0: 4, 1: 2, 2: 4, 3: 0, 4: 255}, 12, 12)
    expected = np.array([4, 2, 4, 0, 255, 255], np.uint8)[raw]
    np.testing.assert_array_equal(merged, expected)


def test_naming_every_cluster_apart_equals_the_clusters():
    """With one class a cluster the class mask is the cluster mask, whatever the ids, everywhere."""
    feature_map, clustering = some_features(9, 9, 5)
    ids = {0: 3, 1: 0, 2: 4, 3: 1, 4: 2}
    raw = cluster_mask(feature_map, clustering, 70, 90)
    expected = np.array([ids[cluster] for cluster in range(5)], np.uint8)[raw]
    assert (class_mask(feature_map, clustering, ids, 70, 90) == expected).mean() > 0.9999


def test_nothing_named_is_all_ignored():
    """Without names there is no class to write."""
    feature_map, clustering = some_features(4, 4, 3)
    assert (class_mask(feature_map, clustering, {}, 9, 9) == 255).all()
