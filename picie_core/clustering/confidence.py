"""How sure the labels of pixels are, and what a threshold leaves of the embedding sample. Numpy only.

The one definition: the best channel (cluster or class) of a pixel scores s1, the next best s2, both cosines; s1 - s2 is
the margin. The confidence is tanh((s1 - s2) / 0.2), from 0 (a tie) to almost 1: in a softmax at temperature 0.1, which
trainings use, it is the difference of the two over their sum. A class scores what its best cluster scores, and all
pixels without a class are one channel, so two clusters of one class do not make a pixel uncertain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from picie_core.clustering.clustering import cluster_scores
from picie_core.data.class_names import IGNORE_ID

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.data.embedding_sample import EmbeddingSample

TEMPERATURE = 0.1
"""Of the softmax in which the two best channels are compared."""
SAMPLED = 50_000
"""Pixels of the embedding sample that stand for all images: shares are right within half a percent."""
BLOCK = 8192
"""Pixels that are scored at once."""


def confidence_of(margin: np.ndarray) -> np.ndarray:
    """Returns the confidence, float32 in 0 to 1, of pixels whose best channel leads the next best by this margin."""
    return np.tanh(np.asarray(margin, np.float32) / np.float32(2 * TEMPERATURE))


def best_and_margin(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the best channel of each pixel, the first of equal ones, and by how much it leads the next best.

    scores: (C, ...) float32. Returns int64 and float32 (...). One channel leads by infinity: nothing else is possible.
    """
    best = np.full(scores.shape[1:], -np.inf, np.float32)
    second, label = best.copy(), np.zeros(best.shape, np.intp)
    for channel, score in enumerate(scores):  # 2 to 20 times as fast as argmax and partition across channels
        np.maximum(second, np.minimum(best, score), out=second)
        label[score > best] = channel
        np.maximum(best, score, out=best)
    return label, best - second


def class_channels(k: int, classes_of: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the class ids in use, ascending, 255 for clusters without one, and which of them each cluster has.

    classes_of: cluster -> class id. Returns (C,) ids and (k,) channels of the clusters, 0 to C - 1.
    """
    return np.unique([classes_of.get(cluster, IGNORE_ID) for cluster in range(k)], return_inverse=True)


def best_of_channels(scores: np.ndarray, channels: np.ndarray | None) -> np.ndarray:
    """Returns the scores (C, N) of channels, each that of its best cluster.

    scores: (k, N) of clusters; channels: (k,) the channel of each cluster, every one from 0 to C - 1 in use, None for
    one channel a cluster.
    """
    if channels is None:
        return scores
    order = np.argsort(channels, kind="stable")
    starts = np.searchsorted(channels[order], np.arange(channels.max() + 1))
    return np.maximum.reduceat(scores[order], starts, axis=0)


def row_confidence(
    rows: np.ndarray, clustering: Clustering, channels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the best channel and the confidence of embeddings (N, D): (N,) int64 and float32."""
    labels, margins = [np.empty(0, np.intp)], [np.empty(0, np.float32)]
    for start in range(0, len(rows), BLOCK):
        scores = cluster_scores(np.asarray(rows[start : start + BLOCK]), clustering)  # (k, n)
        label, margin = best_and_margin(best_of_channels(scores, channels))
        labels.append(label)
        margins.append(margin)
    return np.concatenate(labels), confidence_of(np.concatenate(margins))


def sample_confidence(
    sample: EmbeddingSample, clustering: Clustering, classes_of: Mapping[int, int] | None = None, most: int = SAMPLED
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the label and the confidence of at most `most` sampled pixels, evenly spread over all images.

    classes_of: cluster -> class id for classes, 255 where there is none; None for clusters. The confidence of a
    position is that of its centre: pixels between positions, where clusters meet, are a little less sure.
    """
    rows = sample.embeddings[:: spread(len(sample.embeddings), most)]
    if classes_of is None:
        return row_confidence(rows, clustering)
    ids, channels = class_channels(clustering.k, classes_of)
    label, confidence = row_confidence(rows, clustering, channels)
    return ids[label], confidence


def spread(rows: int, most: int = SAMPLED) -> int:
    """Returns the step at which at most `most` of so many rows are taken, evenly spread."""
    return max(1, -(-rows // most))


def coverage(labels: np.ndarray, confidence: np.ndarray, threshold: float, ignored: int | None = IGNORE_ID) -> float:
    """Returns the share of pixels with at least this confidence and another label than `ignored`, 0 to 1."""
    kept = confidence >= threshold
    if ignored is not None:
        kept &= labels != ignored
    return float(kept.mean()) if kept.size else 0.0
