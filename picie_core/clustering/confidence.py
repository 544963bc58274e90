"""How sure a mask is of each pixel, what a threshold leaves of it, and which images are doubtful. Numpy only.

The one definition: the best channel (cluster or class) of a pixel scores s1, the next best s2, both cosines. The
confidence is tanh((s1 - s2) / 0.2), from 0 (a tie) to almost 1. It is the lead that the best of the two has over the
other in a softmax at temperature 0.1, which is the one that trainings use. A class scores what its best cluster
scores, and all pixels without a class are one channel, so two clusters of one class are no doubt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from picie_core.data.class_names import IGNORE_ID
from picie_core.data.feature_grid import positions_of_pixels
from picie_core.segmentation.masks import class_scores
from picie_core.segmentation.upsampling import interpolate

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.data.embedding_sample import EmbeddingSample

TEMPERATURE = 0.1
"""Of the softmax in which the two best channels are compared."""
TILE_PX = 64
"""Side of the pieces that pixels are compared in: in a small one few channels can be among the two best."""
SAMPLED = 50_000
"""Pixels of the sample that stand for the whole set: shares are right within half a percent."""
ROWS = 8192


def confidence_of(lead: np.ndarray) -> np.ndarray:
    """Returns the confidence, float32 in 0 to 1, of pixels whose best channel leads the next best by so much."""
    return np.tanh(np.asarray(lead, np.float32) / np.float32(2 * TEMPERATURE))


def label_and_confidence(scores: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the best channel and the confidence of each pixel, the scores upsampled bilinearly to full size.

    scores: (C, h, w). Returns (height, width) labels, those of `upsample_argmax`, and float32 (height, width). With
    one channel there is nothing else it could be: the confidence is 1.
    """
    channels, cell_rows, cell_columns = scores.shape
    down, right = positions_of_pixels(height, cell_rows), positions_of_pixels(width, cell_columns)
    labels = np.zeros((height, width), np.uint8 if channels <= 256 else np.uint16)
    confidence = np.ones((height, width), np.float32)
    if channels == 1:
        return labels, confidence
    for top in range(0, height, TILE_PX):
        rows = down[top : top + TILE_PX]
        first, last = int(rows[0]), int(rows[-1]) + 2
        for start in range(0, width, TILE_PX):
            columns = right[start : start + TILE_PX]
            left, stop = int(columns[0]), int(columns[-1]) + 2
            place = np.s_[top : top + TILE_PX, start : start + TILE_PX]
            tile = scores[:, first:last, left:stop]
            labels[place], lead = _two_best(tile, rows - first, columns - left)
            confidence[place] = confidence_of(lead)
    return labels, confidence


def _two_best(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best channel of each pixel of a tile and its lead; the first of equal channels wins."""
    flat = scores.reshape(len(scores), -1)
    enough = np.partition(flat.min(axis=1), -2)[-2]  # two channels are at least this high everywhere
    possible = np.flatnonzero(flat.max(axis=1) >= enough - 1e-5)
    best = np.full((len(rows), len(columns)), -np.inf, np.float32)
    second, label = best.copy(), np.zeros(best.shape, np.intp)
    between = interpolate(interpolate(scores[possible], rows, axis=1), columns, axis=2)  # (P, rows, columns)
    for channel, score in zip(possible, between, strict=True):
        np.maximum(second, np.minimum(best, score), out=second)
        label[score > best] = channel
        np.maximum(best, score, out=best)
    return label, best - second


def channel_scores(feature_map: np.ndarray, clustering: Clustering, groups: np.ndarray | None = None) -> np.ndarray:
    """Returns the scores (C, h, w) of cells (h, w, D) by the rule of the masks, one channel a cluster or a group."""
    return class_scores(feature_map, clustering.base_centroids, groups, clustering.splits)


# -- the whole set, from its sample


def class_groups(k: int, classes_of: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the class ids in use, ascending (255 for no class), and the index of each cluster's among them."""
    return np.unique([classes_of.get(cluster, IGNORE_ID) for cluster in range(k)], return_inverse=True)


def sample_confidence(
    sample: EmbeddingSample, clustering: Clustering, classes_of: Mapping[int, int] | None = None, most: int = SAMPLED
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the label and the confidence of at most `most` sampled pixels, evenly spread over all images.

    classes_of: cluster -> class id for classes, 255 where there is none; None for clusters. The confidence of a
    cell is that of its centre: pixels between cells, where clusters meet, are a little less sure.
    """
    step = max(1, -(-len(sample.embeddings) // most))
    ids, groups = (None, None) if classes_of is None else class_groups(clustering.k, classes_of)
    label, confidence = _of_rows(np.asarray(sample.embeddings[::step]), clustering, groups)
    return (label if ids is None else ids[label]), confidence


def confidence_at(sample: EmbeddingSample, clustering: Clustering, chosen: np.ndarray) -> np.ndarray:
    """Returns the confidence (n,) float32 of the chosen pixels of the sample that they are of their cluster."""
    return _of_rows(np.asarray(sample.embeddings[chosen]), clustering, None)[1]


def _of_rows(rows: np.ndarray, clustering: Clustering, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The best channel and the confidence of rows (N, D), a block at a time."""
    labels, leads = [np.empty(0, np.intp)], [np.empty(0, np.float32)]
    for start in range(0, len(rows), ROWS):
        scores = channel_scores(rows[None, start : start + ROWS], clustering, groups)[:, 0]  # (C, N)
        labels.append(scores.argmax(0))
        two = np.partition(scores, -2, axis=0)[-2:] if len(scores) > 1 else np.array([[-np.inf], [0.0]], np.float32)
        leads.append(np.broadcast_to(two[1] - two[0], scores.shape[1:]))
    return np.concatenate(labels), confidence_of(np.concatenate(leads))


def coverage(labels: np.ndarray, confidence: np.ndarray, threshold: float, ignored: int | None = IGNORE_ID) -> float:
    """Returns the share of pixels with at least this confidence and another label than `ignored`, 0 to 1."""
    kept = confidence >= threshold
    if ignored is not None:
        kept &= labels != ignored
    return float(kept.mean()) if kept.size else 0.0
