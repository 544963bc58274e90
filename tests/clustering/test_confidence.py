"""Confidence: by hand, margins against sorting, and what a threshold leaves of a sample."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from picie_core.clustering.confidence import (
    best_and_margin,
    best_of_channels,
    class_channels,
    confidence_of,
    coverage,
    row_confidence,
    sample_confidence,
)
from tests.hand_made import clustering_of


def test_confidence_is_the_margin_in_a_softmax_at_the_temperature_of_trainings():
    """By the definition: exp(s1 / 0.1) and exp(s2 / 0.1), their difference over their sum; a tie is 0."""
    first, second = np.float32(0.62), np.array([0.62, 0.55, 0.4, -0.3], np.float32)
    odds = np.exp(second / 0.1), np.exp(first / 0.1)
    expected = (odds[1] - odds[0]) / (odds[1] + odds[0])
    np.testing.assert_allclose(confidence_of(first - second), expected, atol=1e-6)
    assert confidence_of(np.zeros(1))[0] == 0 and confidence_of(np.full(1, 2.0))[0] <= 1


@pytest.mark.parametrize("channels", [1, 2, 7, 40])
def test_best_and_margin_equal_sorting(channels):
    """Against sorting all channels, ties included; the first of equal ones wins, a lone channel leads by infinity."""
    scores = np.random.default_rng(channels).integers(0, 9, (channels, 30, 20)).astype(np.float32)
    label, margin = best_and_margin(scores)
    np.testing.assert_array_equal(label, scores.argmax(0))
    ordered = np.sort(np.concatenate([np.full((1, 30, 20), -np.inf, np.float32), scores]), axis=0)
    np.testing.assert_array_equal(margin, ordered[-1] - ordered[-2])
    assert confidence_of(margin).max() <= 1 and (channels > 1 or (confidence_of(margin) == 1).all())


def test_a_channel_scores_what_its_best_cluster_scores():
    """By hand, and with one channel a cluster the scores themselves."""
    scores = np.array([[0.1, 0.9], [0.5, 0.2], [0.3, 0.4]], np.float32)
    np.testing.assert_array_equal(best_of_channels(scores, np.array([1, 0, 1])), scores[[1, 2]].clip(scores[[1, 0]]))
    assert best_of_channels(scores, None) is scores


def test_clusters_of_one_class_do_not_make_a_pixel_uncertain():
    """Two clusters that a pixel lies between make it uncertain, until both are of one class."""
    clustering = clustering_of(np.eye(3, dtype=np.float32))
    sample = SimpleNamespace(embeddings=np.array([[0.7, 0.7, 0.1], [0.0, 0.7, 0.7]], np.float16))
    labels, confidence = sample_confidence(sample, clustering)
    assert labels.tolist() == [0, 1] and confidence.max() < 0.01
    labels, confidence = sample_confidence(sample, clustering, {0: 4, 1: 4})
    assert labels.tolist() == [4, 4] and confidence[0] > 0.98 and confidence[1] < 0.01
    ids, channels = class_channels(3, {0: 4, 1: 4})
    assert ids.tolist() == [4, 255] and channels.tolist() == [0, 0, 1]


def test_a_sample_is_thinned_evenly():
    """At most so many pixels are scored, from the first images to the last."""
    embeddings = np.repeat(np.eye(2, dtype=np.float16), 500, axis=0)
    clustering = clustering_of(np.eye(2, dtype=np.float32))
    labels, confidence = sample_confidence(SimpleNamespace(embeddings=embeddings), clustering, most=100)
    assert len(labels) == len(confidence) == 100 and labels.sum() == 50


def test_one_class_for_all_is_certain():
    """With every cluster in one class there is no second one it could be."""
    sample = SimpleNamespace(embeddings=np.eye(3, dtype=np.float16))
    clustering = clustering_of(np.eye(3, dtype=np.float32))
    labels, confidence = sample_confidence(sample, clustering, {0: 1, 1: 1, 2: 1})
    assert labels.tolist() == [1, 1, 1] and (confidence == 1).all()


def test_coverage_by_hand():
    """Pixels without a class are never covered, uncertain ones not above the threshold; cluster 255 is a cluster."""
    labels, confidence = np.array([0, 1, 255, 2]), np.array([0.9, 0.5, 1.0, 0.1], np.float32)
    assert coverage(labels, confidence, 0) == 0.75
    assert coverage(labels, confidence, 0.5) == 0.5
    assert coverage(labels, confidence, 0.6) == 0.25
    assert coverage(labels, confidence, 0.5, ignored=None) == 0.75
    assert coverage(labels[:0], confidence[:0], 0) == 0


def test_the_confidence_of_chosen_pixels_is_that_of_the_whole_sample(finished):
    """Asked for some rows only, each pixel is as sure as among all of them."""
    run = finished.current_run()
    sample, clustering = run.sample(), run.clustering()
    _, everywhere = sample_confidence(sample, clustering, most=len(sample.embeddings))
    chosen = np.array([5, 77, 300])
    np.testing.assert_allclose(row_confidence(sample.embeddings[chosen], clustering)[1], everywhere[chosen], atol=1e-6)
