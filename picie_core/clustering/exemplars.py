"""Exemplars: which sampled pixels stand for a cluster, and the facts about each cluster."""

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
"""What a contact sheet shows: closest to the centroid, almost in another cluster, drawn evenly, one of each image."""
APART = 12
"""Positions that exemplars of one image are about apart at least: nearer ones would show the same crop."""


@dataclass(frozen=True)
class ClusterFacts:
    """What is known about one cluster."""

    cluster: int
    share: float
    """Share of the sampled pixels, 0 to 1."""
    images: int
    """Images with at least one sampled pixel of it."""
    tightness: float
    """Mean cosine of its pixels to its centroid; 0 for an empty cluster."""


def cluster_facts(sample: EmbeddingSample, clustering: Clustering) -> list[ClusterFacts]:
    """Returns the facts about every cluster, in the order of their ids."""
    counts = clustering.counts
    images = np.asarray(sample.positions[:, 0], dtype=np.int64)
    pairs = np.unique(clustering.labels.astype(np.int64) * (images.max(initial=0) + 1) + images)
    in_images = np.bincount(pairs // (images.max(initial=0) + 1), minlength=clustering.k)
    sums = np.bincount(clustering.labels, clustering.similarity.astype(np.float64), minlength=clustering.k)
    shares, tightness = counts / max(int(counts.sum()), 1), sums / np.maximum(counts, 1)
    columns = (range(clustering.k), shares.tolist(), in_images.tolist(), tightness.tolist())
    return [ClusterFacts(*facts) for facts in zip(*columns, strict=True)]


def exemplars(
    sample: EmbeddingSample,
    clustering: Clustering,
    cluster: int,
    kind: str = "typical",
    stored_ids: Collection[int] | np.ndarray = (),
    seed: int = 0,
) -> np.ndarray:
    """Returns the pixels that stand for a cluster, the best first: (M,) int64 rows of the embedding sample.

    Every image comes once before any comes twice, and among these the images of `stored_ids` come first, as only
    there a feature map is stored and the cluster can be outlined. Raises SettingError for an unknown kind or cluster.
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
    apart = _first_of_each_block(positions)
    members, images = members[apart], positions[apart, 0]
    turn = _occurrence(images)
    unstored = ~np.isin(images, np.fromiter(stored_ids, np.int64))
    if kind != "one per image":
        return members[np.lexsort((unstored, turn))]
    firsts = turn == 0
    pixels = np.bincount(np.asarray(sample.positions[:, 0]))
    share = np.bincount(positions[:, 0], minlength=len(pixels))[images[firsts]] / pixels[images[firsts]]
    return members[firsts][np.lexsort((-share, unstored[firsts]))]


def spread_over_images(positions: np.ndarray) -> np.ndarray:
    """Returns which positions to show, in order: every image once before any comes twice, near ones once.

    positions: (M, 3) image id, row and column, the best first. Returns (m,) int64 indices into them.
    """
    if not len(positions):
        return np.zeros(0, np.int64)
    apart = _first_of_each_block(positions)
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


def _first_of_each_block(positions: np.ndarray) -> np.ndarray:
    """Indices, ascending, of the first position in each block of an image: those left out are close to one."""
    rows, columns = positions[:, 1] // APART, positions[:, 2] // APART
    across = int(columns.max()) + 1
    blocks = (positions[:, 0].astype(np.int64) * (int(rows.max()) + 1) + rows) * across + columns
    return np.sort(np.unique(blocks, return_index=True)[1])


def _occurrence(keys: np.ndarray) -> np.ndarray:
    """How often each entry's key came before it: 0 for first appearances."""
    order = np.argsort(keys, kind="stable")
    grouped = keys[order]
    starts = np.searchsorted(grouped, grouped)
    counts = np.empty(len(keys), np.int64)
    counts[order] = np.arange(len(keys)) - starts
    return counts
