"""The figures of one epoch of training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric

from picie_core.objectives.picie import PicieLoss


@dataclass(frozen=True)
class EpochRecord:
    """The figures of one epoch."""

    epoch: int
    loss: float
    within: float
    cross: float
    label_entropy: float
    """Of the pseudo-labels, as a share of log K; near 0 is a collapse."""
    dead_clusters: int
    """Clusters that got no pixel in the whole epoch."""
    changed_labels: float
    """Share of the cells of some fixed images whose label changed since the epoch before."""
    images_per_s: float
    seconds: float


class EpochTotals:
    """Sums over the steps of an epoch."""

    def __init__(self, k: int):
        self.steps = 0
        self.losses = torch.zeros(3, dtype=torch.float64)
        self.label_counts = torch.zeros(k, dtype=torch.int64)

    def add(self, found: PicieLoss) -> None:
        """Adds the loss and the pseudo-labels of one step."""
        self.steps += 1
        self.losses += torch.stack([found.total, found.within, found.cross]).detach().double().cpu()
        for labels in found.labels:
            self.label_counts += torch.bincount(labels, minlength=len(self.label_counts)).cpu()

    def gather(self, fabric: Fabric) -> None:
        """Brings together what the processes of a training saw; alone it changes nothing."""
        losses, counts = self.losses.to(fabric.device), self.label_counts.to(fabric.device)
        self.losses = torch.as_tensor(fabric.all_reduce(losses, reduce_op="mean")).cpu()
        self.label_counts = torch.as_tensor(fabric.all_reduce(counts, reduce_op="sum")).cpu()

    def means(self) -> dict[str, float]:
        """Returns the mean total, within-view and cross-view loss of the steps so far."""
        return dict(zip(("loss", "within", "cross"), (self.losses / max(self.steps, 1)).tolist(), strict=True))
