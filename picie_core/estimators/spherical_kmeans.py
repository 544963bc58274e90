"""Spherical k-means as an estimator: what `clustering.kmeans` computes, in scikit-learn's manner."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from picie_core.clustering.kmeans import KMeansResult, assign, check_k, spherical_kmeans, unit_rows
from picie_core.errors import SettingError

SEEDS = 2**31 - 2
"""Seeds are drawn below this, as faiss adds one and reads 32 bits."""


class SphericalKMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """K-means on directions: rows are scaled to unit length, centroids have unit length, the distance is the cosine.

    n_clusters: clusters K. n_init: how many times k-means starts, from other rows each time; the result with the
    lowest inertia is kept. max_iter: iterations of each. init: "random" for K of the rows, or an array (K, D), which
    makes cluster ids keep their meaning. random_state: an int, a RandomState, or None for a different draw each time.

    Attributes after `fit`: `cluster_centers_` (K, D) float32 of unit norm, the largest cluster first unless `init` is
    an array; `labels_` (N,); `inertia_`, the mean of 1 - cosine of rows to centroids (2 N times that is the sum
    of squared distances); `n_iter_`; `n_features_in_`.
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_init: int = 1,
        max_iter: int = 20,
        init: Literal["random"] | np.ndarray | Sequence[Sequence[float]] = "random",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.max_iter = max_iter
        self.init = init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Clusters the rows of `X` (N, D). Raises ValueError for impossible settings, NaN, or fewer rows than K."""
        rows = unit_rows(validate_data(self, X, dtype=[np.float64, np.float32]))
        for name in ("n_clusters", "n_init", "max_iter"):
            if not isinstance(value := getattr(self, name), Integral) or value < 1:
                raise SettingError(f"{name}={value!r} must be a whole number: give at least 1")
        if len(rows) < self.n_clusters:
            raise SettingError(f"n_samples={len(rows)} should be >= n_clusters={self.n_clusters}: give more rows")
        check_k(self.n_clusters, len(rows))
        start = self._start(rows.shape[1])
        results = [
            spherical_kmeans(rows, self.n_clusters, seed, iterations=self.max_iter, init=start)
            for seed in draw_seeds(self.random_state, self.n_init if start is None else 1)
        ]
        best: KMeansResult = min(results, key=lambda result: result.inertia)
        self.cluster_centers_ = best.centroids
        self.labels_ = best.labels.astype(np.int32)
        self.inertia_ = best.inertia
        self.n_iter_ = self.max_iter  # faiss runs them all
        self._n_features_out = self.n_clusters
        return self

    def _start(self, dim: int) -> np.ndarray | None:
        """Returns the centroids to start from, unit norm; None for random rows."""
        if isinstance(self.init, str):
            if self.init != "random":
                raise SettingError(f"init={self.init!r} is unknown: give 'random' or an array (n_clusters, n_features)")
            return None
        start = np.asarray(self.init, dtype=np.float32)
        if start.shape != (self.n_clusters, dim):
            raise SettingError(f"init has shape {start.shape}: give an array of shape {(self.n_clusters, dim)}")
        return unit_rows(start)

    def predict(self, X: Any) -> np.ndarray:
        """Returns the id of the nearest centroid of each row of `X` (N, D): (N,) int32."""
        return assign(self._unit(X), self.cluster_centers_)[0].astype(np.int32)

    def transform(self, X: Any) -> np.ndarray:
        """Returns the cosine distance, 0 to 2, of each row of `X` (N, D) to each centroid: (N, K)."""
        return 1 - self._unit(X) @ self.cluster_centers_.T

    def _unit(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return unit_rows(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def draw_seeds(random_state: int | np.random.RandomState | None, count: int = 1) -> list[int]:
    """Returns `count` seeds for scikit-learn's `random_state`; the first one of an int is the int itself."""
    if isinstance(random_state, Integral):
        more = np.random.RandomState(int(random_state)).randint(SEEDS, size=count - 1).tolist()
        return [int(random_state), *more]
    return check_random_state(random_state).randint(SEEDS, size=count).tolist()
