"""PiCIE's loss: agree with the clusters of one's own view and of the other view [1, section 3.3].

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class ViewClusters:
    """The clusters of one view for one epoch."""

    centroids: Tensor
    """(K, D), unit norm."""
    class_weights: Tensor
    """(K,), mean 1 over the clustered pixels."""
    shares: Tensor
    """(K,) share of the clustered pixels in each cluster."""


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

    def update(self, labels: Tensor) -> None:
        """Takes in the labels (N,) of one step."""
        counts = torch.bincount(labels, minlength=len(self.wanted)).to(self.running)
        self.running = self.momentum * self.running + (1 - self.momentum) * counts / counts.sum().clamp_min(1)


@dataclass(frozen=True)
class PicieLoss:
    """The loss of a batch of aligned pixels and the pseudo-labels that it used."""

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
) -> PicieLoss:
    """Returns the mean of the within-view and the cross-view cross-entropy; gradients flow through both views.

    z1, z2: (N, D) unit embeddings of the same N pixels. The classifier has no weights: logits are cosines to the frozen
    centroids. differs from PiCIE: cosines are divided by a temperature, and labels come from the embeddings of this
    step.
    """
    logits = {(a, b): z @ c.centroids.T / temperature for a, z in ((1, z1), (2, z2)) for b, c in ((1, one), (2, two))}
    labels = {view: (logits[view, view].detach() - offsets[view - 1]).argmax(1) for view in (1, 2)}
    clusters = {1: one, 2: two}

    def agree(a: int, b: int) -> Tensor:
        """C(a, b): view a's embeddings against view b's centroids and view b's labels."""
        return F.cross_entropy(logits[a, b], labels[b], weight=clusters[b].class_weights)

    within = (agree(1, 1) + agree(2, 2)) / 2
    cross = (agree(1, 2) + agree(2, 1)) / 2
    return PicieLoss((within + cross) / 2, within, cross, (labels[1], labels[2]))


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
    return float(entropy / torch.log(torch.tensor(float(max(len(counts), 2)))))
