"""Clusterings made from centroids alone, for tests that score cells and need no workspace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from picie_core.clustering.clustering import Clustering
from picie_core.clustering.kmeans import assign
from picie_core.clustering.splits import Split


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows at unit length, float32."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def clustering_of(
    centroids: np.ndarray, splits: Sequence[Split] = (), rows: np.ndarray | None = None, key: str = "key"
) -> Clustering:
    """A clustering with these centroids and splits whose sample is `rows`, by default none."""
    rows = np.zeros((0, centroids.shape[1]), np.float32) if rows is None else rows
    labels, similarity = assign(rows, centroids)
    plain = Clustering(len(centroids), 0, key, centroids, labels, similarity.astype(np.float16), 0.0)
    return plain.with_splits(splits, rows)
