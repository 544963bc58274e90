"""Pseudo-labels from clusters: class weights, prior matching, the weighted loss, label entropy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from picie_core.clustering.kmeans import spherical_kmeans
from picie_core.training.losses.worker_group import ALONE, WorkerGroup

WARM_ITERATIONS = 8
"""k-means iterations from the centroids of the epoch before."""
COLD_ITERATIONS = 20
"""k-means iterations from random centroids."""


def flatten(maps: Tensor) -> Tensor:
    """(B, D, h, w) -> (B * h * w, D) float32."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).float()


@dataclass(frozen=True)
class ViewClusters:
    """The clusters of one view for one epoch."""

    centroids: Tensor
    """(K, D), unit norm."""
    class_weights: Tensor
    """(K,), mean 1 over the clustered pixels."""
    shares: Tensor
    """(K,) proportion of the clustered pixels in each cluster: the prior of the labels."""


def cluster_features(
    features: np.ndarray,
    k: int,
    balance: float,
    seed: int,
    start: Tensor | None,
    device: torch.device,
    workers: WorkerGroup = ALONE,
) -> ViewClusters:
    """Returns the clusters of features (N, D), the same in every worker; only rank 0 computes them.

    start: (K, D) initial centroids, so that ids keep their meaning; None starts from random features.
    """
    made = [torch.zeros(k, features.shape[1]), torch.zeros(k), torch.zeros(k)]
    if workers.rank == 0:
        init = None if start is None else start.cpu().numpy()
        iterations = COLD_ITERATIONS if init is None else WARM_ITERATIONS
        found = spherical_kmeans(features, k, seed, iterations=iterations, init=init, device=device.type)
        counts = torch.from_numpy(found.counts)
        made = [torch.from_numpy(found.centroids), class_weights(counts, balance), (counts / counts.sum()).float()]
    return ViewClusters(*(workers.broadcast(part.to(device)) for part in made))


class PriorMatching:
    """Keeps the distribution of one view's pseudo-labels at the cluster proportions, by logit adjustment.

    A cluster whose running proportion exceeds its prior gets a lower logit in the next steps, so that no cluster can
    absorb the others while the centroids are frozen. differs from PiCIE: there the labels of an epoch are fixed.
    """

    def __init__(self, clusters: ViewClusters, strength: float, momentum: float = 0.9):
        self.prior, self.strength, self.momentum = clusters.shares, strength, momentum
        self.running = clusters.shares.clone()

    def offset(self) -> Tensor:
        """Returns (K,) what to subtract from the logits before the argmax: log of running over prior proportion."""
        floor = 0.1 / len(self.prior)
        return self.strength * torch.log((self.running + floor) / (self.prior + floor))

    def update(self, labels: Tensor, workers: WorkerGroup = ALONE) -> None:
        """Updates the running proportions with the labels (N,) of a step, of all workers; none change nothing."""
        counts = workers.sum(torch.bincount(labels, minlength=len(self.prior)).to(self.running))
        total = counts.sum()
        seen = torch.where(total > 0, counts / total.clamp_min(1), self.running)
        self.running = self.momentum * self.running + (1 - self.momentum) * seen


def weighted_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor, workers: WorkerGroup = ALONE, ignore: int = -100
) -> Tensor:
    """Returns the weighted mean of the cross-entropy of logits (N, K) against labels (N,).

    With several workers each returns its part, and their mean is the weighted mean over the pixels of all: the
    gradient of one worker with the whole batch.
    """
    total = F.cross_entropy(logits, labels, weight=weights, reduction="sum", ignore_index=ignore)
    counted = labels[labels != ignore]
    weight = workers.sum(weights[counted].sum())
    return total * workers.world_size / weight.clamp_min(1e-12)


def class_weights(counts: Tensor, power: float) -> Tensor:
    """Returns (K,) weights, frequency to `power`, mean 1 over the pixels that `counts` (K,) counts.

    power 0 is no weighting, -1 gives every cluster the same total weight, 1 is what the authors' code does. An empty
    cluster counts as one pixel.
    """
    share = counts.clamp_min(1).double() / counts.clamp_min(1).sum()
    weights = share**power
    return (weights / (weights * share).sum()).float()


def label_entropy(counts: Tensor) -> float:
    """Returns the entropy of cluster counts (K,) as a share of log K: 1 is uniform, 0 is a single cluster."""
    share = counts.double() / counts.sum().clamp_min(1)
    entropy = -(share * torch.log(share.clamp_min(1e-12))).sum()
    return max(0.0, float(entropy / torch.log(torch.tensor(float(max(len(counts), 2))))))
