"""A clustering of the embedding sample: what k-means found, with the splits that a person made since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from picie_core.clustering.splits import Split, cosine_scores, split_centroids, split_sample, splits_digest


@dataclass(frozen=True, eq=False)
class Clustering:
    """The clusters in use over the embedding sample of one run; before splits, cluster 0 is the largest."""

    k: int
    """How many there are, parts of splits included: ids are 0 to k-1."""
    seed: int
    key: str
    """Digest of the centroids without splits; names are stored under it, so they never land on other centroids."""
    centroids: np.ndarray
    """(k, D) float32, unit norm; those of parts are their prototypes. Cells score by `cluster_scores`, not by these."""
    labels: np.ndarray
    """(N,) uint16, one a sampled pixel."""
    similarity: np.ndarray
    """(N,) float16 cosine to the own centroid."""
    inertia: float
    """Mean of 1 - cosine over the sample, without splits."""
    splits: tuple[Split, ...] = ()
    """In the order in which they apply."""
    unsplit: np.ndarray | None = None
    """(base_k, D) what k-means found, where splits replaced some of it in `centroids`."""

    @property
    def base_k(self) -> int:
        """How many clusters were asked for."""
        return len(self.base_centroids)

    @property
    def base_centroids(self) -> np.ndarray:
        """(base_k, D) float32, unit norm: what k-means found."""
        return self.centroids if self.unsplit is None else self.unsplit

    @property
    def digest(self) -> str:
        """What everything made from these clusters depends on: the key, and another value with every split."""
        return splits_digest(self.key, self.splits)

    @property
    def name(self) -> str:
        """What the clustering is called on disk and on the command line, such as `k27-s0`; splits do not change it."""
        return clustering_name(self.base_k, self.seed)

    def with_splits(self, splits: Sequence[Split], embeddings: np.ndarray) -> Self:
        """Returns this clustering with more splits behind its own; embeddings: (N, D) of the sample.

        Raises PicieError when the splits are those of another embedder.
        """
        if not splits:
            return self
        centroids = split_centroids(self.centroids, splits)
        labels, similarity = split_sample(embeddings, self.labels, self.similarity, splits)
        return replace(
            self,
            k=len(centroids),
            centroids=centroids,
            labels=labels,
            similarity=similarity,
            splits=(*self.splits, *splits),
            unsplit=self.base_centroids,
        )

    @property
    def counts(self) -> np.ndarray:
        """(K,) int64 sampled pixels of each cluster."""
        return np.bincount(self.labels, minlength=self.k)


def clustering_name(k: int, seed: int) -> str:
    """Returns `k27-s0` for K = 27 and seed 0."""
    return f"k{k}-s{seed}"


def cluster_scores(embeddings: np.ndarray, clustering: Clustering) -> np.ndarray:
    """Returns the score of each cell for each cluster, splits applied: (k, N) float32; cells: (N, D), any length.

    The one rule of all screens, masks and figures: see `cosine_scores`.
    """
    return cosine_scores(embeddings, clustering.base_centroids, clustering.splits)


def cell_labels(embeddings: np.ndarray, clustering: Clustering) -> np.ndarray:
    """Returns the cluster (h, w) uint16 of each cell (h, w, D), int8 or float of any length: the best score."""
    height, width, dim = embeddings.shape
    return cluster_scores(embeddings.reshape(-1, dim), clustering).argmax(0).astype(np.uint16).reshape(height, width)
