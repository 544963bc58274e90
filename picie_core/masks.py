"""From pixel embeddings to full-size masks: class scores, upsampling, argmax, and the coloured overlay.

Numpy only, so that a screen that shows masks loads neither torch nor faiss; the network is imported when an
image has no stored cells.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from picie_core.classes import IGNORE_ID

if TYPE_CHECKING:
    from picie_core.clusters import Clustering
    from picie_core.embedder import FrozenEmbedder
    from picie_core.sample import DenseCells
    from picie_core.workspace import Workspace

CELL_PX = 4
"""Side of a cell in pixels of the resized image."""
CELL_CENTRE_PX = 1.5
"""Centre of cell 0 in the resized image: 1.5 is `align_corners=False`, 0 that of the convolutions."""
TILE_PX = 128
"""Side of the pieces a mask is computed in: they fit into a processor's cache and have few winners."""
SCORES_BYTES = 64 << 20
"""Scores of at most this many bytes are held at once, however large the picture."""


def cell_positions(full_px: int, cells: int, pixels: np.ndarray | None = None) -> np.ndarray:
    """Returns where the pixels of one axis lie on the grid of cells: the only place that knows this geometry.

    full_px: pixels of an axis at any size; cells: cells of it; pixels: positions along it (0 is the centre of the
    first pixel), every pixel by default. Returns float64 in [0, cells - 1].
    """
    pixels = np.arange(full_px) if pixels is None else pixels
    resized_px = (pixels + 0.5) * (CELL_PX * cells / full_px) - 0.5
    return np.clip((resized_px - CELL_CENTRE_PX) / CELL_PX, 0, cells - 1)


def class_scores(cells: np.ndarray, centroids: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Returns the cosine of each cell to the best cluster of each channel.

    cells: (h, w, D) float or int8, any length; centroids: (K, D) unit; groups: (K,) channel of each cluster,
    every channel from 0 to C - 1 used, None for one channel a cluster. Returns float32 (C, h, w).
    """
    height, width, depth = cells.shape
    flat = cells.reshape(-1, depth).astype(np.float32)  # (N, D)
    length = np.sqrt(np.einsum("nd,nd->n", flat, flat))
    scores = centroids.astype(np.float32) @ flat.T  # (K, N)
    scores /= np.maximum(length, np.finfo(np.float32).tiny)
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        starts = np.searchsorted(groups[order], np.arange(groups.max() + 1))
        scores = np.maximum.reduceat(scores[order], starts, axis=0)  # (C, N)
    return scores.reshape(-1, height, width)


def upsample_argmax(scores: np.ndarray, height: int, width: int, tile_px: int = TILE_PX) -> np.ndarray:
    """Returns the best channel of each pixel: the scores upsampled bilinearly to full size, then argmax.

    scores: (C, h, w). Returns (height, width), uint8 up to 256 channels, else uint16; the first of equal
    channels wins. Computed tile by tile, which changes no pixel: memory does not grow with the picture.
    """
    return _label_pixels(lambda first, last: scores[:, first:last], scores.shape, height, width, tile_px)


def cluster_mask(cells: np.ndarray, clustering: Clustering, height: int, width: int) -> np.ndarray:
    """Returns the cluster of each pixel: (height, width), uint8 up to 255 clusters, else uint16."""
    mask = _label_cells(cells, clustering.centroids, None, height, width)
    return mask.astype(np.uint16) if len(clustering.centroids) > IGNORE_ID else mask


def class_mask(
    cells: np.ndarray, clustering: Clustering, classes_of: Mapping[int, int], height: int, width: int
) -> np.ndarray:
    """Returns the class id of each pixel: uint8 (height, width), 255 where ignored or unnamed.

    classes_of: cluster -> class id; unnamed clusters are absent. A class has its best cluster's score, so
    naming two clusters alike can only move their border to third ones.
    """
    clusters = range(len(clustering.centroids))
    ids, groups = np.unique([classes_of.get(cluster, IGNORE_ID) for cluster in clusters], return_inverse=True)
    channels = _label_cells(cells, clustering.centroids, groups, height, width)
    return ids.astype(np.uint8)[channels]


def cells_of_image(
    workspace: Workspace,
    run: str,
    image_id: int,
    dense: DenseCells | None = None,
    embedder: FrozenEmbedder | None = None,
) -> np.ndarray:
    """Returns the cells (h, w, D) of an image: the stored int8 ones if there are any, else the network's.

    embedder: of `load_engine`; made here when it is needed and None. Raises PicieError for a lost image.
    """
    stored = dense.get(image_id) if dense is not None else None
    if stored is not None:
        return stored
    from picie_core.embedder import embed_image

    image = workspace.image_cache(workspace.run_info(run).settings["size_px"]).get(image_id)
    return embed_image(embedder or load_engine(workspace, run), image)


def load_engine(workspace: Workspace, run: str, device: str = "auto") -> FrozenEmbedder:
    """Returns the network of a run, ready to embed images. Raises PicieError when it is gone or damaged."""
    from picie_core.embedder import FrozenEmbedder, load_embedder

    embedder, _ = load_embedder(workspace.run_dir(run) / "embedder")
    return FrozenEmbedder(embedder, device)


# -- pixels from scores


def _label_cells(
    cells: np.ndarray, centroids: np.ndarray, groups: np.ndarray | None, height: int, width: int
) -> np.ndarray:
    """The channel of each pixel; scores are made a few rows at a time when all would take too much memory."""
    channels = len(centroids) if groups is None else int(groups.max()) + 1
    shape = (channels, *cells.shape[:2])
    if len(centroids) * cells.shape[0] * cells.shape[1] * 4 <= SCORES_BYTES:
        return upsample_argmax(class_scores(cells, centroids, groups), height, width)
    return _label_pixels(lambda first, last: class_scores(cells[first:last], centroids, groups), shape, height, width)


def _label_pixels(
    rows_of_scores: Callable[[int, int], np.ndarray],
    shape: tuple[int, ...],
    height: int,
    width: int,
    tile_px: int = TILE_PX,
) -> np.ndarray:
    """`upsample_argmax` of scores that are asked for by rows of cells, [first, last)."""
    channels, cell_rows, cell_columns = shape
    down, right = cell_positions(height, cell_rows), cell_positions(width, cell_columns)
    labels = np.empty((height, width), np.uint8 if channels <= 256 else np.uint16)
    for top in range(0, height, tile_px):
        rows = down[top : top + tile_px]
        first, last = _touched(rows, cell_rows)
        strip = rows_of_scores(first, last)  # (C, last - first, w)
        for start in range(0, width, tile_px):
            columns = right[start : start + tile_px]
            left, stop = _touched(columns, cell_columns)
            tile = labels[top : top + tile_px, start : start + tile_px]
            _label_tile(strip[:, :, left:stop], rows - first, columns - left, tile)
    return labels


def _touched(positions: np.ndarray, cells: int) -> tuple[int, int]:
    """The range [first, last) of the cells that the positions are interpolated between."""
    return int(positions[0]), min(int(positions[-1]) + 2, cells)


def _label_tile(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray, labels: np.ndarray) -> None:
    """Writes the best channel of each pixel of a tile into `labels`; scores (C, r, c) of its cells."""
    winners = _possible_winners(scores)
    if len(winners) == 1:
        labels[:] = winners[0]
        return
    band = interpolate(scores[winners], rows, axis=1)  # (c, H, w)
    best = interpolate(band[0], columns, axis=1)  # (H, W)
    labels[:] = winners[0]
    for channel, channel_band in zip(winners[1:], band[1:], strict=True):
        score = interpolate(channel_band, columns, axis=1)
        np.copyto(labels, channel, where=score > best, casting="unsafe")
        np.maximum(best, score, out=best)


def _possible_winners(scores: np.ndarray) -> np.ndarray:
    """Channels that can be the best between these cells: interpolation never leaves a channel's own range."""
    flat = scores.reshape(len(scores), -1)
    margin = 1e-5 * max(float(np.abs(flat).max()), 1e-30)  # far above rounding, far below what matters
    return np.flatnonzero(flat.max(axis=1) >= flat.min(axis=1).max() - margin)


def interpolate(scores: np.ndarray, positions: np.ndarray, axis: int) -> np.ndarray:
    """Returns scores between cells, linearly along one of the first two axes; positions as of `cell_positions`.

    Each value depends on its own position only, so pieces of a picture agree exactly.
    """
    low = np.minimum(positions.astype(np.intp), scores.shape[axis] - 1)
    high = np.minimum(low + 1, scores.shape[axis] - 1)
    share = (positions - low).astype(np.float32)
    share = share.reshape(-1, *[1] * (scores.ndim - 1 - axis))
    upper = np.take(scores, low, axis=axis)
    upper *= 1 - share
    lower = np.take(scores, high, axis=axis)
    lower *= share
    upper += lower
    return upper


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
