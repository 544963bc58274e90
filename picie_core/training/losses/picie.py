"""PiCIE: within-view and cross-view clustering losses [1, section 3.3], with over-clustering.

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from picie_core.settings import TrainSettings
from picie_core.training.losses.objective import ALONE, Objective, Step, StepLoss, WorkerGroup, flatten
from picie_core.training.losses.pseudo_labels import (
    PriorMatching,
    ViewClusters,
    cluster_features,
    weighted_cross_entropy,
)


class Picie(Objective):
    """Both views are clustered at the start of an epoch; every step is classified against the centroids of both."""

    def __init__(self, settings: TrainSettings, seed: int, device: torch.device, workers: WorkerGroup = ALONE):
        super().__init__(settings.k)
        self.settings, self.seed, self.device, self.workers = settings, seed, device, workers
        self.ks = [settings.k, settings.overcluster] if settings.overcluster else [settings.k]
        self.weights = level_weights(self.ks)
        self.levels: list[list[ViewClusters]] = []  # of each K, of view 1 and 2
        self.shares: list[list[PriorMatching]] = []

    def start_epoch(self, epoch: int, features: list[np.ndarray]) -> None:
        before = self.levels if self.levels and self.settings.centroids == "kept" else [[] for _ in self.ks]
        self.levels = [self._cluster(k, features, known) for k, known in zip(self.ks, before, strict=True)]
        self.shares = [[PriorMatching(one, self.settings.prior_matching) for one in level] for level in self.levels]

    def _cluster(self, k: int, features: list[np.ndarray], known: list[ViewClusters]) -> list[ViewClusters]:
        """Returns the clusters of both views; view 1 starts from the centroids of view 2, so that ids agree."""
        balance, device, workers = self.settings.balance, self.device, self.workers
        second = cluster_features(
            features[1], k, balance, self.seed, known[1].centroids if known else None, device, workers
        )
        start = known[0].centroids if known else second.centroids
        return [cluster_features(features[0], k, balance, self.seed, start, device, workers), second]

    def loss(self, step: Step) -> StepLoss:
        (z1, z2), seen = map(flatten, step.maps), [flatten(one) for one in step.seen]
        found = []
        for (one, two), shares in zip(self.levels, self.shares, strict=True):
            offsets = [share.offset() for share in shares]
            level = picie_loss(z1, z2, one, two, self.settings.temperature, offsets, seen, self.workers)
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
        return (z @ self.levels[0][1].centroids.T).argmax(1)

    def state(self) -> dict[str, Any]:
        return {
            "levels": [[asdict(one) for one in level] for level in self.levels],
            "running": [[share.running for share in level] for level in self.shares],
        }

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        self.levels = [
            [ViewClusters(**{name: part.to(device) for name, part in one.items()}) for one in level]
            for level in state["levels"]
        ]
        self.shares = [[PriorMatching(one, self.settings.prior_matching) for one in level] for level in self.levels]
        for level, running in zip(self.shares, state["running"], strict=True):
            for share, value in zip(level, running, strict=True):
                share.running = value.to(device)


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
    seen: Sequence[Tensor] | None = None,
    workers: WorkerGroup = ALONE,
) -> PicieLoss:
    """Returns the mean of the within-view and the cross-view cross-entropy; gradients flow through both views.

    z1, z2: (N, D) unit embeddings of the same N pixels; seen: the same from the network that assigns the labels, by
    default z1 and z2 themselves. offsets: subtracted from the logits before the argmax that gives the labels. The
    classifier is non-parametric: logits are cosines to the frozen centroids.
    differs from PiCIE: cosines are divided by a temperature; 1 is the paper's.
    """
    views, clusters = {1: z1, 2: z2}, {1: one, 2: two}
    labelling = dict(zip((1, 2), seen or (z1, z2), strict=True))
    logits = {(a, b): views[a] @ clusters[b].centroids.T / temperature for a in views for b in clusters}
    labels = {}
    for view, z in labelling.items():
        same = z is views[view]
        scores = logits[view, view] if same else z @ clusters[view].centroids.T / temperature
        labels[view] = (scores.detach() - offsets[view - 1]).argmax(1)

    def agree(a: int, b: int) -> Tensor:
        """C(a, b): view a's embeddings against view b's centroids and view b's labels."""
        return weighted_cross_entropy(logits[a, b], labels[b], clusters[b].class_weights, workers)

    within = (agree(1, 1) + agree(2, 2)) / 2
    cross = (agree(1, 2) + agree(2, 1)) / 2
    return PicieLoss((within + cross) / 2, within, cross, (labels[1], labels[2]))


def level_weights(ks: Sequence[int]) -> list[float]:
    """Returns the weight of the loss at each K: log K2 and log K1, each over their sum, for (K1, K2) [1, section 3.4].

    It balances the coarse clustering, whose loss is smaller, with the fine one.
    """
    if len(ks) == 1:
        return [1.0]
    logs = [math.log(k) for k in ks]
    return [logs[1] / sum(logs), logs[0] / sum(logs)]
