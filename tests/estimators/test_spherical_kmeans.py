"""The k-means estimator: scikit-learn's contract, scikit-learn's results, the engine's clusters."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from picie_core.clustering.kmeans import spherical_kmeans, unit_rows
from picie_core.estimators.spherical_kmeans import SphericalKMeans

DOES_NOT_APPLY: dict[str, str] = {}
"""Name of a scikit-learn check -> why it does not apply here. All apply."""


@parametrize_with_checks([SphericalKMeans()], expected_failed_checks=lambda _: DOES_NOT_APPLY)
def test_contract_of_scikit_learn(estimator: BaseEstimator, check) -> None:
    """Every check of an estimator that scikit-learn has for a clusterer that transforms."""
    check(estimator)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Rows (N, D) in four directions of unequal size, of lengths that say nothing."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(4, 6))
    directions = means[rng.choice(4, 800, p=[0.4, 0.3, 0.2, 0.1])] + 0.15 * rng.normal(size=(800, 6))
    return directions * rng.uniform(0.1, 9, (800, 1))


def test_equals_scikit_learn_on_unit_vectors(rows):
    """Tight directions: KMeans on unit rows finds the same clusters; its means, at unit length, are our centroids."""
    ours = SphericalKMeans(4, n_init=5, random_state=0).fit(rows)
    theirs = KMeans(4, n_init=5, random_state=0).fit(unit_rows(rows))
    assert adjusted_rand_score(ours.labels_, theirs.labels_) == 1.0
    order = theirs.predict(ours.cluster_centers_.astype(float))
    np.testing.assert_allclose(ours.cluster_centers_, unit_rows(theirs.cluster_centers_)[order], atol=1e-3)
    lengths = np.linalg.norm(theirs.cluster_centers_, axis=1)[theirs.labels_]  # (N,) of the mean of each row's cluster
    assert ours.inertia_ == pytest.approx((1 - lengths).mean(), abs=1e-6)  # the mean cosine to a mean is its length
    assert theirs.inertia_ == pytest.approx((1 - lengths**2).sum())


def test_equals_the_engine(rows):
    """An integer seed gives what `spherical_kmeans` gives for it: centroids, labels, inertia."""
    found = spherical_kmeans(unit_rows(rows), 5, seed=3)
    estimator = SphericalKMeans(5, random_state=3).fit(rows)
    np.testing.assert_array_equal(estimator.cluster_centers_, found.centroids)
    np.testing.assert_array_equal(estimator.labels_, found.labels)
    assert (estimator.inertia_, estimator.n_features_in_, estimator.n_iter_) == (found.inertia, 6, 20)


def test_predict_and_transform_agree_and_ignore_length(rows):
    """The nearest centroid is the label; twice as long a row is the same row; distances are 1 - cosine."""
    estimator = SphericalKMeans(4, random_state=0).fit(rows)
    np.testing.assert_array_equal(estimator.predict(rows), estimator.labels_)
    np.testing.assert_array_equal(estimator.predict(2 * rows), estimator.labels_)
    distances = estimator.transform(rows)
    np.testing.assert_array_equal(distances.argmin(1), estimator.labels_)
    np.testing.assert_allclose(distances.min(1).mean(), estimator.inertia_, atol=1e-6)
    np.testing.assert_allclose(estimator.transform(-rows), 2 - distances, atol=1e-6)
    assert estimator.get_feature_names_out().tolist() == [f"sphericalkmeans{i}" for i in range(4)]


def test_the_best_of_several_starts_is_kept(rows):
    """More starts never end at a higher inertia, and some seed gains by them."""
    once = [SphericalKMeans(7, random_state=seed).fit(rows).inertia_ for seed in range(5)]
    best = [SphericalKMeans(7, n_init=6, random_state=seed).fit(rows).inertia_ for seed in range(5)]
    assert all(many <= one for many, one in zip(best, once, strict=True))
    assert sum(best) < sum(once)


def test_a_start_keeps_the_ids(rows):
    """From given centroids the ids keep their meaning, whatever the sizes, and the array is left as it was."""
    centers = SphericalKMeans(4, random_state=0).fit(rows).cluster_centers_
    start = 3 * centers[::-1]
    before = start.copy()
    again = SphericalKMeans(4, init=start, n_init=5).fit(rows)
    np.testing.assert_allclose(again.cluster_centers_, centers[::-1], atol=1e-3)
    np.testing.assert_array_equal(start, before)


def test_random_states(rows):
    """A RandomState goes on drawing; None differs from fit to fit; a clone of an int repeats."""
    state = np.random.RandomState(0)
    first, second = (SphericalKMeans(8, random_state=state).fit(rows).inertia_ for _ in range(2))
    assert first != second
    free = SphericalKMeans(8)
    assert len({free.fit(rows).inertia_ for _ in range(4)}) > 1
    fixed = SphericalKMeans(8, random_state=5).fit(rows)
    np.testing.assert_array_equal(clone(fixed).fit(rows).labels_, fixed.labels_)


def test_in_a_pipeline(rows):
    """Other steps of scikit-learn come before it."""
    labels = make_pipeline(StandardScaler(), SphericalKMeans(4, random_state=0)).fit_predict(rows)
    assert labels.shape == (800,)
    assert set(labels) == set(range(4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_clusters": 0}, "n_clusters=0 must be a whole number: give at least 1"),
        ({"n_clusters": 2.5}, "n_clusters=2.5 must be a whole number"),
        ({"n_init": 0}, "n_init=0 must be a whole number"),
        ({"max_iter": 0}, "max_iter=0 must be a whole number"),
        ({"n_clusters": 801}, "n_samples=800 should be >= n_clusters=801"),
        ({"init": "k-means++"}, "init='k-means\\+\\+' is unknown: give 'random' or an array"),
        ({"init": np.eye(6)}, r"init has shape \(6, 6\): give an array of shape \(8, 6\)"),
    ],
)
def test_impossible_settings_are_refused(rows, settings, message):
    """The message says the value, the rule and the remedy, as a ValueError, when it is fitted."""
    with pytest.raises(ValueError, match=message):
        SphericalKMeans(**settings).fit(rows)
