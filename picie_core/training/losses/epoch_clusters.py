"""The clusters of an epoch: of each view, at K and at the K of an over-clustering; k-means, or mini-batch k-means [1].

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021, section 3.1 and supplement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from picie_core.clustering.kmeans import assign
from picie_core.training.losses.pseudo_labels import (
    PriorMatching,
    ViewClusters,
    class_weights,
    cluster_features,
    flatten,
)
from picie_core.training.losses.worker_group import ALONE, WorkerGroup
from picie_core.training.settings import TrainSettings


class EpochClusters:
    """Clusters by level (K, then the K of an over-clustering) and view, the same in every worker."""

    def __init__(
        self, settings: TrainSettings, views: int, seed: int, device: torch.device, workers: WorkerGroup = ALONE
    ):
        self.settings, self.views, self.seed, self.device, self.workers = settings, views, seed, device, workers
        self.ks = [settings.k, settings.overcluster] if settings.overcluster else [settings.k]
        self.levels: list[list[ViewClusters]] = []
        self.shares: list[list[PriorMatching]] = []
        self.running: list[list[RunningMeans]] = []

    def fit(self, epoch: int, features: Sequence[np.ndarray]) -> None:
        """Clusters the features (N, D) of each view."""
        if self.settings.centroids == "anew":
            levels = [self._own_starts(k, epoch, features) for k in self.ks]
        else:
            before = self.levels or [[] for _ in self.ks]
            levels = [self._shared_start(k, features, known) for k, known in zip(self.ks, before, strict=True)]
        self._set(levels)
        if self.settings.kmeans == "mini-batch":
            self.running = [
                [RunningMeans(one, rows) for one, rows in zip(level, features, strict=True)] for level in levels
            ]

    def _own_starts(self, k: int, epoch: int, features: Sequence[np.ndarray]) -> list[ViewClusters]:
        """Returns the clusters of each view from random features of its own, other ones in every epoch, as in [1]."""
        found = []
        for view, rows in enumerate(features):
            seed = int(np.random.default_rng((self.seed, epoch, k, view)).integers(2**30))
            found.append(self._cluster(rows, k, seed, None))
        return found

    def _shared_start(self, k: int, features: Sequence[np.ndarray], known: list[ViewClusters]) -> list[ViewClusters]:
        """Returns the clusters of each view from their centroids before, first of all from those of the last view.

        differs from PiCIE: a cluster then has one id in both views and in all epochs.
        """
        last = self._cluster(features[-1], k, self.seed, known[-1].centroids if known else None)
        starts = [one.centroids for one in known] if known else [last.centroids] * len(features)
        others = [self._cluster(rows, k, self.seed, start) for rows, start in zip(features[:-1], starts, strict=False)]
        return [*others, last]

    def _cluster(self, rows: np.ndarray, k: int, seed: int, start: Tensor | None) -> ViewClusters:
        return cluster_features(rows, k, self.settings.balance, seed, start, self.device, self.workers)

    def update(self, maps: Sequence[Tensor]) -> None:
        """Moves the centroids to the running means that include the maps (B, D, h, w) of each view, of all workers."""
        for level in self.running:
            for means, one in zip(level, maps, strict=True):
                means.update(flatten(one), self.workers)
        self._set([[means.clusters(self.settings.balance) for means in level] for level in self.running])

    def label(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the labels (B, L, V, h, w), uint8 or int16, of maps (B, D, h, w) of V views at L levels."""
        dtype = torch.uint8 if max(self.ks) <= 256 else torch.int16
        levels = []
        for level in self.levels:
            scores = [
                torch.einsum("bdhw,kd->bkhw", one.float(), clusters.centroids)
                for one, clusters in zip(maps, level, strict=True)
            ]
            levels.append(torch.stack([one.argmax(1).to(dtype) for one in scores], 1))
        return torch.stack(levels, 1)

    def weigh(self, labels: Iterable[Tensor]) -> None:
        """Sets class weights and proportions to those of the labels (L, V, h, w) of images, of all workers."""
        counts = [torch.zeros(self.views, k, dtype=torch.int64) for k in self.ks]
        for one in labels:
            for level, sums in zip(one.long(), counts, strict=True):
                for view, total in zip(level, sums, strict=True):
                    total += torch.bincount(view.flatten(), minlength=len(total))
        levels = []
        for level, sums in zip(self.levels, counts, strict=True):
            both = self.workers.sum(sums.double().to(self.device))
            found = zip(level, both, strict=True)
            levels.append([_weighed(one.centroids, total, self.settings.balance) for one, total in found])
        self._set(levels)

    def _set(self, levels: list[list[ViewClusters]]) -> None:
        self.levels = levels
        self.shares = [[PriorMatching(one, self.settings.prior_matching) for one in level] for level in levels]

    def state(self) -> dict[str, Any]:
        """Returns the clusters as tensors, for a checkpoint."""
        return {
            "levels": [[asdict(one) for one in level] for level in self.levels],
            "running": [[share.running for share in level] for level in self.shares],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        self._set(
            [
                [ViewClusters(**{name: part.to(self.device) for name, part in one.items()}) for one in level]
                for level in state["levels"]
            ]
        )
        for level, running in zip(self.shares, state["running"], strict=True):
            for share, value in zip(level, running, strict=True):
                share.running = value.to(self.device)


class RunningMeans:
    """Mini-batch k-means of one view: n members of a batch move their centroid by n / N_k towards their mean.

    differs from PiCIE: members are those with the highest cosine to the unit centroid, as in the paper; the authors'
    code takes the nearest plain mean.
    """

    def __init__(self, clusters: ViewClusters, rows: np.ndarray):
        """clusters: those of the first features `rows` (N, D), whose plain means the running means start at."""
        labels, cosines = assign(rows, clusters.centroids.cpu().numpy())
        k, device = len(clusters.centroids), clusters.centroids.device
        counts = np.bincount(labels, minlength=k)
        lengths = np.bincount(labels, cosines, k) / np.maximum(counts, 1)
        # The plain mean of a cluster is as long as the mean cosine of its members to it.
        self.means = clusters.centroids * torch.from_numpy(lengths).float().to(device)[:, None]
        self.counts = torch.from_numpy(counts).double().to(device)

    def update(self, z: Tensor, workers: WorkerGroup = ALONE) -> None:
        """Takes in the unit embeddings (n, D) of a batch, those of all workers at once."""
        labels = (z @ F.normalize(self.means, dim=1).T).argmax(1)
        k = len(self.means)
        sums = torch.zeros(k, z.shape[1] + 1, dtype=torch.float64, device=z.device)
        sums.index_add_(0, labels, F.pad(z.double(), (0, 1), value=1.0))  # the last column counts
        sums = workers.sum(sums)
        members = sums[:, -1]
        self.counts = self.counts + members
        moved = (sums[:, :-1] - members[:, None] * self.means) / self.counts.clamp_min(1)[:, None]
        self.means = (self.means + moved).float()

    def clusters(self, balance: float) -> ViewClusters:
        """Returns the clusters with unit centroids, weighed by how many positions each has had so far."""
        return _weighed(F.normalize(self.means, dim=1), self.counts, balance)


def _weighed(centroids: Tensor, counts: Tensor, balance: float) -> ViewClusters:
    return ViewClusters(centroids, class_weights(counts, balance), (counts / counts.sum().clamp_min(1)).float())
