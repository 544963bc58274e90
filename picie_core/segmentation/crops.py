"""The crops of a contact sheet: what is cut from the images, and the outline of the cluster in it.

All crops of a contact sheet are drawn together, as arrays (M, t, t, 3): a page of cards has 144 of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from picie_core.clustering.clustering import cluster_scores
from picie_core.colors import Rgb
from picie_core.data.feature_grid import centre_px, positions_of_pixels
from picie_core.data.feature_windows import FeatureWindows, StoredMap
from picie_core.errors import PicieError
from picie_core.segmentation.upsampling import upsample

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.data.embedding_sample import DenseFeatures
    from picie_core.data.images.image_source import ImageSource

CROP_PX = 112
"""Side of a crop in pixels of the resized image: enough around a pixel to see what it belongs to."""
WIDE_CROP_PX = 208
"""Side of a crop with context: enough to see where in a scene it is."""
LINE_PX = 1.5
HAIRLINE_PX = 1.0
RING_RADIUS_PX = 5.0
MISSING = (128, 128, 128)
"""Colour of the crop of an image that cannot be read any more."""

Outline = tuple["Clustering", int, Rgb]


def draw_crops(
    cache: ImageSource,
    dense: DenseFeatures,
    positions: np.ndarray,
    outlines: list[Outline | None],
    shown_px: int,
    crop_px: int = CROP_PX,
) -> np.ndarray:
    """Returns the crops around positions (M, 3) image id, row, column, as they are shown: uint8 (M, t, t, 3).

    outlines: clustering, cluster and colour to outline, or None for a ring around the position itself. Where no feature
    map is stored there is a ring too; the crop of an image that is gone is plain grey. t: shown_px.
    """
    crops = np.empty((len(positions), shown_px, shown_px, 3), np.float32)
    margins = np.empty((len(positions), shown_px, shown_px), np.float32)
    outlined = np.zeros(len(positions), bool)
    for index, ((image_id, row, col), outline) in enumerate(zip(positions.tolist(), outlines, strict=True)):
        width, height = cache.scaled_size(image_id)
        left, top, side = crop_square(row, col, height, width, crop_px)
        try:
            crops[index] = _shown(cache.window(image_id, top, left, side, side), shown_px)
        except PicieError:  # the Images screen gives the reason
            crops[index] = MISSING
            continue
        if outline is None or image_id not in dense.index:
            y, x = ((centre_px(at) + 0.5 - start) * (shown_px / side) for at, start in ((row, top), (col, left)))
            crops[index] = _ringed(crops[index], y, x)
            continue
        rows, columns = (
            positions_of_pixels(full, length, start + (np.arange(shown_px) + 0.5) * (side / shown_px) - 0.5)
            for full, length, start in zip((height, width), dense.shape(image_id), (top, left), strict=True)
        )
        margins[index] = cluster_margin(StoredMap(dense, image_id), outline[0], outline[1], rows, columns)
        outlined[index] = True
    if outlined.any():
        colors = np.array([outline[2] for outline, drawn in zip(outlines, outlined, strict=True) if outline and drawn])
        crops[outlined] = highlight(crops[outlined], margins[outlined], colors)
    return (crops + 0.5).astype(np.uint8)


def plain_crops(cache: ImageSource, positions: np.ndarray, shown_px: int, crop_px: int = CROP_PX) -> np.ndarray:
    """Returns the crops with nothing drawn on them: uint8 (M, t, t, 3)."""
    crops = np.full((len(positions), shown_px, shown_px, 3), MISSING, np.uint8)
    for index, (image_id, row, col) in enumerate(positions.tolist()):
        width, height = cache.scaled_size(image_id)
        left, top, side = crop_square(row, col, height, width, crop_px)
        try:
            crops[index] = _shown(cache.window(image_id, top, left, side, side), shown_px)
        except PicieError:  # the Images screen gives the reason
            continue
    return crops


def crop_square(row: int, col: int, height: int, width: int, crop_px: int = CROP_PX) -> tuple[int, int, int]:
    """Returns left, top and side of the square around a position, shifted to stay inside the image."""
    side = min(crop_px, height, width)
    top, left = (round(centre_px(index) - side / 2) for index in (row, col))
    return min(max(left, 0), width - side), min(max(top, 0), height - side), side


def cluster_margin(
    features: FeatureWindows, clustering: Clustering, cluster: int, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Returns by how much the score of a cluster exceeds that of the best other one, positive inside the cluster.

    rows, columns: where between the positions. Returns float32 (len(rows), len(columns)).
    """
    top, left = int(rows[0]), int(columns[0])
    bottom, right = (min(int(one[-1]) + 2, length) for one, length in zip((rows, columns), features.shape, strict=True))
    window = features.window((top, bottom), (left, right))  # (r, c, D)
    scores = cluster_scores(window.reshape(-1, window.shape[2]), clustering)  # (k, r * c)
    own = scores[cluster].copy()
    scores[cluster] = -4  # below every score, of parts too
    return upsample((own - scores.max(axis=0)).reshape(window.shape[:2]), rows - top, columns - left)


def highlight(crops: np.ndarray, margins: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Returns crops, dim and pale where the margin is negative, with a smooth line in their colour along its zero.

    crops: (M, t, t, 3) float32; margins: (M, t, t); colors: (M, 3).
    """
    down, right = np.gradient(margins, axis=(1, 2))
    distance = margins / np.maximum(np.hypot(down, right), 1e-4)  # to the border in pixels, positive inside
    inside = np.clip(distance + 0.5, 0, 1)
    line = inside * np.clip(LINE_PX + 0.5 - distance, 0, 1)
    hairline = (_widened(inside, 2) - inside) * np.clip(HAIRLINE_PX + 0.5 + distance, 0, 1)
    pale = crops @ np.full((3, 3), 0.75 * 0.55 / 3, np.float32)
    pale += (0.75 * 0.45) * crops
    crops = pale + inside[..., None] * (crops - pale)
    crops *= (1 - 0.85 * hairline)[..., None]
    return crops + line[..., None] * (np.asarray(colors, np.float32)[:, None, None] - crops)


def _shown(square: np.ndarray, shown_px: int) -> np.ndarray:
    """A square of pixels at the size at which a crop is shown: uint8 (t, t, 3)."""
    crop = Image.fromarray(np.ascontiguousarray(square))
    return np.asarray(crop.resize((shown_px, shown_px), Image.Resampling.HAMMING))


def _widened(inside: np.ndarray, steps: int) -> np.ndarray:
    """The largest value within `steps` pixels, so that a line is drawn only beside something that is inside."""
    wide = inside.copy()
    for _ in range(steps):
        wide[:, 1:] = np.maximum(wide[:, 1:], wide[:, :-1])
        wide[:, :-1] = np.maximum(wide[:, :-1], wide[:, 1:])
        wide[:, :, 1:] = np.maximum(wide[:, :, 1:], wide[:, :, :-1])
        wide[:, :, :-1] = np.maximum(wide[:, :, :-1], wide[:, :, 1:])
    return wide


def _ringed(crop: np.ndarray, y: float, x: float) -> np.ndarray:
    """The crop with a white ring and a dark hairline around a point, in pixels of the shown crop."""
    steps = np.arange(len(crop)) + 0.5
    distance = np.abs(np.hypot(steps[:, None] - y, steps[None, :] - x) - RING_RADIUS_PX)[..., None]
    crop = crop * (1 - 0.7 * np.clip(2.5 - distance, 0, 1))
    return crop + np.clip(1.5 - distance, 0, 1) * (255 - crop)
