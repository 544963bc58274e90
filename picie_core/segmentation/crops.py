"""One crop of a contact sheet: what is cut from the image, and the outline of the cluster in it.

All tiles of a sheet are drawn together, as arrays (M, t, t, 3): a page of cards has 144 of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from picie_core.clustering.clustering import cluster_scores
from picie_core.data.feature_grid import centre_px, positions_of_pixels
from picie_core.errors import PicieError
from picie_core.segmentation.upsampling import interpolate

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.segmentation.contact_sheet import MosaicSource

CROP_PX = 112
"""Side of a crop in pixels of the resized image: enough around a pixel to see what it belongs to."""
WIDE_CROP_PX = 208
"""Side of a crop with context: enough to see where in a scene it is."""
LINE_PX = 1.5
HAIRLINE_PX = 1.0
MISSING = (128, 128, 128)

Color = tuple[int, int, int]
Outline = tuple["Clustering", int, Color]


def draw_tiles(
    source: MosaicSource, positions: np.ndarray, outlines: list[Outline | None], tile_px: int, crop_px: int = CROP_PX
) -> np.ndarray:
    """Returns the crops around places (M, 3) image id, row, column, as they are shown: uint8 (M, t, t, 3).

    outlines: clustering, cluster and colour to outline, or None for a ring around the place itself. Where no cells are
    stored there is a ring too; the tile of an image that is gone is plain grey.
    """
    tiles = np.empty((len(positions), tile_px, tile_px, 3), np.float32)
    leads = np.empty((len(positions), tile_px, tile_px), np.float32)
    outlined = np.zeros(len(positions), bool)
    for index, (place, outline) in enumerate(zip(positions.tolist(), outlines, strict=True)):
        try:
            image = source.cache.get(place[0])
        except PicieError:  # the Images screen gives the reason
            tiles[index] = MISSING
            continue
        left, top, side = crop_square(place[1], place[2], image.shape[0], image.shape[1], crop_px)
        tiles[index] = _cut(image, left, top, side, tile_px)
        feature_map = source.dense.get(place[0]) if outline else None
        if outline is None or feature_map is None:
            tiles[index] = _ring(tiles[index], *_centre(place, left, top, tile_px / side))
            continue
        axes = [
            positions_of_pixels(full, count, start + (np.arange(tile_px) + 0.5) * (side / tile_px) - 0.5)
            for full, count, start in zip(image.shape[:2], feature_map.shape[:2], (top, left), strict=True)
        ]
        leads[index], outlined[index] = lead_of(feature_map, outline[0], outline[1], *axes), True
    if outlined.any():
        colors = np.array([outline[2] for outline, drawn in zip(outlines, outlined, strict=True) if outline and drawn])
        tiles[outlined] = highlight(tiles[outlined], leads[outlined], colors)
    return (tiles + 0.5).astype(np.uint8)


def plain_tiles(source: MosaicSource, positions: np.ndarray, tile_px: int, crop_px: int = CROP_PX) -> np.ndarray:
    """Returns the crops with nothing drawn on them: uint8 (M, t, t, 3)."""
    tiles = np.full((len(positions), tile_px, tile_px, 3), MISSING, np.uint8)
    for index, (image_id, row, col) in enumerate(positions.tolist()):
        try:
            image = source.cache.get(image_id)
        except PicieError:  # the Images screen gives the reason
            continue
        tiles[index] = _cut(image, *crop_square(row, col, image.shape[0], image.shape[1], crop_px), tile_px)
    return tiles


def crop_square(row: int, col: int, height: int, width: int, crop_px: int = CROP_PX) -> tuple[int, int, int]:
    """Returns left, top and side of the square around a cell, shifted to stay inside the picture."""
    side = min(crop_px, height, width)
    top, left = (round(centre_px(index) - side / 2) for index in (row, col))
    return min(max(left, 0), width - side), min(max(top, 0), height - side), side


def lead_of(
    feature_map: np.ndarray, clustering: Clustering, cluster: int, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Returns by how much the score of a cluster exceeds that of the best other one, positive inside the cluster.

    rows, columns: positions on the grid of cells. Returns float32 (len(rows), len(columns)).
    """
    top, left = int(rows[0]), int(columns[0])
    window = feature_map[top : int(rows[-1]) + 2, left : int(columns[-1]) + 2]  # (r, c, D)
    scores = cluster_scores(window.reshape(-1, window.shape[2]), clustering)  # (k, r * c)
    own = scores[cluster].copy()
    scores[cluster] = -4  # below every score, of parts too
    lead = (own - scores.max(axis=0)).reshape(window.shape[:2])
    return interpolate(interpolate(lead, rows - top, axis=0), columns - left, axis=1)


def highlight(tiles: np.ndarray, leads: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Returns tiles, dim and pale where the lead is negative, with a smooth line in their colour along its zero.

    tiles: (M, t, t, 3) float32; leads: (M, t, t); colors: (M, 3).
    """
    down, right = np.gradient(leads, axis=(1, 2))
    distance = leads / np.maximum(np.hypot(down, right), 1e-4)  # to the border in pixels, positive inside
    inside = np.clip(distance + 0.5, 0, 1)
    line = inside * np.clip(LINE_PX + 0.5 - distance, 0, 1)
    hairline = (_widened(inside, 2) - inside) * np.clip(HAIRLINE_PX + 0.5 + distance, 0, 1)
    pale = tiles @ np.full((3, 3), 0.75 * 0.55 / 3, np.float32)
    pale += (0.75 * 0.45) * tiles
    tiles = pale + inside[..., None] * (tiles - pale)
    tiles *= (1 - 0.85 * hairline)[..., None]
    return tiles + line[..., None] * (np.asarray(colors, np.float32)[:, None, None] - tiles)


def _cut(image: np.ndarray, left: int, top: int, side: int, tile_px: int) -> np.ndarray:
    """The square at the size of a tile: uint8 (t, t, 3)."""
    crop = Image.fromarray(np.ascontiguousarray(image[top : top + side, left : left + side]))
    return np.asarray(crop.resize((tile_px, tile_px), Image.Resampling.HAMMING))


def _centre(place: list[int], left: int, top: int, scale: float) -> list[float]:
    """Where the middle of a cell lies on its tile: y and x in pixels."""
    return [(centre_px(index) + 0.5 - start) * scale for index, start in zip(place[1:], (top, left), strict=True)]


def _widened(inside: np.ndarray, steps: int) -> np.ndarray:
    """The largest value within `steps` pixels, so that a line is drawn only beside something that is inside."""
    wide = inside.copy()
    for _ in range(steps):
        wide[:, 1:] = np.maximum(wide[:, 1:], wide[:, :-1])
        wide[:, :-1] = np.maximum(wide[:, :-1], wide[:, 1:])
        wide[:, :, 1:] = np.maximum(wide[:, :, 1:], wide[:, :, :-1])
        wide[:, :, :-1] = np.maximum(wide[:, :, :-1], wide[:, :, 1:])
    return wide


def _ring(tile: np.ndarray, y: float, x: float, radius: float = 5.0) -> np.ndarray:
    """The tile with a white ring and a dark hairline around a place, in pixels of the tile."""
    steps = np.arange(len(tile)) + 0.5
    distance = np.abs(np.hypot(steps[:, None] - y, steps[None, :] - x) - radius)[..., None]
    tile = tile * (1 - 0.7 * np.clip(2.5 - distance, 0, 1))
    return tile + np.clip(1.5 - distance, 0, 1) * (255 - tile)
