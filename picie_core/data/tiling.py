"""The tiles of an image: overlapping squares for the network, and which positions each of them is valid for.

Tiles begin at multiples of the network's total stride, so the positions of a tile are positions of the whole image's
feature map. Where two overlap, the border between them runs through the middle of the overlap: every position comes
from the tile in which it has most around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from picie_core.data.feature_grid import STRIDE, feature_map_shape
from picie_core.settings import TOTAL_STRIDE, TilingSettings

Window = Callable[[int, int, int, int], np.ndarray]
"""Top, left, height and width of a window inside an image to its pixels, uint8 RGB (height, width, 3)."""


class Span(NamedTuple):
    """A tile along one axis: its pixels, and the positions [first, last) that are taken from it."""

    start_px: int
    size_px: int
    first: int
    last: int


@dataclass(frozen=True)
class Tile:
    """A tile of an image, by its rows and its columns."""

    rows: Span
    columns: Span

    @property
    def valid(self) -> tuple[slice, slice]:
        """The rows and columns of the tile's own feature map that are taken from it."""
        along = ((one.first - one.start_px // STRIDE, one.last - one.start_px // STRIDE) for one in self)
        (top, bottom), (left, right) = along
        return slice(top, bottom), slice(left, right)

    def __iter__(self) -> Iterator[Span]:
        return iter((self.rows, self.columns))

    def read(self, window: Window, height: int, width: int) -> np.ndarray:
        """Returns the pixels of the tile in an image of this size; what lies beyond it repeats its last row or column.

        window: reads from the image. Returns uint8 RGB (H, W, 3), H and W multiples of the total stride.
        """
        inside = [min(one.size_px, full - one.start_px) for one, full in zip(self, (height, width), strict=True)]
        pixels = window(self.rows.start_px, self.columns.start_px, inside[0], inside[1])
        beyond = [(0, one.size_px - size) for one, size in zip(self, inside, strict=True)]
        return np.pad(pixels, (*beyond, (0, 0)), mode="edge") if any(map(sum, beyond)) else np.ascontiguousarray(pixels)


class TileGrid:
    """The tiles of an image of (height, width) pixels at the network's input, numbered row by row."""

    def __init__(self, height: int, width: int, settings: TilingSettings):
        self.size_px = height, width
        self.map_shape = feature_map_shape(height, width)
        self.rows = spans(height, settings.tile_px, settings.overlap_px)
        self.columns = spans(width, settings.tile_px, settings.overlap_px)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __getitem__(self, number: int) -> Tile:
        row, column = divmod(number, len(self.columns))
        return Tile(self.rows[row], self.columns[column])

    def covering(self, rows: tuple[int, int], columns: tuple[int, int]) -> list[int]:
        """Returns the tiles that positions [first, last) of rows and columns are taken from."""
        found = [
            [i for i, one in enumerate(axis) if one.first < last and first < one.last]
            for axis, (first, last) in ((self.rows, rows), (self.columns, columns))
        ]
        return [row * len(self.columns) + column for row in found[0] for column in found[1]]


def spans(length_px: int, tile_px: int, overlap_px: int) -> list[Span]:
    """Returns the tiles along an axis; all have the same size, so that they go through the network together.

    The axis is filled up to a multiple of the total stride; the last tile ends there, with more overlap than the
    others.
    """
    filled, positions = -(-length_px // TOTAL_STRIDE) * TOTAL_STRIDE, -(-length_px // STRIDE)
    size, step = min(tile_px, filled), tile_px - overlap_px
    starts = [*range(0, filled - size, step), filled - size]
    borders = [(after + before + size) // 2 // STRIDE for before, after in pairwise(starts)]
    ends = zip([0, *borders], [*borders, positions], strict=True)
    return [Span(start, size, first, last) for start, (first, last) in zip(starts, ends, strict=True)]
