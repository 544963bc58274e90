"""The cells that an epoch's clustering sees: some of every image of a bounded, seeded subset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from picie_core.errors import SharedError
from picie_core.training.batches import Batch
from picie_core.training.fabric import FabricProcesses

CLUSTERED_CELLS = 40_000
"""Cells of each view that an epoch's clustering sees at most."""
CELL_STREAM = 4
"""The stream of random numbers that draws the cells of an image for the clustering."""


@dataclass(frozen=True)
class KeptFeatures:
    """Cells of one batch that a clustering will see."""

    positions: Tensor
    """(N,) where the image of each cell stands in the order of all: it puts the cells of several processes in order."""
    views: list[Tensor]
    """(N, D) float32 of each view."""


def draw_cells(
    maps: Sequence[Tensor], batch: Batch, images: int, seed: int, epoch: int, none: Tensor, processes: FabricProcesses
) -> KeptFeatures:
    """Returns cells of the maps (B, D, h, w) of a batch, drawn by (seed, epoch, image), of all processes.

    images: of how many images cells are drawn altogether, which says how many of each; none: (0, D) for each view of a
    batch in which no file could be read.
    """
    positions, cells = torch.zeros(0, dtype=torch.int64), [none for _ in maps]
    if batch.ids:
        area = maps[0].shape[2] * maps[0].shape[3]
        each = min(max(CLUSTERED_CELLS // images, 1), area)
        draws = [np.random.default_rng((seed, epoch, one, CELL_STREAM)) for one in batch.ids]
        drawn = torch.from_numpy(np.stack([draw.choice(area, each, replace=False) for draw in draws]))
        positions = torch.tensor(batch.positions).repeat_interleave(each)
        cells = [_at_places(one, drawn) for one in maps]
    return KeptFeatures(processes.gather(positions), [processes.gather(one) for one in cells])


def in_order(kept: Sequence[KeptFeatures]) -> list[np.ndarray]:
    """Returns the cells (N, D) of each view in the order of their images, the same in every process.

    Raises SharedError when there are none.
    """
    positions = torch.cat([one.positions for one in kept]).numpy()
    if not len(positions):
        raise SharedError("no image could be read: see `info` for the reason of each")
    order = np.argsort(positions, kind="stable")
    return [torch.cat(views).cpu().numpy()[order] for views in zip(*(one.views for one in kept), strict=True)]


def _at_places(maps: Tensor, drawn: Tensor) -> Tensor:
    """(B, D, h, w) -> (B * each, D) float32: the cells of each image at its `drawn` positions (B, each)."""
    rows = maps.flatten(2).transpose(1, 2)  # (B, h * w, D)
    index = drawn.to(rows.device)[:, :, None].expand(-1, -1, rows.shape[2])
    return rows.gather(1, index).flatten(0, 1).float()
