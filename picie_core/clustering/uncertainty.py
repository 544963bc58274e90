"""What to look at next: how doubtful clusters and images are, in which order to go through them, what naming covers.

Everything is an estimate from the embedding sample. Numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from picie_core.clustering.clustering import Clustering, cluster_scores
from picie_core.clustering.confidence import confidence_of
from picie_core.data.class_names import IGNORE_ID

if TYPE_CHECKING:
    from picie_core.data.embedding_sample import EmbeddingSample

UNCERTAIN_BELOW = 0.25
"""A pixel with less confidence is in doubt: the best cosine leads the next one by less than about 0.05."""
SAMPLED = 50_000
"""Pixels that are scored at most: shares are right within half a percent."""
BLOCK = 8192


@dataclass(frozen=True, eq=False)
class SampleUncertainty:
    """Evenly spread pixels of the sample and whether each is in doubt."""

    rows: np.ndarray
    """(n,) int64 rows of the embedding sample."""
    uncertain: np.ndarray
    """(n,) bool."""


def sample_uncertainty(sample: EmbeddingSample, clustering: Clustering, most: int = SAMPLED) -> SampleUncertainty:
    """Returns which of at most `most` pixels are nearly as close to a second cluster as to their own.

    In doubt is a pixel with a confidence below 0.25 (see confidence.py). With a single cluster none is.
    """
    rows = np.arange(0, len(sample.embeddings), max(1, -(-len(sample.embeddings) // most)))
    leads = [np.empty(0, np.float32)]
    for start in range(0, len(rows), BLOCK):
        scores = cluster_scores(np.asarray(sample.embeddings[rows[start : start + BLOCK]]), clustering)  # (k, n)
        pixels, own = np.arange(scores.shape[1]), scores.argmax(0)
        best = scores[own, pixels]
        scores[own, pixels] = -np.inf
        leads.append(best - scores.max(0))
    return SampleUncertainty(rows, confidence_of(np.concatenate(leads)) < UNCERTAIN_BELOW)


def cluster_uncertainty(sample: EmbeddingSample, clustering: Clustering, most: int = SAMPLED) -> np.ndarray:
    """Returns the share of each cluster's pixels that are in doubt: (k,) float64, 0 to 1; 0 for an empty one."""
    found = sample_uncertainty(sample, clustering, most)
    labels = clustering.labels[found.rows]
    return np.bincount(labels, found.uncertain, clustering.k) / np.maximum(np.bincount(labels, None, clustering.k), 1)


def image_uncertainty(sample: EmbeddingSample, clustering: Clustering, most: int = SAMPLED) -> dict[int, float]:
    """Returns the share of each image's pixels that are in doubt, 0 to 1, the most doubtful image first."""
    found = sample_uncertainty(sample, clustering, most)
    images = np.asarray(sample.positions[found.rows, 0])
    seen = np.bincount(images)
    shares = np.bincount(images, found.uncertain) / np.maximum(seen, 1)
    ids = np.flatnonzero(seen)
    return {int(image): float(shares[image]) for image in ids[np.argsort(-shares[ids], kind="stable")]}


def next_clusters(clustering: Clustering, uncertainty: np.ndarray, classes_of: Mapping[int, int]) -> list[int]:
    """Returns the clusters that are worth a look, by pixels x doubt; a cluster without a name is all doubt.

    doubt: of `cluster_doubt`. Clusters without a name therefore come by area; among those that have one, large ones
    that run into others come before small and clear ones. Ignored and empty clusters are left out, and so are named
    ones that nothing speaks against.
    """
    counts = clustering.counts
    weight = {
        cluster: counts[cluster] * (uncertainty[cluster] if cluster in classes_of else 1.0)
        for cluster in range(clustering.k)
        if classes_of.get(cluster) != IGNORE_ID
    }
    unnamed_first = sorted(weight, key=lambda cluster: (cluster in classes_of, -weight[cluster], cluster))
    return [cluster for cluster in unnamed_first if weight[cluster] > 0]


def named_share(clustering: Clustering, classes_of: Mapping[int, int]) -> float:
    """Returns the share of pixels whose cluster has a name or is ignored, 0 to 1."""
    counts = clustering.counts
    return float(counts[[c for c in classes_of if c < clustering.k]].sum() / max(counts.sum(), 1))


def coverage_gain(clustering: Clustering, classes_of: Mapping[int, int], n: int = 10) -> float:
    """Returns the share of all pixels that naming the next `n` clusters covers, 0 to 1: the largest unnamed ones."""
    counts = clustering.counts
    unnamed = np.sort([counts[cluster] for cluster in range(clustering.k) if cluster not in classes_of])[::-1]
    return float(unnamed[:n].sum() / max(counts.sum(), 1))


def coverage_sentence(clustering: Clustering, classes_of: Mapping[int, int], n: int = 10) -> str:
    """Returns how far naming is and what the next names cover, such as `84 % of pixels named; ...`."""
    counts = clustering.counts
    left = sum(1 for cluster in range(clustering.k) if cluster not in classes_of and counts[cluster])
    done = f"{_percent(named_share(clustering, classes_of))} of pixels named"
    if not left:
        return f"{done}: every cluster has a name."
    what = "the last cluster" if left == 1 else f"the last {left} clusters" if left <= n else f"the next {n} clusters"
    return f"{done}; naming {what} covers {_percent(coverage_gain(clustering, classes_of, n))} more."


def cluster_sentence(
    clustering: Clustering, uncertainty: np.ndarray, classes_of: Mapping[int, int], cluster: int
) -> str:
    """Returns why a cluster is worth a look, such as `No name, 3.1 % of pixels; 40 % of them nearly in another.`"""
    share = clustering.counts[cluster] / max(clustering.counts.sum(), 1)
    name = "Named" if cluster in classes_of else "No name"
    return f"{name}, {_percent(share)} of pixels; {_percent(uncertainty[cluster])} of them nearly in another cluster."


def _percent(share: float) -> str:
    """A share as people read it: whole percents, one digit below ten, never rounded to none or all."""
    percent = 100 * share
    if percent <= 0 or percent >= 100:
        return f"{percent:.0f} %"
    if percent < 0.1:
        return "under 0.1 %"
    return f"{percent:.1f} %" if percent < 9.95 else f"{min(percent, 99):.0f} %"
