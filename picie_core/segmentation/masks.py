"""Masks of full size from feature maps: the scores of channels, and the best channel of each pixel.

Numpy only, so that a screen that shows masks loads neither torch nor faiss. Upsampling is in upsampling.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from picie_core.clustering.clustering import cluster_scores
from picie_core.clustering.confidence import best_of_channels, class_channels
from picie_core.data.class_names import IGNORE_ID
from picie_core.segmentation.upsampling import label_pixels, upsample_argmax

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering

SCORES_BYTES = 64 << 20
"""Scores of at most this many bytes are held at once, however large the image."""


def channel_scores(feature_map: np.ndarray, clustering: Clustering, channels: np.ndarray | None = None) -> np.ndarray:
    """Returns the score of each position for the best cluster of each channel; a cluster scores its cosine.

    feature_map: (h, w, D) float or int8, any length; channels: (k,) channel of each cluster, every one from 0 to C - 1
    in use, None for one channel a cluster. Returns float32 (C, h, w).
    """
    height, width, depth = feature_map.shape
    scores = cluster_scores(feature_map.reshape(-1, depth), clustering)  # (k, N)
    return best_of_channels(scores, channels).reshape(-1, height, width)


def cluster_mask(
    feature_map: np.ndarray, clustering: Clustering, height: int, width: int, scores_bytes: int = SCORES_BYTES
) -> np.ndarray:
    """Returns the cluster of each pixel: (height, width), uint8 up to 255 clusters, else uint16.

    scores_bytes: scores that would take more are made a few rows at a time, which changes no pixel.
    """
    mask = _best_channels(feature_map, clustering, None, height, width, scores_bytes)
    return mask.astype(np.uint16) if clustering.k > IGNORE_ID else mask


def class_mask(
    feature_map: np.ndarray, clustering: Clustering, classes_of: Mapping[int, int], height: int, width: int
) -> np.ndarray:
    """Returns the class id of each pixel: uint8 (height, width), 255 where ignored or unnamed.

    classes_of: cluster -> class id; unnamed clusters are absent. A class has its best cluster's score, so
    naming two clusters alike can only move their border to third ones.
    """
    ids, channels = class_channels(clustering.k, classes_of)
    return ids.astype(np.uint8)[_best_channels(feature_map, clustering, channels, height, width)]


def _best_channels(
    feature_map: np.ndarray,
    clustering: Clustering,
    channels: np.ndarray | None,
    height: int,
    width: int,
    scores_bytes: int = SCORES_BYTES,
) -> np.ndarray:
    """The best channel of each pixel; scores are made a few rows at a time when all would take too much memory."""
    rows, columns = feature_map.shape[:2]
    if clustering.k * rows * columns * np.float32().nbytes <= scores_bytes:
        return upsample_argmax(channel_scores(feature_map, clustering, channels), height, width)
    count = clustering.k if channels is None else int(channels.max()) + 1
    return label_pixels(
        lambda first, last: channel_scores(feature_map[first:last], clustering, channels),
        (count, rows, columns),
        height,
        width,
    )
