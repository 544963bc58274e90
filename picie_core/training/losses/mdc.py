"""Modified DeepCluster: one view, one clustering, a parametric classifier that is new in every epoch [1, section 4.2].

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021; after Caron et al., "Deep Clustering", ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from picie_core.training.losses.epoch_clusters import EpochClusters
from picie_core.training.losses.objective import Objective, Step, StepLoss, new_head
from picie_core.training.losses.picie import level_weights
from picie_core.training.losses.pseudo_labels import flatten, weighted_cross_entropy
from picie_core.training.losses.worker_group import ALONE, WorkerGroup
from picie_core.training.settings import TrainSettings


class ModifiedDeepCluster(Objective):
    """View 1 alone is clustered and labelled; a new linear classifier learns the labels."""

    views = (1,)
    renews_head = True
    clusters: EpochClusters

    def __init__(
        self, settings: TrainSettings, dim: int, seed: int, device: torch.device, workers: WorkerGroup = ALONE
    ):
        super().__init__(settings.k)
        self.settings, self.dim, self.seed, self.device, self.workers = settings, dim, seed, device, workers
        self.clusters = EpochClusters(settings, len(self.views), seed, device, workers)
        self.weights = level_weights(self.clusters.ks)
        self.heads = nn.ModuleList(new_head(dim, k, seed, device) for k in self.clusters.ks)

    def start_epoch(self, epoch: int, features: Sequence[np.ndarray]) -> None:
        self.clusters.fit(epoch, features)
        self.heads = nn.ModuleList(new_head(self.dim, k, self.seed + epoch, self.device) for k in self.clusters.ks)

    def loss(self, step: Step) -> StepLoss:
        z, losses, labels = flatten(step.maps[0]), [], []
        levels = zip(self.heads, self.clusters.levels, self.clusters.shares, strict=True)
        for number, (head, (clusters,), (shares,)) in enumerate(levels):
            if step.labels is None:
                scores = z.detach() @ clusters.centroids.T / self.settings.temperature
                labels.append((scores - shares.offset()).argmax(1))
            else:
                labels.append(step.labels[:, number, 0].flatten().long())
            shares.update(labels[number], self.workers)
            logits = head(z / self.settings.temperature)
            losses.append(weighted_cross_entropy(logits, labels[number], clusters.class_weights, self.workers))
        total = torch.stack([w * loss for w, loss in zip(self.weights, losses, strict=True)]).sum()
        parts = {"overcluster": losses[1]} if len(losses) > 1 else {}
        return StepLoss(total, parts, torch.bincount(labels[0], minlength=self.k))

    def label(self, z: Tensor) -> Tensor:
        return (z @ self.clusters.levels[0][0].centroids.T).argmax(1)

    def head(self) -> nn.Linear | None:
        head = self.heads[0]
        return head if isinstance(head, nn.Linear) else None

    def parameters(self) -> list[nn.Parameter]:
        return list(self.heads.parameters())

    def state(self) -> dict[str, Any]:
        return {"heads": self.heads.state_dict(), "clusters": self.clusters.state()}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        self.heads.load_state_dict(state["heads"])
        self.clusters.load_state(state["clusters"])
