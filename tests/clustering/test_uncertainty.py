"""Uncertainty by a slow version, the orders that follow from it, and the sentences that say what it means."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from picie_core.clustering.clustering import cluster_scores
from picie_core.clustering.confidence import confidence_of
from picie_core.clustering.splits import Split
from picie_core.clustering.uncertainty import (
    cluster_sentence,
    cluster_uncertainty,
    coverage_gain,
    coverage_sentence,
    image_uncertainty,
    named_share,
    next_clusters,
)
from picie_core.data.embedding_sample import EmbeddingSample
from tests.hand_made import clustering_of, unit


def sample_of(rows: np.ndarray, images: np.ndarray) -> EmbeddingSample:
    """A sample of unit rows, one image number a row."""
    positions = np.stack([images, np.arange(len(rows)), np.zeros(len(rows), int)], 1).astype(np.int32)
    return EmbeddingSample(rows.astype(np.float16), positions, rows[:, :2].astype(np.float32))


def random_case(seed: int = 0, rows: int = 400, k: int = 9):
    """A sample of seven images and its clustering with a split."""
    rng = np.random.default_rng(seed)
    embeddings = unit(rng.normal(size=(rows, 6))).astype(np.float16)
    split = Split(2, k, unit(rng.normal(size=(3, 6))))
    made = clustering_of(unit(rng.normal(size=(k, 6))), [split], embeddings.astype(np.float32))
    return sample_of(embeddings, np.sort(rng.integers(0, 7, rows)) * 3), made


def counted(*counts: int):
    """A clustering with so many pixels in each cluster."""
    labels = np.repeat(np.arange(len(counts)), counts)
    made = clustering_of(np.eye(len(counts), dtype=np.float32))
    return dataclasses.replace(made, labels=labels.astype(np.uint16))


def test_confidence_by_hand():
    """A tie is 0, a margin of 0.1 what a softmax at temperature 0.1 gives, a wider margin more, never above 1."""
    assert confidence_of(np.array([0.0])) == 0
    first, second = np.exp(1.0), np.exp(0.0)
    assert confidence_of(np.array([0.1]))[0] == pytest.approx((first - second) / (first + second), abs=1e-6)
    leads = confidence_of(np.linspace(0, 2, 50))
    assert (np.diff(leads) >= 0).all() and leads[-1] <= 1 and leads.dtype == np.float32


def test_uncertainty_by_a_slow_version():
    """For each cluster and image: the share of pixels whose two best scores are within the documented margin."""
    sample, made = random_case()
    scores = cluster_scores(sample.embeddings, made)
    best, second = -np.sort(-scores, axis=0)[:2]
    uncertain = np.tanh((best - second) / 0.2) < 0.25
    labels = scores.argmax(0)
    expected = [uncertain[labels == cluster].mean() if (labels == cluster).any() else 0 for cluster in range(made.k)]
    np.testing.assert_allclose(cluster_uncertainty(sample, made), expected)
    images = np.asarray(sample.positions[:, 0])
    shares = {int(image): uncertain[images == image].mean() for image in np.unique(images)}
    found = image_uncertainty(sample, made)
    assert found == pytest.approx(shares)
    assert list(found.values()) == sorted(shares.values(), reverse=True)


def test_a_part_of_the_sample_stands_for_all():
    """Evenly spread pixels: the shares of 20,000 pixels from 4,000 of them, within a few percent."""
    sample, made = random_case(1, rows=20_000)
    whole, part = cluster_uncertainty(sample, made, most=20_000), cluster_uncertainty(sample, made, most=4_000)
    assert np.abs(whole - part).max() < 0.15 and not np.array_equal(whole, part)


def test_one_cluster_and_no_pixels_are_not_uncertain():
    """Nothing is compared with nothing, and no share of nothing is taken."""
    sample, made = random_case(2)
    alone = clustering_of(made.base_centroids[:1], rows=np.asarray(sample.embeddings, np.float32))
    assert cluster_uncertainty(sample, alone).tolist() == [0]
    empty = sample_of(np.zeros((0, 6)), np.zeros(0, int))
    nothing = clustering_of(made.base_centroids)
    assert cluster_uncertainty(empty, nothing).tolist() == [0] * 9
    assert image_uncertainty(empty, nothing) == {}
    assert (named_share(nothing, {0: 1}), coverage_gain(nothing, {})) == (0, 0)
    assert next_clusters(nothing, np.zeros(9), {}) == []


def test_the_order_by_hand():
    """Unnamed ones by area; then named ones by pixels x uncertainty; ignored and clear ones never."""
    made = counted(50, 40, 30, 20, 10, 0)
    uncertainty = np.array([0.1, 0.5, 0.9, 0.0, 0.9, 0.5])
    assert next_clusters(made, uncertainty, {}) == [0, 1, 2, 3, 4]
    assert next_clusters(made, uncertainty, {0: 0, 1: 0, 2: 1}) == [3, 4, 2, 1, 0]
    assert next_clusters(made, uncertainty, {0: 0, 1: 255, 2: 1, 3: 0, 4: 1}) == [2, 4, 0]


@pytest.mark.parametrize(("n", "gain"), [(0, 0), (1, 0.3), (2, 0.5), (3, 0.6), (99, 0.6)])
def test_coverage_by_hand(n, gain):
    """The next n clusters are the largest ones without a name; ignored ones are done."""
    made = counted(20, 10, 30, 30, 10)
    assert coverage_gain(made, {2: 0, 4: 255}, n) == pytest.approx(gain)
    assert named_share(made, {2: 0, 4: 255}) == pytest.approx(0.4)


def test_the_gain_is_what_naming_brings():
    """Naming the next n by the suggested order raises the named share by what was said."""
    sample, made = random_case(3)
    classes_of = {0: 0, 4: 255}
    gain = coverage_gain(made, classes_of, 3)
    after = classes_of | dict.fromkeys(next_clusters(made, cluster_uncertainty(sample, made), classes_of)[:3], 1)
    assert named_share(made, after) - named_share(made, classes_of) == pytest.approx(gain)


@pytest.mark.parametrize(
    ("classes_of", "n", "words"),
    [
        ({}, 2, "0 % of pixels named; naming the next 2 clusters covers 92 % more."),
        ({0: 0}, 2, "84 % of pixels named; naming the next 2 clusters covers 13 % more."),
        ({0: 0}, 9, "84 % of pixels named; naming the last 4 clusters covers 16 % more."),
        ({0: 0, 1: 0, 2: 0, 3: 255}, 9, "99 % of pixels named; naming the last cluster covers 0.6 % more."),
        ({0: 0, 1: 0, 2: 0, 3: 255, 4: 1}, 9, "100 % of pixels named: every cluster has a name."),
    ],
)
def test_the_sentence(classes_of, n, words):
    """Shares as people read them; the last clusters are called so; 99.4 % is not all."""
    assert coverage_sentence(counted(840, 54, 80, 20, 6), classes_of, n) == words


def test_why_a_cluster():
    """The sentence of a cluster has its area and its uncertainty; tiny shares are not none."""
    made = counted(9_999, 1)
    uncertainty = np.array([0.4, 0.0])
    assert (
        cluster_sentence(made, uncertainty, {}, 1)
        == "No name, under 0.1 % of pixels; 0 % of them nearly in another cluster."
    )
    assert (
        cluster_sentence(made, uncertainty, {0: 3}, 0)
        == "Named, 99 % of pixels; 40 % of them nearly in another cluster."
    )


def test_the_command_says_what_is_next(finished_copy, say):
    """`next` names clusters and images by their order, and how far naming is."""
    run = finished_copy.current_run()
    made = run.cluster(6)
    finished_copy.label_map.name_clusters(made.key, [0], "sky")
    said = say("next", "--workspace", finished_copy.root, "--n", 2)
    assert said.code == 0, said.err
    assert "naming the next 2 clusters covers" in said.out
    first = next(iter(image_uncertainty(run.sample(), made)))
    assert said.out.index("cluster 1 ") < said.out.index("cluster 2 ")
    assert f"image {finished_copy.image_list().records[first].path}" in said.out
