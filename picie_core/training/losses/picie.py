"""PiCIE: within-view and cross-view clustering losses [1, section 3.3], with over-clustering.

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from picie_core.training.losses.epoch_clusters import EpochClusters
from picie_core.training.losses.objective import Objective, Step, StepLoss
from picie_core.training.losses.pseudo_labels import ViewClusters, flatten, weighted_cross_entropy
from picie_core.training.losses.worker_group import ALONE, WorkerGroup
from picie_core.training.settings import TrainSettings


class Picie(Objective):
    """Both views are clustered at the start of an epoch; every step is classified against the centroids of both."""

    clusters: EpochClusters

    def __init__(self, settings: TrainSettings, seed: int, device: torch.device, workers: WorkerGroup = ALONE):
        super().__init__(settings.k)
        self.settings, self.workers = settings, workers
        self.clusters = EpochClusters(settings, len(self.views), seed, device, workers)
        self.weights = level_weights(self.clusters.ks)

    def start_epoch(self, epoch: int, features: Sequence[np.ndarray]) -> None:
        self.clusters.fit(epoch, features)

    def loss(self, step: Step) -> StepLoss:
        z1, z2 = map(flatten, step.maps)
        found = []
        for number, ((one, two), shares) in enumerate(zip(self.clusters.levels, self.clusters.shares, strict=True)):
            given = (
                None if step.labels is None else [flat.flatten().long() for flat in step.labels[:, number].unbind(1)]
            )
            offsets = [share.offset() for share in shares]
            level = picie_loss(z1, z2, one, two, self.settings.temperature, offsets, given, self.workers)
            for share, labels in zip(shares, level.labels, strict=True):
                share.update(labels, self.workers)
            found.append(level)
        total = torch.stack([w * level.total for w, level in zip(self.weights, found, strict=True)]).sum()
        parts = {"within": found[0].within, "cross": found[0].cross}
        if len(found) > 1:
            parts["overcluster"] = found[1].total
        counts = torch.stack([torch.bincount(labels, minlength=self.k) for labels in found[0].labels])
        return StepLoss(total, parts, counts)

    def label(self, z: Tensor) -> Tensor:
        return (z @ self.clusters.levels[0][-1].centroids.T).argmax(1)

    def state(self) -> dict[str, Any]:
        return self.clusters.state()

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        self.clusters.load_state(state)


@dataclass(frozen=True)
class PicieLoss:
    """The loss of a batch of aligned pixels, and its pseudo-labels."""

    total: Tensor
    within: Tensor
    cross: Tensor
    labels: tuple[Tensor, Tensor]
    """(N,) int64 each, of view 1 and view 2."""


def picie_loss(
    z1: Tensor,
    z2: Tensor,
    one: ViewClusters,
    two: ViewClusters,
    temperature: float,
    offsets: Sequence[Tensor | float] = (0.0, 0.0),
    labels: Sequence[Tensor] | None = None,
    workers: WorkerGroup = ALONE,
) -> PicieLoss:
    """Returns the mean of the within-view and the cross-view cross-entropy; gradients flow through both views.

    z1, z2: (N, D) unit embeddings of the same N pixels; labels: (N,) of each view, by default the argmax of its own
    logits less `offsets`. The classifier is non-parametric: logits are cosines to the frozen centroids.
    differs from PiCIE: cosines are divided by a temperature; 1 is the paper's.
    """
    views, clusters = (z1, z2), (one, two)
    logits = [[z @ view.centroids.T / temperature for view in clusters] for z in views]
    first, second = (
        [(logits[view][view].detach() - offsets[view]).argmax(1) for view in (0, 1)] if labels is None else labels
    )

    def agree(a: int, b: int) -> Tensor:
        """C(a, b): view a's embeddings against view b's centroids and view b's labels."""
        return weighted_cross_entropy(logits[a][b], (first, second)[b], clusters[b].class_weights, workers)

    within = (agree(0, 0) + agree(1, 1)) / 2
    cross = (agree(0, 1) + agree(1, 0)) / 2
    return PicieLoss((within + cross) / 2, within, cross, (first, second))


def level_weights(ks: Sequence[int]) -> list[float]:
    """Returns the weight of the loss at each K: log K2 and log K1, each over their sum, for (K1, K2) [1, section 3.4].

    It balances the coarse clustering, whose loss is smaller, with the fine one.
    """
    if len(ks) == 1:
        return [1.0]
    logs = [math.log(k) for k in ks]
    return [logs[1] / sum(logs), logs[0] / sum(logs)]
