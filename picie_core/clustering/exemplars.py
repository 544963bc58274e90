"""Which sampled pixels stand for a cluster, and the figures of each cluster."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from picie_core.clustering.clustering import cluster_scores
from picie_core.errors import SettingError

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.data.embedding_sample import EmbeddingSample

KINDS = ("typical", "border", "random", "one per image")
"""What a mosaic shows: closest to the centroid, almost in another cluster, drawn evenly, each image's most typical."""
APART_CELLS = 12
"""Exemplars of one image are at least about this far apart: nearer ones would show the same crop."""


@dataclass(frozen=True)
class ClusterFacts:
    """The figures of one cluster."""

    cluster: int
    share: float
    """Share of the sampled pixels, 0 to 1."""
    images: int
    """Images with at least one sampled pixel of it."""
    tightness: float
    """Mean cosine of its pixels to its centroid; 0 for an empty cluster."""


def cluster_facts(sample: EmbeddingSample, clustering: Clustering) -> list[ClusterFacts]:
    """Returns the figures of every cluster, in the order of their ids."""
    counts = clustering.counts
    images = np.asarray(sample.positions[:, 0], dtype=np.int64)
    pairs = np.unique(clustering.labels.astype(np.int64) * (images.max(initial=0) + 1) + images)
    in_images = np.bincount(pairs // (images.max(initial=0) + 1), minlength=clustering.k)
    sums = np.bincount(clustering.labels, clustering.similarity.astype(np.float64), minlength=clustering.k)
    tightness = sums / np.maximum(counts, 1)
    total = max(int(counts.sum()), 1)
    return [
        ClusterFacts(cluster, int(counts[cluster]) / total, int(in_images[cluster]), float(tightness[cluster]))
        for cluster in range(clustering.k)
    ]


def exemplars(
    sample: EmbeddingSample,
    clustering: Clustering,
    cluster: int,
    kind: str = "typical",
    stored_ids: Collection[int] | np.ndarray = (),
    seed: int = 0,
) -> np.ndarray:
    """Returns the pixels that stand for a cluster, the best first: (M,) int64 indices into the sample.

    Every image comes once before any comes twice, and among these the images of `stored_ids` come first, since only
    in them the cluster can be outlined. Raises SettingError for an unknown kind or cluster.
    """
    if kind not in KINDS:
        raise SettingError(f"kind={kind!r} is unknown: choose one of {', '.join(KINDS)}")
    if not 0 <= cluster < clustering.k:
        raise SettingError(f"no cluster {cluster}: ids run from 0 to {clustering.k - 1}")
    members = np.flatnonzero(clustering.labels == cluster)
    if not len(members):
        return members
    positions = np.asarray(sample.positions[members])
    best_first = np.argsort(-_scores(sample, clustering, members, cluster, kind, seed), kind="stable")
    members, positions = members[best_first], positions[best_first]
    apart = _first_of_each(_block_keys(positions))
    members, images = members[apart], positions[apart, 0]
    turn = _occurrence(images)
    unstored = ~np.isin(images, np.fromiter(stored_ids, np.int64))
    if kind != "one per image":
        return members[np.lexsort((unstored, turn))]
    firsts = turn == 0
    share = _share_of_images(sample, positions[:, 0], images[firsts])
    return members[firsts][np.lexsort((-share, unstored[firsts]))]


def spread_over_images(positions: np.ndarray) -> np.ndarray:
    """Returns which of the places to show, in order: every image once before any comes twice, near ones once.

    places: (M, 3) image id, row and column, the best first. Returns (m,) int64 indices into them.
    """
    if not len(positions):
        return np.zeros(0, np.int64)
    apart = _first_of_each(_block_keys(positions))
    return apart[np.argsort(_occurrence(positions[apart, 0]), kind="stable")]


def _scores(
    sample: EmbeddingSample, clustering: Clustering, members: np.ndarray, cluster: int, kind: str, seed: int
) -> np.ndarray:
    """How early each member is shown: (M,), higher is earlier."""
    if kind == "random":
        return np.random.default_rng((seed, cluster)).random(len(members))
    if kind == "border" and clustering.k > 1:
        scores = cluster_scores(np.asarray(sample.embeddings[members]), clustering)  # (k, M)
        own = scores[cluster].copy()
        scores[cluster] = -np.inf
        return scores.max(axis=0) - own
    return clustering.similarity[members].astype(np.float32)


def _block_keys(positions: np.ndarray) -> np.ndarray:
    """A number for each place that is equal for places of one image that are close."""
    rows, columns = positions[:, 1] // APART_CELLS, positions[:, 2] // APART_CELLS
    across = int(columns.max()) + 1
    return (positions[:, 0].astype(np.int64) * (int(rows.max()) + 1) + rows) * across + columns


def _first_of_each(keys: np.ndarray) -> np.ndarray:
    """Indices of the first appearance of each key, ascending."""
    return np.sort(np.unique(keys, return_index=True)[1])


def _occurrence(keys: np.ndarray) -> np.ndarray:
    """How often each entry's key came before it: 0 for first appearances."""
    order = np.argsort(keys, kind="stable")
    grouped = keys[order]
    starts = np.searchsorted(grouped, grouped)
    counts = np.empty(len(keys), np.int64)
    counts[order] = np.arange(len(keys)) - starts
    return counts


def _share_of_images(sample: EmbeddingSample, member_images: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Share of the cluster in each of `images`: of their sampled pixels, 0 to 1."""
    of_sample = np.bincount(np.asarray(sample.positions[:, 0]))
    of_cluster = np.bincount(member_images, minlength=len(of_sample))
    return of_cluster[images] / of_sample[images]
