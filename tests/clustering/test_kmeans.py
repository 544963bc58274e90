"""Spherical k-means: by hand, against a slow version and scikit-learn, under what may go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import MiniBatchKMeans

from picie_core.clustering.kmeans import assign, check_k, spherical_kmeans, unit_rows
from picie_core.errors import PicieError, SettingError


def blobs(rows: int = 600, dim: int = 8, centers: int = 5, spread: float = 0.3, seed: int = 0) -> np.ndarray:
    """Unit rows (N, D) around some random directions, the first one the most frequent."""
    rng = np.random.default_rng(seed)
    share = np.arange(centers, 0, -1) / np.arange(centers + 1).sum()
    means = rng.normal(size=(centers, dim))
    return unit_rows(means[rng.choice(centers, rows, p=share)] + spread * rng.normal(size=(rows, dim))).astype("f4")


def slow_lloyd(rows: np.ndarray, centroids: np.ndarray, iterations: int) -> np.ndarray:
    """The textbook: assign by cosine, take means, scale them to unit length."""
    for _ in range(iterations):
        best = np.array([max(range(len(centroids)), key=lambda c: row @ centroids[c]) for row in rows])
        means = np.stack([rows[best == c].mean(0) for c in range(len(centroids))])
        centroids = means / np.linalg.norm(means, axis=1, keepdims=True)
    return centroids


def test_by_hand():
    """Three rows near the x axis and one on the y axis: the larger cluster is 0, its centroid the mean direction."""
    slant = np.array([np.cos(0.2), np.sin(0.2)])
    rows = np.array([[0, 1], [1, 0], slant, slant * [1, -1]], np.float32)
    found = spherical_kmeans(rows, 2)
    assert found.labels.tolist() == [1, 0, 0, 0]
    assert found.counts.tolist() == [3, 1]
    np.testing.assert_allclose(found.centroids, [[1, 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(found.similarity, [1, 1, np.cos(0.2), np.cos(0.2)], atol=1e-6)
    assert found.inertia == pytest.approx((2 - 2 * np.cos(0.2)) / 4, abs=1e-6)


@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_equals_slow_lloyd(iterations):
    """From the same start, the centroids are those of the textbook loop with cosine, whatever the iterations."""
    rows = blobs()
    start = rows[[0, 10, 20, 30]]
    found = spherical_kmeans(rows, 4, iterations=iterations, init=start)
    np.testing.assert_allclose(found.centroids, slow_lloyd(rows, start, iterations), atol=1e-5)


def test_centroids_are_unit_and_labels_are_the_best_cosine():
    """One distance everywhere: labels and similarity are those of the returned centroids, which have unit length."""
    rows = blobs()
    found = spherical_kmeans(rows, 7)
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-6)
    scores = rows @ found.centroids.T
    np.testing.assert_array_equal(found.labels, scores.argmax(1))
    np.testing.assert_allclose(found.similarity, scores.max(1), atol=1e-6)
    assert found.inertia == pytest.approx(1 - scores.max(1).mean(), abs=1e-6)


def test_ids_are_ordered_by_area():
    """Cluster 0 is the largest, and so on down; the counts are those of the labels."""
    found = spherical_kmeans(blobs(), 9)
    assert (np.diff(found.counts) <= 0).all()
    np.testing.assert_array_equal(found.counts, np.bincount(found.labels, minlength=9))


def test_seed_decides():
    """The same seed gives the same clustering bit by bit, another seed another one; rows are left as they were."""
    rows = blobs(centers=20)
    before = rows.copy()
    first, again, other = (spherical_kmeans(rows, 6, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.centroids, again.centroids)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.allclose(first.centroids, other.centroids)
    np.testing.assert_array_equal(rows, before)


def test_init_keeps_ids_and_is_left_as_it_was():
    """With a start the ids keep their meaning: the small cluster that was first stays first."""
    rows = blobs(centers=2, spread=0.05)
    large, small = spherical_kmeans(rows, 2).centroids
    start = np.stack([small, large])
    before = start.copy()
    found = spherical_kmeans(rows, 2, init=start)
    assert found.counts[0] < found.counts[1]
    np.testing.assert_allclose(found.centroids, start, atol=1e-3)
    np.testing.assert_array_equal(start, before)


def test_weights_are_copies():
    """A row that is there three times pulls like three rows: the centroid is the weighted mean direction."""
    rows = unit_rows(np.array([[1, 0], [1, 1], [-1, 0.1]]))
    found = spherical_kmeans(np.repeat(rows, [3, 1, 2], axis=0), 2, init=rows[[0, 2]].astype(np.float32))
    expected = unit_rows(np.stack([3 * rows[0] + rows[1], rows[2]]))
    np.testing.assert_allclose(found.centroids, expected, atol=1e-6)


def test_row_order_does_not_matter_from_the_same_start():
    """Permuted rows give the same centroids and permuted labels."""
    rows = blobs()
    order = np.random.default_rng(3).permutation(len(rows))
    start = rows[:5]
    plain, permuted = spherical_kmeans(rows, 5, init=start), spherical_kmeans(rows[order], 5, init=start)
    np.testing.assert_allclose(plain.centroids, permuted.centroids, atol=1e-5)
    np.testing.assert_array_equal(plain.labels[order], permuted.labels)


def test_not_worse_than_scikit_learn():
    """Where clusters run into each other, as pixels do, inertia over 4 seeds is at most that of MiniBatchKMeans."""
    rng = np.random.default_rng(0)
    rows = unit_rows(rng.normal(size=(4000, 24)) / np.sqrt(np.arange(1, 25))).astype(np.float32)
    ours, theirs = [], []
    for seed in range(4):
        ours.append(spherical_kmeans(rows, 20, seed).inertia)
        found = MiniBatchKMeans(20, n_init=1, random_state=seed).fit(rows)
        _, similarity = assign(rows, unit_rows(found.cluster_centers_.astype(np.float32)))
        theirs.append(1 - similarity.mean())
    assert np.mean(ours) <= np.mean(theirs), (ours, theirs)


def test_a_coarse_start_is_as_good_and_decided_by_the_seed():
    """A start on a quarter of the rows ends at the inertia of 20 rounds over all; too few rows are not divided."""
    rows = blobs(rows=8000, centers=12, spread=0.5)
    coarse = [spherical_kmeans(rows, 12, seed, coarse_share=0.25) for seed in range(4)]
    full = [spherical_kmeans(rows, 12, seed) for seed in range(4)]
    assert np.mean([one.inertia for one in coarse]) < 1.01 * np.mean([one.inertia for one in full])
    assert not np.array_equal(coarse[1].centroids, full[1].centroids)
    np.testing.assert_array_equal(coarse[1].labels, spherical_kmeans(rows, 12, 1, coarse_share=0.25).labels)
    few = rows[:1900]  # a quarter has fewer than 40 rows for each of 12
    np.testing.assert_array_equal(
        spherical_kmeans(few, 12, coarse_share=0.25).centroids, spherical_kmeans(few, 12).centroids
    )


@settings(max_examples=25, deadline=None)
@given(distinct=st.integers(1, 6), copies=st.integers(1, 8), share=st.floats(0, 1))
def test_duplicates_never_give_nan(distinct, copies, share):
    """With more clusters than distinct rows, centroids stay finite and of unit length."""
    rows = np.tile(unit_rows(np.random.default_rng(0).normal(size=(distinct, 4))), (copies, 1))
    k = 1 + round(share * (len(rows) - 1))
    found = spherical_kmeans(rows, k)
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-5)
    assert found.counts.sum() == len(rows)
    assert found.inertia == pytest.approx(0, abs=0.05) or k < distinct


def test_equal_starts_come_apart():
    """An empty cluster is seeded again from a large one: from five equal starts, every cluster gets pixels."""
    rows = blobs()
    found = spherical_kmeans(rows, 5, init=np.tile(rows[:1], (5, 1)), iterations=20)
    assert (found.counts > 0).all()


def test_k_of_one_and_of_all_rows():
    """K = 1 is the mean direction; K = N gives every distinct row its own cluster."""
    rows = blobs(40)
    np.testing.assert_allclose(spherical_kmeans(rows, 1).centroids, unit_rows(rows.mean(0, keepdims=True)), atol=1e-5)
    every = spherical_kmeans(rows, 40)
    assert sorted(every.labels.tolist()) == list(range(40))
    assert every.inertia == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("k", "rows", "message"),
    [
        (0, 10, "k=0 is too small: give at least 1 cluster"),
        (-3, 10, "k=-3 is too small"),
        (11, 10, "k=11 needs at least 11 sampled pixels, got 10: lower k or add images"),
        (65536, 70000, "k=65536 is too large: give at most 65535"),
    ],
)
def test_impossible_k_is_refused(k, rows, message):
    """The message says the value, the rule and the remedy."""
    with pytest.raises(SettingError, match=message):
        check_k(k, rows)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused(bad):
    """Embeddings of a training that diverged are counted and named, not clustered."""
    rows = blobs(20)
    rows[3, 2] = rows[3, 4] = rows[7, 0] = bad
    with pytest.raises(PicieError, match="2 of 20 embeddings are not finite"):
        spherical_kmeans(rows, 2)


def test_half_precision_rows_and_blocks():
    """The stored float16 rows cluster like float32 ones; scoring in blocks changes nothing."""
    rows = blobs(500).astype(np.float16)
    whole = assign(rows, blobs(4))
    for one, other in zip(whole, assign(rows, blobs(4), block_rows=64), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert spherical_kmeans(rows, 3).labels.dtype == np.uint16


def test_zero_rows_stay_zero():
    """Scaling to unit length never divides by zero."""
    np.testing.assert_array_equal(unit_rows(np.zeros((2, 3))), np.zeros((2, 3)))
