"""The sample writer of tiled images: a feature map arrives tile by tile, and is never whole in memory."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

import numpy as np

from picie_core.data.images.image_cache import RESERVE_BYTES
from picie_core.data.sample_writer import SampleWriter, quantise
from picie_core.data.tiling import Tile

if TYPE_CHECKING:
    from torch import Tensor


class TiledSampleWriter(SampleWriter):
    """Gathers the sampled rows and writes int8 feature maps, tile by tile, the tiles of an image one after another.

    wanted: image id -> flat positions in its feature map; dense_budget: as of `SampleWriter`. An image whose feature
    map does not fit is left out, and embedded again when it is looked at.
    """

    def __init__(
        self, wanted: dict[int, np.ndarray], dense_budget: int, file: IO[bytes], reserve_bytes: int = RESERVE_BYTES
    ):
        super().__init__(wanted, dense_budget, file, reserve_bytes)
        self._left_out: set[int] = set()

    def add_tile(self, image_id: int, map_shape: tuple[int, int], tile: Tile, valid: Tensor) -> None:
        """Takes what a tile is valid for: embeddings (r, c, D) of an image whose feature map has `map_shape` (h, w)."""
        self.dim = valid.shape[2]
        self._sample_rows(image_id, map_shape[1], tile, valid)
        if image_id not in self.ids and image_id not in self._left_out:
            self._begin(image_id, map_shape)
        if image_id not in self._left_out:
            start = self.offsets[self.ids.index(image_id)]
            for row, positions in enumerate(quantise(valid).numpy(), tile.rows.first):
                at = start + (row * map_shape[1] + tile.columns.first) * self.dim
                _write_all(self.file, np.ascontiguousarray(positions), at)

    def discard(self, image_id: int) -> None:
        """Forgets an image that turned out to be unreadable after some of its tiles."""
        kept = [i for i, positions in enumerate(self.sample.positions) if not (positions[:, 0] == image_id).any()]
        self.sample.rows = [self.sample.rows[i] for i in kept]
        self.sample.positions = [self.sample.positions[i] for i in kept]
        if image_id in self.ids:
            at = self.ids.index(image_id)
            for column in (self.ids, self.shapes, self.offsets):
                del column[at]

    def _begin(self, image_id: int, map_shape: tuple[int, int]) -> None:
        """Gives an image its place in the file, where budget and disk allow."""
        size = map_shape[0] * map_shape[1] * self.dim
        disk = os.fstatvfs(self.file.fileno())
        if size > min(self.dense_budget - self.end, disk.f_bavail * disk.f_frsize - self.reserve_bytes):
            self._left_out.add(image_id)
            return
        self.ids.append(image_id)
        self.shapes.append(map_shape)
        self.offsets.append(self.end)
        self.end += size

    def _sample_rows(self, image_id: int, map_width: int, tile: Tile, valid: Tensor) -> None:
        import torch

        wanted, rows, columns = self.sample.wanted[image_id], tile.rows, tile.columns
        wanted = wanted[slice(*np.searchsorted(wanted, (rows.first * map_width, rows.last * map_width)))]
        row, column = np.divmod(wanted, map_width)
        inside = (column >= columns.first) & (column < columns.last)
        row, column = row[inside], column[inside]
        if not len(row):
            return
        at = [torch.from_numpy(one).to(valid.device) for one in (row - rows.first, column - columns.first)]
        found = torch.nn.functional.normalize(valid[tuple(at)].float(), dim=1)
        self.sample.rows.append(found.half().cpu().numpy())
        self.sample.positions.append(np.stack([np.full(len(row), image_id), row, column], 1).astype(np.int32))


def _write_all(file: IO[bytes], values: np.ndarray, offset: int) -> None:
    left = values.data.cast("B")
    while left:
        written = os.pwrite(file.fileno(), left, offset)
        left, offset = left[written:], offset + written
