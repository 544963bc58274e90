"""Modified DeepCluster: one view, one clustering, a parametric classifier that is new in every epoch [1, section 4.2].

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021; after Caron et al., "Deep Clustering", ECCV 2018.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from picie_core.settings import TrainSettings
from picie_core.training.losses.objective import ALONE, Objective, Step, StepLoss, WorkerGroup, flatten, new_head
from picie_core.training.losses.picie import level_weights
from picie_core.training.losses.pseudo_labels import (
    PriorMatching,
    ViewClusters,
    cluster_features,
    weighted_cross_entropy,
)


class ModifiedDeepCluster(Objective):
    """View 1 alone is clustered and labelled; a new linear classifier learns the labels."""

    views = (1,)
    renews_head = True

    def __init__(
        self, settings: TrainSettings, dim: int, seed: int, device: torch.device, workers: WorkerGroup = ALONE
    ):
        super().__init__(settings.k)
        self.settings, self.dim, self.seed, self.device, self.workers = settings, dim, seed, device, workers
        self.ks = [settings.k, settings.overcluster] if settings.overcluster else [settings.k]
        self.weights = level_weights(self.ks)
        self.heads = nn.ModuleList(new_head(dim, k, seed, device) for k in self.ks)
        self.levels: list[ViewClusters] = []
        self.shares: list[PriorMatching] = []

    def start_epoch(self, epoch: int, features: list[np.ndarray]) -> None:
        kept = self.levels and self.settings.centroids == "kept"
        starts = [one.centroids for one in self.levels] if kept else [None for _ in self.ks]
        balance, device, workers = self.settings.balance, self.device, self.workers
        self.levels = [
            cluster_features(features[0], k, balance, self.seed, start, device, workers)
            for k, start in zip(self.ks, starts, strict=True)
        ]
        self.shares = [PriorMatching(one, self.settings.prior_matching) for one in self.levels]
        self.heads = nn.ModuleList(new_head(self.dim, k, self.seed + epoch, self.device) for k in self.ks)

    def loss(self, step: Step) -> StepLoss:
        z, seen = flatten(step.maps[0]), flatten(step.seen[0])
        losses, first = [], None
        for head, clusters, shares in zip(self.heads, self.levels, self.shares, strict=True):
            scores = seen @ clusters.centroids.T / self.settings.temperature
            labels = (scores - shares.offset()).argmax(1)
            shares.update(labels, self.workers)
            logits = head(z / self.settings.temperature)
            losses.append(weighted_cross_entropy(logits, labels, clusters.class_weights, self.workers))
            first = labels if first is None else first
        total = torch.stack([w * loss for w, loss in zip(self.weights, losses, strict=True)]).sum()
        parts = {"overcluster": losses[1]} if len(losses) > 1 else {}
        assert first is not None
        return StepLoss(total, parts, torch.bincount(first, minlength=self.k))

    def label(self, z: Tensor) -> Tensor:
        return (z @ self.levels[0].centroids.T).argmax(1)

    def head(self) -> nn.Linear | None:
        head = self.heads[0]
        return head if isinstance(head, nn.Linear) else None

    def parameters(self) -> list[nn.Parameter]:
        return list(self.heads.parameters())

    def state(self) -> dict[str, Any]:
        return {
            "heads": self.heads.state_dict(),
            "levels": [asdict(one) for one in self.levels],
            "running": [share.running for share in self.shares],
        }

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        self.heads.load_state_dict(state["heads"])
        self.levels = [ViewClusters(**{name: part.to(device) for name, part in one.items()}) for one in state["levels"]]
        self.shares = [PriorMatching(one, self.settings.prior_matching) for one in self.levels]
        for share, value in zip(self.shares, state["running"], strict=True):
            share.running = value.to(device)
