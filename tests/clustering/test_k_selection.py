"""The curve over K: metrics equal to scikit-learn's, and read without deciding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score

from picie_core.clustering.k_selection import (
    KScore,
    adjusted_rand,
    cosine_distances,
    grid_up_to,
    mean_silhouette,
    read_curve,
    score_ks,
    spread,
)
from picie_core.clustering.kmeans import spherical_kmeans
from picie_core.errors import SettingError
from tests.hand_made import unit


def blobs(seed: int, centres: int = 4, each: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows around a few directions, and which one."""
    rng = np.random.default_rng(seed)
    means = unit(rng.normal(size=(centres, 8)))
    labels = np.repeat(np.arange(centres), each)
    return unit(means[labels] + 0.3 * rng.normal(size=(centres * each, 8))), labels


@pytest.mark.parametrize("seed", range(4))
def test_silhouette_is_scikit_learns(seed):
    """For good, random and uneven labels, ids with gaps, and pixels alone in their cluster."""
    rows, labels = blobs(seed)
    rng = np.random.default_rng(seed)
    distance = cosine_distances(rows)
    for one in (labels, rng.integers(0, 9, len(rows)), 5 * labels, np.minimum(np.arange(len(rows)), 7)):
        theirs = silhouette_score(rows, one, metric="cosine")
        assert mean_silhouette(distance, one) == pytest.approx(theirs, abs=1e-5)


def test_silhouette_of_one_cluster_is_not_known():
    """There is no other cluster to be compared with; nothing is divided by nothing."""
    rows, _ = blobs(0)
    assert mean_silhouette(cosine_distances(rows), np.zeros(len(rows), int)) is None
    assert mean_silhouette(np.zeros((4, 4)), np.array([0, 0, 1, 1])) == 0


@pytest.mark.parametrize("seed", range(5))
def test_adjusted_rand_is_scikit_learns(seed):
    """Random, related, renumbered and one-cluster labellings."""
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 12, 500)
    for other in (rng.integers(0, 7, 500), one // 2, 11 - one, np.zeros(500, int), np.arange(500)):
        assert adjusted_rand(one, other) == pytest.approx(adjusted_rand_score(one, other), abs=1e-12)
        assert adjusted_rand(one, other) == pytest.approx(adjusted_rand(other, one), abs=1e-12)
    assert adjusted_rand(np.zeros(9, int), np.zeros(9, int)) == 1
    assert adjusted_rand(np.arange(9), np.arange(9)[::-1]) == 1


def test_a_curve_by_slow_means():
    """Inertia is the mean of 1 - cosine of k-means on these pixels, stability the mean over pairs of seeds."""
    embeddings, _ = blobs(3, each=150)
    *_, curve = score_ks(embeddings, [4, 2], seeds=3, pixels=300)
    rows = embeddings[spread(600, 300)]
    assert [point.k for point in curve.points] == [2, 4] and curve.pixels == 300
    for point in curve.points:
        found = [spherical_kmeans(rows, point.k, seed, iterations=15) for seed in range(3)]
        pairs = [(0, 1), (0, 2), (1, 2)]
        rand = np.mean([adjusted_rand_score(found[a].labels, found[b].labels) for a, b in pairs])
        silhouette = np.mean([silhouette_score(rows, one.labels, metric="cosine") for one in found])
        assert point.inertia == pytest.approx(np.mean([one.inertia for one in found]), abs=1e-6)
        assert point.stability == pytest.approx(rand, abs=1e-6)
        assert point.silhouette == pytest.approx(silhouette, abs=1e-5)


def points(**figures: tuple[float, float]) -> list[KScore]:
    """A curve from k5=(inertia, stability)."""
    return [KScore(int(name[1:]), inertia, 0.1, stability) for name, (inertia, stability) in figures.items()]


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        (
            points(k5=(0.5, 0.4), k20=(0.4, 0.7), k40=(0.35, 0.69), k100=(0.28, 0.5)),
            "Between K = 20 and 40 the clusters repeat best between seeds; more still separates finer things: "
            "inertia falls by 20 % from K = 40 to 100.",
        ),
        (
            points(k5=(0.5, 0.9), k20=(0.4, 0.7)),
            "At K = 5 the clusters repeat best between seeds; inertia falls by 20 % from K = 5 to 20.",
        ),
        (points(k5=(0.5, 0.5), k20=(0.4, 0.8)), "At K = 20 the clusters repeat best between seeds."),
        (
            points(k5=(0.5, 0.7), k20=(0.4, 0.7)),
            "The clusters repeat about equally well between seeds at every K from 5 to 20.",
        ),
        (points(k5=(0.5, 0.7)), "One K is no curve yet: more are needed to compare."),
        ([], "One K is no curve yet: more are needed to compare."),
    ],
)
def test_the_reading(curve, words):
    """What the metrics show, in words that choose nothing."""
    assert read_curve(curve) == words
    assert not any(word in words.lower() for word in ("choose", "should", "optimal", "recommend"))


def test_a_curve_of_one_seed_has_a_reading():
    """Without stability the sentence speaks of what is known."""
    curve = [dataclasses.replace(one, stability=None) for one in points(k5=(0.5, 0), k20=(0.4, 0), k40=(0.3, 0))]
    words = "More clusters fit tighter; more still separates finer things: inertia falls by 40 % from K = 5 to 40."
    assert read_curve(curve) == words


def test_the_usual_k():
    """Denser where curves bend, and the wish itself at the end."""
    assert grid_up_to(100) == [5, 10, 15, 20, 30, 40, 50, 60, 80, 100]
    assert grid_up_to(27) == [5, 10, 15, 20, 27]
    assert grid_up_to(500)[-5:] == [150, 200, 300, 400, 500]
    with pytest.raises(SettingError, match="up-to=1 is too small: give at least 2"):
        grid_up_to(1)
