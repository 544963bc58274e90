"""Contact sheets: crops of the places that stand for a cluster, the cluster outlined, as one picture.

Numpy and Pillow only: crops come from the image cache, outlines from the stored cells; the network never runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from picie_core.clusters import cluster_scores
from picie_core.errors import PicieError
from picie_core.exemplars import KINDS, ClusterFacts, cluster_facts, exemplars
from picie_core.images import ImageCache
from picie_core.masks import cluster_colors, png_bytes
from picie_core.sample import DenseCells, EmbeddingSample, load_dense, load_sample
from picie_core.upsample import CELL_CENTRE_PX, CELL_PX, cell_positions, interpolate

if TYPE_CHECKING:
    from picie_core.clusters import Clustering
    from picie_core.workspace import Workspace

__all__ = [
    "KINDS",
    "ClusterFacts",
    "Mosaic",
    "MosaicSource",
    "Tile",
    "cluster_facts",
    "contact_sheet",
    "contact_sheets",
    "crops_at",
    "exemplars",
    "open_mosaic",
]

CROP_PX = 112
"""Side of a crop in pixels of the resized image: enough around a pixel to see what it belongs to."""
GAP_PX = 4
"""Transparent pixels between tiles, so that a sheet lies on any ground."""
LINE_PX = 1.5
HAIRLINE_PX = 1.0
MISSING = (128, 128, 128)

Color = tuple[int, int, int]


@dataclass(frozen=True)
class MosaicSource:
    """What contact sheets of a run are made from; opened once, used for many, from any thread."""

    sample: EmbeddingSample
    dense: DenseCells
    cache: ImageCache


@dataclass(frozen=True)
class Tile:
    """One crop of a sheet: its place in the sample (image id, row and column of the cell), and where it is drawn."""

    image_id: int
    row: int
    col: int
    box: tuple[int, int, int, int]
    """Left, top, right and bottom of the tile on the sheet, in pixels."""


@dataclass(frozen=True)
class Mosaic:
    """A contact sheet: `total` exemplars there are, of which this page shows `tiles`."""

    png: bytes
    tiles: list[Tile]
    columns: int
    total: int


def open_mosaic(workspace: Workspace, run: str) -> MosaicSource:
    """Returns what contact sheets of `run` are made from. Raises PicieError when the run has no sample."""
    sample, dense = load_sample(workspace, run), load_dense(workspace, run)
    return MosaicSource(sample, dense, workspace.image_cache(workspace.run_info(run).settings["size_px"]))


def contact_sheet(
    source: MosaicSource,
    clustering: Clustering,
    cluster: int,
    kind: str = "typical",
    tiles: int = 8,
    tile_px: int = 96,
    page: int = 0,
    columns: int | None = None,
    color: Color | None = None,
) -> Mosaic:
    """Returns a page of crops that stand for a cluster, the cluster outlined in `color` (its own by default).

    kind: one of KINDS. Every page has room for `tiles`, the last one is filled with transparent places.
    """
    members = exemplars(source.sample, clustering, cluster, kind, source.dense.index)
    shown = members[page * tiles : (page + 1) * tiles]
    places = np.asarray(source.sample.places[shown])
    color = color or _rgb(cluster_colors(clustering.k)[cluster])
    outlines = [(clustering, cluster, color)] * len(shown)
    return _compose(source, places, outlines, tiles, tile_px, columns, len(members))


def contact_sheets(
    source: MosaicSource,
    clustering: Clustering,
    clusters: Sequence[int],
    kind: str = "typical",
    tiles: int = 8,
    tile_px: int = 96,
    page: int = 0,
    columns: int | None = None,
) -> list[Mosaic]:
    """Returns the contact sheet of each of `clusters`."""
    return [contact_sheet(source, clustering, cluster, kind, tiles, tile_px, page, columns) for cluster in clusters]


def crops_at(
    source: MosaicSource,
    places: np.ndarray,
    clustering: Clustering | None = None,
    tile_px: int = 96,
    columns: int | None = None,
) -> Mosaic:
    """Returns crops around any places of the sample, in their order: (M, 3) image id, row, column.

    With a clustering the cluster of each place is outlined in its colour, else the place itself is ringed.
    """
    outlines: list[_Outline | None] = [None] * len(places)
    if clustering is not None:
        colors = cluster_colors(clustering.k)
        for i, place in enumerate(places):
            cluster = _cluster_at(source.dense, place, clustering)
            outlines[i] = None if cluster is None else (clustering, cluster, _rgb(colors[cluster]))
    return _compose(source, places, outlines, len(places), tile_px, columns, len(places))


# -- one sheet

_Outline = tuple["Clustering", int, Color]


def _compose(
    source: MosaicSource,
    places: np.ndarray,
    outlines: Sequence[_Outline | None],
    room: int,
    tile_px: int,
    columns: int | None,
    total: int,
) -> Mosaic:
    room = max(room, 1)
    columns = min(columns or int(np.ceil(np.sqrt(2 * room))), room)
    rows = -(-room // columns)
    step = tile_px + GAP_PX
    sheet = np.zeros((rows * step - GAP_PX, columns * step - GAP_PX, 4), np.uint8)
    tiles = []
    for i, (place, outline) in enumerate(zip(places, outlines, strict=True)):
        top, left = i // columns * step, i % columns * step
        sheet[top : top + tile_px, left : left + tile_px, :3] = _draw_tile(source, place, outline, tile_px)
        sheet[top : top + tile_px, left : left + tile_px, 3] = 255
        image_id, row, col = (int(value) for value in place)
        tiles.append(Tile(image_id, row, col, (left, top, left + tile_px, top + tile_px)))
    return Mosaic(png_bytes(sheet), tiles, columns, total)


def _draw_tile(source: MosaicSource, place: np.ndarray, outline: _Outline | None, tile_px: int) -> np.ndarray:
    """A crop as it is shown: uint8 (tile_px, tile_px, 3); plain grey when the image is gone."""
    image_id, row, col = (int(value) for value in place)
    try:
        image = source.cache.get(image_id)
    except PicieError:  # the Images screen gives the reason
        return np.full((tile_px, tile_px, 3), MISSING, np.uint8)
    left, top, side = _crop_square(row, col, image.shape[0], image.shape[1])
    crop = Image.fromarray(np.ascontiguousarray(image[top : top + side, left : left + side]))
    tile = np.asarray(crop.resize((tile_px, tile_px), Image.Resampling.LANCZOS)).astype(np.float32)
    cells = source.dense.get(image_id) if outline else None
    if outline and cells is not None:
        clustering, cluster, color = outline
        axes = [
            cell_positions(full, count, start + (np.arange(tile_px) + 0.5) * (side / tile_px) - 0.5)
            for full, count, start in zip(image.shape[:2], cells.shape[:2], (top, left), strict=True)
        ]
        tile = _highlight(tile, _lead_of(cells, clustering, cluster, *axes), color)
    else:
        centre = [
            (CELL_PX * cell + CELL_CENTRE_PX + 0.5 - start) * tile_px / side
            for cell, start in ((row, top), (col, left))
        ]
        tile = _ring(tile, *centre)
    return (tile + 0.5).astype(np.uint8)


def _crop_square(row: int, col: int, height: int, width: int) -> tuple[int, int, int]:
    """Left, top and side of the square around a cell, shifted to stay inside the picture."""
    side = min(CROP_PX, height, width)
    top, left = (round(CELL_PX * cell + CELL_CENTRE_PX - side / 2) for cell in (row, col))
    return min(max(left, 0), width - side), min(max(top, 0), height - side), side


def _lead_of(
    cells: np.ndarray, clustering: Clustering, cluster: int, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """By how much the score of a cluster exceeds that of the best other one, at positions on the grid of cells.

    Returns float32 (len(rows), len(columns)): positive inside the cluster.
    """
    top, left = int(rows[0]), int(columns[0])
    window = cells[top : int(rows[-1]) + 2, left : int(columns[-1]) + 2]  # (r, c, D)
    scores = cluster_scores(window.reshape(-1, window.shape[2]), clustering)  # (k, r * c)
    own = scores[cluster].copy()
    scores[cluster] = -4  # below every score, of parts too
    lead = (own - scores.max(axis=0)).reshape(window.shape[:2])
    return interpolate(interpolate(lead, rows - top, axis=0), columns - left, axis=1)


def _highlight(tile: np.ndarray, lead: np.ndarray, color: Color) -> np.ndarray:
    """The tile, dim and pale where `lead` is negative, with a smooth line in `color` along its zero."""
    down, right = np.gradient(lead)
    distance = lead / np.maximum(np.hypot(down, right), 1e-4)  # to the border in pixels, positive inside
    inside = np.clip(distance + 0.5, 0, 1)[..., None]
    line = inside * np.clip(LINE_PX + 0.5 - distance, 0, 1)[..., None]
    hairline = (_widened(inside, 2) - inside) * np.clip(HAIRLINE_PX + 0.5 + distance, 0, 1)[..., None]
    pale = 0.75 * (0.45 * tile + 0.55 * tile.mean(axis=2, keepdims=True))
    tile = pale + inside * (tile - pale)
    tile *= 1 - 0.85 * hairline
    return tile + line * (np.array(color, np.float32) - tile)


def _widened(inside: np.ndarray, steps: int) -> np.ndarray:
    """The largest value within `steps` pixels, so that a line is drawn only beside something that is inside."""
    wide = inside.copy()
    for _ in range(steps):
        wide[1:] = np.maximum(wide[1:], wide[:-1])
        wide[:-1] = np.maximum(wide[:-1], wide[1:])
        wide[:, 1:] = np.maximum(wide[:, 1:], wide[:, :-1])
        wide[:, :-1] = np.maximum(wide[:, :-1], wide[:, 1:])
    return wide


def _ring(tile: np.ndarray, y: float, x: float, radius: float = 5.0) -> np.ndarray:
    """The tile with a white ring and a dark hairline around a place, in pixels of the tile."""
    steps = np.arange(len(tile)) + 0.5
    distance = np.abs(np.hypot(steps[:, None] - y, steps[None, :] - x) - radius)[..., None]
    tile = tile * (1 - 0.7 * np.clip(2.5 - distance, 0, 1))
    return tile + np.clip(1.5 - distance, 0, 1) * (255 - tile)


def _cluster_at(dense: DenseCells, place: np.ndarray, clustering: Clustering) -> int | None:
    """The cluster of a cell; None when the cells of its image are not stored."""
    image_id, row, col = (int(value) for value in place)
    cells = dense.get(image_id)
    return None if cells is None else int(cluster_scores(cells[row, col][None], clustering).argmax())


def _rgb(color: np.ndarray) -> Color:
    return int(color[0]), int(color[1]), int(color[2])
