"""From pixel embeddings to full-size masks: class scores, and the coloured overlay; pixels are in upsample.py.

Numpy only, so that a screen that shows masks loads neither torch nor faiss; the network is imported when an
image has no stored cells.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from picie_core.clustering.splits import Split, cosine_scores
from picie_core.data.class_names import IGNORE_ID
from picie_core.segmentation.upsampling import label_pixels, upsample_argmax

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering

SCORES_BYTES = 64 << 20
"""Scores of at most this many bytes are held at once, however large the picture."""


def class_scores(
    feature_map: np.ndarray, centroids: np.ndarray, groups: np.ndarray | None = None, splits: Sequence[Split] = ()
) -> np.ndarray:
    """Returns the score of each cell for the best cluster of each channel; a cluster scores its cosine.

    cells: (h, w, D) float or int8, any length; centroids: (K, D) unit, without splits; groups: (k,) channel of each
    cluster, every channel from 0 to C - 1 used, None for one channel a cluster. Returns float32 (C, h, w).
    """
    height, width, depth = feature_map.shape
    scores = cosine_scores(feature_map.reshape(-1, depth), centroids, splits)  # (k, N)
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        starts = np.searchsorted(groups[order], np.arange(groups.max() + 1))
        scores = np.maximum.reduceat(scores[order], starts, axis=0)  # (C, N)
    return scores.reshape(-1, height, width)


def cluster_mask(feature_map: np.ndarray, clustering: Clustering, height: int, width: int) -> np.ndarray:
    """Returns the cluster of each pixel: (height, width), uint8 up to 255 clusters, else uint16."""
    mask = _label_feature_map(feature_map, clustering, None, height, width)
    return mask.astype(np.uint16) if clustering.k > IGNORE_ID else mask


def class_mask(
    feature_map: np.ndarray, clustering: Clustering, classes_of: Mapping[int, int], height: int, width: int
) -> np.ndarray:
    """Returns the class id of each pixel: uint8 (height, width), 255 where ignored or unnamed.

    classes_of: cluster -> class id; unnamed clusters are absent. A class has its best cluster's score, so
    naming two clusters alike can only move their border to third ones.
    """
    clusters = range(clustering.k)
    ids, groups = np.unique([classes_of.get(cluster, IGNORE_ID) for cluster in clusters], return_inverse=True)
    channels = _label_feature_map(feature_map, clustering, groups, height, width)
    return ids.astype(np.uint8)[channels]


# -- pixels from scores


def _label_feature_map(
    feature_map: np.ndarray, clustering: Clustering, groups: np.ndarray | None, height: int, width: int
) -> np.ndarray:
    """The channel of each pixel; scores are made a few rows at a time when all would take too much memory."""
    channels = clustering.k if groups is None else int(groups.max()) + 1
    shape = (channels, *feature_map.shape[:2])

    def scores(first: int, last: int) -> np.ndarray:
        return class_scores(feature_map[first:last], clustering.base_centroids, groups, clustering.splits)

    if clustering.k * feature_map.shape[0] * feature_map.shape[1] * 4 <= SCORES_BYTES:
        return upsample_argmax(scores(0, len(feature_map)), height, width)
    return label_pixels(scores, shape, height, width)


# -- colours and pictures


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    colors: Mapping[int, tuple[int, int, int]] | np.ndarray,
    opacity: float = 0.5,
    hidden: Collection[int] = (),
    outline: bool = False,
) -> np.ndarray:
    """Returns the image with the labels painted over it: uint8 (H, W, 3).

    labels: (H, W) ids; colors: of each id, ids without one stay unpainted, as do hidden ones; opacity:
    0 to 1; outline: borders of regions in full colour, whatever the opacity.
    """
    size = int(max(labels.max(initial=0), IGNORE_ID)) + 1
    table, painted = np.zeros((size, 3), np.float32), np.zeros(size, bool)
    for label, color in colors.items() if isinstance(colors, Mapping) else enumerate(colors):
        if 0 <= label < size and label not in hidden:
            table[label], painted[label] = color, True
    shown = painted[labels]
    strength = shown * np.float32(opacity)
    if outline:
        strength[_borders(labels) & shown] = 1
    mixed = image + strength[..., None] * (table[labels] - image)
    return (mixed + 0.5).astype(np.uint8)


def _borders(labels: np.ndarray) -> np.ndarray:
    """Pixels with a neighbour (above, below, left, right) of another label: bool (H, W)."""
    border = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return border


@lru_cache(maxsize=8)
def cluster_colors(k: int) -> np.ndarray:
    """Returns colours for k clusters, uint8 (k, 3): each as far as can be, for the eye, from those before.

    The colour of a cluster does not depend on k, nor on the machine. The array is shared and read-only.
    """
    steps = np.linspace(0, 255, 16)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    lab = _oklab(rgb / 255)
    chroma, lightness = np.hypot(lab[:, 1], lab[:, 2]), lab[:, 0]
    vivid = (chroma > 0.07) & (chroma < 0.24) & (lightness > 0.42) & (lightness < 0.9)  # seen on photographs
    rgb, lab = rgb[vivid], lab[vivid]
    chosen = [int(np.argmin(np.abs(rgb - (230, 80, 60)).sum(axis=1)))]
    nearest = np.full(len(lab), np.inf)
    while len(chosen) < k:
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(np.argmax(nearest)))
    colors = rgb[chosen[:k]].round().astype(np.uint8)
    colors.setflags(write=False)
    return colors


def _oklab(rgb: np.ndarray) -> np.ndarray:
    """OKLab of sRGB values in 0 to 1, (N, 3): equal distances look about equal (Ottosson 2020)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    to_lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.cbrt(linear @ np.array(to_cones).T) @ np.array(to_lab).T


def png_bytes(array: np.ndarray) -> bytes:
    """Returns an array as a PNG file: uint8 (H, W), (H, W, 3) or (H, W, 4), or uint16 (H, W)."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
