"""Proposed splits: prototypes for the parts of a cluster, and the preview of a split."""

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
SAME_COSINE = 1 - 1e-6
"""Prototypes whose cosine is above this count as equal."""


@dataclass(frozen=True)
class SplitPreview(Generic[ClusteringT]):
    """What a split gives."""

    clustering: ClusteringT
    """With the split applied; contact sheets and masks of the parts are drawn from it as from any clustering."""
    parts: list[int]
    """Ids of the parts; the first one keeps the id of the cluster."""
    counts: list[int]
    """Sampled pixels of each part."""


def propose_split(
    clustering: Clustering, embeddings: np.ndarray, cluster: int, parts: int, *, seed: int = 0
) -> np.ndarray:
    """Returns prototypes (m, D) for `parts` parts of a cluster: k-means on its sampled pixels, the largest part first.

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
    """Returns two prototypes (2, D): the unit means of two sets of embeddings (M, D), such as two brush strokes.

    Part a comes first and keeps the id and the name of the cluster. Raises SettingError when a set is empty or both
    have the same mean.
    """
    if not len(embeddings_a) or not len(embeddings_b):
        raise SettingError("a split needs pixels of both parts: select some for each")
    means = _unit_means([embeddings_a, embeddings_b])
    if means[0] @ means[1] > SAME_COSINE:
        raise SettingError("both parts have the same mean embedding, so no plane separates them: select other pixels")
    return means


def split_among(sets: Sequence[np.ndarray]) -> np.ndarray:
    """Returns a prototype for each of 2 to 8 sets of crops: the unit mean of its embeddings (M, D).

    The first set keeps the id and the name of the cluster. Raises SettingError for an empty set, another number of
    sets, or two sets with the same mean.
    """
    if not 2 <= len(sets) <= MAX_PARTS:
        raise SettingError(f"crops were sorted into {len(sets)} sets, a split takes 2 to {MAX_PARTS}: sort again")
    if not all(len(one) for one in sets):
        raise SettingError("one of the sets has no crops: give each of them some, or leave it out")
    means = _unit_means(sets)
    if (means @ means.T)[np.triu_indices(len(means), 1)].max() > SAME_COSINE:
        raise SettingError("two of the sets have the same mean embedding, so no plane separates them: sort again")
    return means


def _unit_means(sets: Sequence[np.ndarray]) -> np.ndarray:
    """The mean direction of each set of embeddings (M, D), whatever their lengths: (m, D) float32, unit norm."""
    means = [unit_rows(np.asarray(one, np.float32)).mean(axis=0) for one in sets]
    return unit_rows(np.stack(means)).astype(np.float32)


def preview_split(
    clustering: ClusteringT, embeddings: np.ndarray, cluster: int, centroids: np.ndarray
) -> SplitPreview[ClusteringT]:
    """Returns what a split of `cluster` by prototypes (m, D) gives; embeddings: those of the sample, (N, D)."""
    split = Split(check_cluster(clustering, cluster), clustering.k, np.asarray(centroids, np.float32))
    after = clustering.with_splits([split], embeddings)
    counts = np.bincount(after.labels, minlength=after.k)
    return SplitPreview(after, split.parts, [int(counts[part]) for part in split.parts])


def check_cluster(clustering: Clustering, cluster: int) -> int:
    """Returns the id of a cluster as int. Raises SettingError when there is no such cluster."""
    if not 0 <= cluster < clustering.k:
        raise SettingError(f"no cluster {cluster}: ids run from 0 to {clustering.k - 1}")
    return int(cluster)
