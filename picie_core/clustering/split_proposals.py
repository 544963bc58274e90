"""Taking a cluster apart: prototypes for its parts, and what a split would do before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from picie_core.clustering.clustering import Clustering
from picie_core.clustering.kmeans import spherical_kmeans, unit_rows
from picie_core.clustering.splits import MAX_PARTS, Split
from picie_core.errors import SettingError

ClusteringT = TypeVar("ClusteringT", bound=Clustering)


@dataclass(frozen=True)
class SplitPreview(Generic[ClusteringT]):
    """What a split would do."""

    clustering: ClusteringT
    """With the split applied: mosaics and masks of the parts are drawn from it as from any other."""
    parts: list[int]
    """Ids of the parts; the first one keeps the id of the cluster."""
    counts: list[int]
    """Sampled pixels of each part."""


def propose_split(
    clustering: Clustering, embeddings: np.ndarray, cluster: int, parts: int, seed: int = 0
) -> np.ndarray:
    """Returns prototypes (m, D) for `parts` parts of a cluster: k-means on its sampled cells, the largest part first.

    Raises SettingError unless `parts` is 2 to 8 and the cluster has as many sampled pixels.
    """
    if not 2 <= parts <= MAX_PARTS:
        raise SettingError(f"parts={parts} must be from 2 to {MAX_PARTS}: split again for more")
    members = np.flatnonzero(clustering.labels == check_cluster(clustering, cluster))
    if len(members) < parts:
        raise SettingError(f"cluster {cluster} has {len(members)} sampled pixels, too few for {parts} parts: lower it")
    rows = np.asarray(embeddings[members], dtype=np.float32)
    return spherical_kmeans(rows, parts, seed).centroids


def split_between(embeddings_a: np.ndarray, embeddings_b: np.ndarray) -> np.ndarray:
    """Returns two prototypes (2, D), the unit means of two sets of cells (M, D): what is like a, and what is like b.

    The first part, which keeps id and name of the cluster, is that of a. Raises SettingError when a set is empty or
    both mean the same.
    """
    if not len(embeddings_a) or not len(embeddings_b):
        raise SettingError("a split between two places needs cells of both: point at each of them")
    sets = (np.asarray(one, dtype=np.float32) for one in (embeddings_a, embeddings_b))
    means = unit_rows(np.stack([unit_rows(one).mean(axis=0) for one in sets])).astype(np.float32)
    if means[0] @ means[1] > 1 - 1e-6:
        raise SettingError("both places look the same to this embedder, so nothing lies between: point elsewhere")
    return means


def split_among(sets: Sequence[np.ndarray]) -> np.ndarray:
    """Returns a prototype for each of 2 to 8 sets of cells (M, D), their unit means: crops that a person sorted.

    The first set stays what the cluster is, the others come off it. Raises SettingError for an empty set, another
    number of sets, or two that mean the same.
    """
    if not 2 <= len(sets) <= MAX_PARTS:
        raise SettingError(f"crops were sorted into {len(sets)} sets, a split takes 2 to {MAX_PARTS}: sort again")
    if not all(len(one) for one in sets):
        raise SettingError("one of the sets has no crops: give each of them some, or leave it out")
    means = unit_rows(np.stack([unit_rows(np.asarray(one, np.float32)).mean(axis=0) for one in sets]))
    if (means @ means.T)[np.triu_indices(len(means), 1)].max() > 1 - 1e-6:
        raise SettingError("two of the sets look the same to this embedder, so nothing lies between: sort again")
    return means.astype(np.float32)


def preview_split(
    clustering: ClusteringT, embeddings: np.ndarray, cluster: int, centroids: np.ndarray
) -> SplitPreview[ClusteringT]:
    """Returns what a split of `cluster` by prototypes (m, D) would do; embeddings: (N, D) of the sample."""
    split = Split(check_cluster(clustering, cluster), clustering.k, np.asarray(centroids, np.float32))
    after = clustering.with_splits([split], embeddings)
    counts = np.bincount(after.labels, minlength=after.k)
    return SplitPreview(after, split.parts, [int(counts[part]) for part in split.parts])


def check_cluster(clustering: Clustering, cluster: int) -> int:
    """Returns the id of a cluster. Raises SettingError when there is none of this id."""
    if not 0 <= cluster < clustering.k:
        raise SettingError(f"no cluster {cluster}: ids run from 0 to {clustering.k - 1}")
    return int(cluster)
