"""The features that an epoch's clustering sees: sampled positions of a bounded, seeded subset of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from picie_core.errors import SharedError
from picie_core.training.distributed import FabricWorkers
from picie_core.training.losses.pseudo_labels import flatten
from picie_core.training.views.batches import Batch

SAMPLED_FEATURES = 40_000
"""Features of each view that k-means of a sample sees at most."""
ALL_FEATURES_BYTES = 4 * 2**30
"""Memory for the features of all views that mini-batch k-means begins with; positions are sampled beyond it."""
POSITION_STREAM = 4
"""The stream of random numbers that samples the positions of an image."""


@dataclass(frozen=True)
class SampledFeatures:
    """Features of one batch, of all workers."""

    order: Tensor
    """(N,) where the image of each feature stands in the epoch: it sorts the features of several workers."""
    views: list[Tensor]
    """(N, D) float32 of each view."""


class EpochFeatures:
    """Collects features over the batches of an epoch until `take` hands them to the clustering."""

    def __init__(self, views: int, dim: int, seed: int, workers: FabricWorkers, kmeans: str = "sample"):
        self.dim, self.seed, self.workers = dim, seed, workers
        self.limit = SAMPLED_FEATURES if kmeans == "sample" else ALL_FEATURES_BYTES // (4 * dim * max(views, 1))
        self.none = [torch.zeros(0, dim, device=workers.device) for _ in range(views)]
        self.batches: list[SampledFeatures] = []

    @torch.no_grad()
    def add(self, maps: Sequence[Tensor], batch: Batch, epoch: int, images: int) -> None:
        """Samples the maps (B, D, h, w) of each view at positions drawn by (seed, epoch, image), the same in all views.

        images: of how many images features are collected in all, which says how many positions to sample of each. A
        worker whose images could not be read adds none, but has to call it: the features of all are gathered.
        """
        order, features = torch.zeros(0, dtype=torch.int64), self.none
        if batch.ids:
            area = maps[0].shape[2] * maps[0].shape[3]
            each = min(max(self.limit // images, 1), area)
            order = torch.tensor(batch.order).repeat_interleave(each)
            if each == area:
                features = [flatten(one) for one in maps]
            else:
                draws = [np.random.default_rng((self.seed, epoch, one, POSITION_STREAM)) for one in batch.ids]
                drawn = torch.from_numpy(np.stack([draw.choice(area, each, replace=False) for draw in draws]))
                features = [_at_positions(one, drawn) for one in maps]
        self.batches.append(SampledFeatures(self.workers.gather(order), [self.workers.gather(one) for one in features]))

    def take(self) -> list[np.ndarray]:
        """Returns the features (N, D) of each view in the order of their images, equal in all workers; keeps none.

        Raises SharedError when there are none.
        """
        batches, self.batches = self.batches, []
        order = torch.cat([one.order for one in batches]).numpy()
        if not len(order):
            raise SharedError("no image could be read: see `info` for the reason of each")
        index = np.argsort(order, kind="stable")
        return [torch.cat(views).cpu().numpy()[index] for views in zip(*(one.views for one in batches), strict=True)]


def _at_positions(maps: Tensor, drawn: Tensor) -> Tensor:
    """(B, D, h, w) -> (B * each, D) float32: the features of each image at its `drawn` positions (B, each)."""
    rows = maps.flatten(2).transpose(1, 2)  # (B, h * w, D)
    index = drawn.to(rows.device)[:, :, None].expand(-1, -1, rows.shape[2])
    return rows.gather(1, index).flatten(0, 1).float()
