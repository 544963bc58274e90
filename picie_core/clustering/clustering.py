"""A clustering of the embedding sample: the result of k-means with the splits made since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from picie_core.clustering.splits import Split, cosine_scores, split_centroids, split_sample, splits_digest


@dataclass(frozen=True, eq=False)
class Clustering:
    """The clusters of one embedding sample; before splits, cluster 0 is the largest."""

    k: int
    """Number of clusters with the parts of splits; ids are 0 to k-1."""
    seed: int
    key: str
    """Digest of the centroids before any split; names are stored under it, so they never apply to other centroids."""
    centroids: np.ndarray
    """(k, D) float32, unit norm; those of parts are their prototypes. Scores come from `cluster_scores`, not these."""
    labels: np.ndarray
    """(N,) uint16, the cluster of each sampled pixel."""
    similarity: np.ndarray
    """(N,) float16, cosine to the centroid of its cluster."""
    inertia: float
    """Mean of 1 - cosine over the sample, before any split."""
    splits: tuple[Split, ...] = ()
    """In the order in which they apply."""
    unsplit: np.ndarray | None = None
    """(base_k, D) the centroids of k-means, when splits replaced some of them in `centroids`."""

    @property
    def base_k(self) -> int:
        """Number of clusters before any split."""
        return len(self.base_centroids)

    @property
    def base_centroids(self) -> np.ndarray:
        """(base_k, D) float32, unit norm: the centroids of k-means."""
        return self.centroids if self.unsplit is None else self.unsplit

    @property
    def digest(self) -> str:
        """What results of these clusters are cached under: the key without splits, another value after every split."""
        return splits_digest(self.key, self.splits)

    @property
    def name(self) -> str:
        """Its name on disk and on the command line, such as `k27-s0`; splits do not change it."""
        return clustering_name(self.base_k, self.seed)

    def with_splits(self, splits: Sequence[Split], embeddings: np.ndarray) -> Self:
        """Returns this clustering with `splits` after its own; embeddings: those of the sample, (N, D).

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
    """Returns the score of each embedding for each cluster, splits applied: (k, N) float32.

    embeddings: (N, D) float or int8, any length. All screens, masks and metrics use this rule: see `cosine_scores`.
    """
    return cosine_scores(embeddings, clustering.base_centroids, clustering.splits)
