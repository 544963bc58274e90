"""Clusters as labels: class weights, labels that keep to their clusters' shares, entropy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from picie_core.clustering.kmeans import spherical_kmeans
from picie_core.training.losses.objective import ALONE, Processes

WARM_ITERATIONS = 8
"""Of a clustering that starts from the one of the epoch before; from nothing it takes 20."""


@dataclass(frozen=True)
class ViewClusters:
    """The clusters of one view for one epoch."""

    centroids: Tensor
    """(K, D), unit norm."""
    class_weights: Tensor
    """(K,), mean 1 over the clustered pixels."""
    shares: Tensor
    """(K,) share of the clustered pixels in each cluster."""


def cluster_features(
    cells: np.ndarray,
    k: int,
    balance: float,
    seed: int,
    start: Tensor | None,
    device: torch.device,
    processes: Processes = ALONE,
) -> ViewClusters:
    """Returns the clusters of cells (N, D), the same in every process; only the first one computes them.

    start: (K, D) centroids to start from, so that ids keep their meaning; None starts from random cells.
    """
    made = [torch.zeros(k, cells.shape[1]), torch.zeros(k), torch.zeros(k)]
    if processes.rank == 0:
        init = None if start is None else start.cpu().numpy()
        iterations = 20 if init is None else WARM_ITERATIONS
        found = spherical_kmeans(cells, k, seed, iterations=iterations, init=init, device=device.type)
        counts = torch.from_numpy(found.counts)
        made = [torch.from_numpy(found.centroids), class_weights(counts, balance), (counts / counts.sum()).float()]
    return ViewClusters(*(processes.broadcast(part.to(device)) for part in made))


class RunningShares:
    """How the pseudo-labels of one view are spread, as a running mean over steps, against their clusters' shares.

    A cluster that takes more than its share gets a handicap in the next steps' labels, so that it cannot swallow the
    others while centroids are frozen. differs from PiCIE: there labels are fixed at the epoch's start instead.
    """

    def __init__(self, clusters: ViewClusters, strength: float, momentum: float = 0.9):
        self.wanted, self.strength, self.momentum = clusters.shares, strength, momentum
        self.running = clusters.shares.clone()

    def offset(self) -> Tensor:
        """Returns (K,) what to take off the logits before the label is chosen: log of running over wanted share."""
        floor = 0.1 / len(self.wanted)
        return self.strength * torch.log((self.running + floor) / (self.wanted + floor))

    def update(self, labels: Tensor, processes: Processes = ALONE) -> None:
        """Takes in the labels (N,) of one step of all processes; a step without any changes nothing."""
        counts = processes.sum(torch.bincount(labels, minlength=len(self.wanted)).to(self.running))
        total = counts.sum()
        seen = torch.where(total > 0, counts / total.clamp_min(1), self.running)
        self.running = self.momentum * self.running + (1 - self.momentum) * seen


def weighted_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor, processes: Processes = ALONE, ignore: int = -100
) -> Tensor:
    """Returns the weighted mean of the cross-entropy of logits (N, K) against labels (N,).

    With several processes each returns its part, and their mean is the weighted mean over all pixels of all: the same
    gradient as one process with the whole batch.
    """
    total = F.cross_entropy(logits, labels, weight=weights, reduction="sum", ignore_index=ignore)
    counted = labels[labels != ignore]
    weight = processes.sum(weights[counted].sum())
    return total * processes.world / weight.clamp_min(1e-12)


def class_weights(counts: Tensor, power: float) -> Tensor:
    """Returns (K,) weights, frequency to `power`, mean 1 over the pixels that `counts` (K,) counts.

    power 0 is no weighting, -1 gives every cluster the same say, 1 is what the authors' code does. An empty cluster is
    treated as if it had one pixel.
    """
    share = counts.clamp_min(1).double() / counts.clamp_min(1).sum()
    weights = share**power
    return (weights / (weights * share).sum()).float()


def label_entropy(counts: Tensor) -> float:
    """Returns the entropy of cluster counts (K,) as a share of log K: 1 is even, 0 is one cluster for all."""
    share = counts.double() / counts.sum().clamp_min(1)
    entropy = -(share * torch.log(share.clamp_min(1e-12))).sum()
    return max(0.0, float(entropy / torch.log(torch.tensor(float(max(len(counts), 2))))))
