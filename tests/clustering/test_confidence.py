"""Confidence: by hand, against a slow version over all channels, and what a threshold leaves of a set."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from picie_core.clustering.confidence import (
    class_groups,
    confidence_at,
    confidence_of,
    coverage,
    label_and_confidence,
    sample_confidence,
)
from picie_core.segmentation.upsampling import upsample_argmax
from tests.hand_made import clustering_of


def some_scores(channels: int, height: int = 9, width: int = 12, seed: int = 0) -> np.ndarray:
    """Smooth-ish random scores (C, h, w), many channels far below the best."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(channels, height, width)) * 0.2 + rng.normal(size=(channels, 1, 1))).astype(np.float32)


def test_confidence_is_the_lead_in_a_softmax_at_the_temperature_of_trainings():
    """By the definition: exp(s1 / 0.1) and exp(s2 / 0.1), their difference over their sum; a tie is 0."""
    first, second = np.float32(0.62), np.array([0.62, 0.55, 0.4, -0.3], np.float32)
    odds = np.exp(second / 0.1), np.exp(first / 0.1)
    expected = (odds[1] - odds[0]) / (odds[1] + odds[0])
    np.testing.assert_allclose(confidence_of(first - second), expected, atol=1e-6)
    assert confidence_of(np.zeros(1))[0] == 0 and confidence_of(np.full(1, 2.0))[0] <= 1


@pytest.mark.parametrize("channels, size", [(2, (36, 48)), (7, (150, 201)), (40, (77, 300)), (300, (80, 90))])
def test_labels_and_leads_are_those_of_all_channels(channels, size):
    """Only some channels are compared in a tile; the result is that of comparing all, and the labels the masks' own."""
    scores = some_scores(channels)
    labels, confidence = label_and_confidence(scores, *size)
    full = torch.nn.functional.interpolate(
        torch.from_numpy(scores)[None], size=size, mode="bilinear", align_corners=False
    )[0]
    two = full.topk(2, dim=0).values.numpy()
    np.testing.assert_allclose(confidence, confidence_of(two[0] - two[1]), atol=2e-5)
    np.testing.assert_array_equal(labels, upsample_argmax(scores, *size))
    assert labels.dtype == (np.uint8 if channels <= 256 else np.uint16) and confidence.dtype == np.float32


def test_ties_are_no_confidence_and_a_lone_channel_full_confidence():
    """The first of equal channels wins with confidence 0; where nothing else can be, nothing is doubtful."""
    labels, confidence = label_and_confidence(np.full((3, 4, 5), 0.5, np.float32), 17, 23)
    assert (labels == 0).all() and (confidence == 0).all()
    labels, confidence = label_and_confidence(np.zeros((1, 4, 5), np.float32), 17, 23)
    assert (labels == 0).all() and (confidence == 1).all()


def test_clusters_of_one_class_are_no_doubt():
    """Two clusters that a pixel lies between make it doubtful, until both are of one class."""
    clustering = clustering_of(np.eye(3, dtype=np.float32))
    sample = SimpleNamespace(embeddings=np.array([[0.7, 0.7, 0.1], [0.0, 0.7, 0.7]], np.float16))
    labels, confidence = sample_confidence(sample, clustering)
    assert labels.tolist() == [0, 1] and confidence.max() < 0.01
    labels, confidence = sample_confidence(sample, clustering, {0: 4, 1: 4})
    assert labels.tolist() == [4, 4] and confidence[0] > 0.98 and confidence[1] < 0.01
    ids, groups = class_groups(3, {0: 4, 1: 4})
    assert ids.tolist() == [4, 255] and groups.tolist() == [0, 0, 1]


def test_a_sample_is_thinned_evenly():
    """At most so many pixels are looked at, from the first images to the last."""
    embeddings = np.repeat(np.eye(2, dtype=np.float16), 500, axis=0)
    clustering = clustering_of(np.eye(2, dtype=np.float32))
    labels, confidence = sample_confidence(SimpleNamespace(embeddings=embeddings), clustering, most=100)
    assert len(labels) == len(confidence) == 100 and labels.sum() == 50


def test_one_class_for_all_is_certain():
    """With every cluster in one class there is no second one to be doubted for."""
    sample = SimpleNamespace(embeddings=np.eye(3, dtype=np.float16))
    clustering = clustering_of(np.eye(3, dtype=np.float32))
    labels, confidence = sample_confidence(sample, clustering, {0: 1, 1: 1, 2: 1})
    assert labels.tolist() == [1, 1, 1] and (confidence == 1).all()


def test_coverage_by_hand():
    """Pixels without a class are never covered, doubtful ones not above the threshold; cluster 255 is a cluster."""
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
    np.testing.assert_allclose(confidence_at(sample, clustering, chosen), everywhere[chosen], atol=1e-6)
