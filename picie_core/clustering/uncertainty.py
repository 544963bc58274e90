"""Uncertain clusters and images, the order in which clusters are worth a look, and what naming covers.

Everything is an estimate from the embedding sample. Numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from picie_core.clustering.clustering import Clustering
from picie_core.clustering.confidence import SAMPLED, sample_confidence, spread
from picie_core.data.class_names import IGNORE_ID

if TYPE_CHECKING:
    from picie_core.data.embedding_sample import EmbeddingSample

UNCERTAIN_BELOW = 0.25
"""A pixel with less confidence is uncertain: the best cosine leads the next one by less than about 0.05."""


def cluster_uncertainty(sample: EmbeddingSample, clustering: Clustering, most: int = SAMPLED) -> np.ndarray:
    """Returns the share of each cluster's pixels that are uncertain: (k,) float64, 0 to 1; 0 for an empty one.

    Uncertain is a pixel that is nearly as close to a second cluster as to its own: with a confidence below 0.25 (see
    confidence.py). With a single cluster none is. At most `most` pixels are scored, evenly spread over all images.
    """
    labels = clustering.labels[:: spread(len(sample.embeddings), most)]
    uncertain = _uncertain(sample, clustering, most)
    return np.bincount(labels, uncertain, clustering.k) / np.maximum(np.bincount(labels, None, clustering.k), 1)


def image_uncertainty(sample: EmbeddingSample, clustering: Clustering, most: int = SAMPLED) -> dict[int, float]:
    """Returns the share of each image's pixels that are uncertain, 0 to 1, the most uncertain image first."""
    images = np.asarray(sample.positions[:: spread(len(sample.embeddings), most), 0])
    pixels = np.bincount(images)
    shares = np.bincount(images, _uncertain(sample, clustering, most)) / np.maximum(pixels, 1)
    ids = np.flatnonzero(pixels)
    return {int(image): float(shares[image]) for image in ids[np.argsort(-shares[ids], kind="stable")]}


def _uncertain(sample: EmbeddingSample, clustering: Clustering, most: int) -> np.ndarray:
    """Whether each of the pixels that stand for the sample is uncertain: (n,) bool."""
    return sample_confidence(sample, clustering, most=most)[1] < UNCERTAIN_BELOW


def next_clusters(clustering: Clustering, uncertainty: np.ndarray, classes_of: Mapping[int, int]) -> list[int]:
    """Returns the clusters that are worth a look, by pixels x uncertainty; one without a name is wholly uncertain.

    uncertainty: of `cluster_uncertainty`. Clusters without a name come first, by area; among those that have one, large
    ones that run into others come before small and clear ones. Ignored and empty clusters are left out, and so are
    named ones without an uncertain pixel.
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
