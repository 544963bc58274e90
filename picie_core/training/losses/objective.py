"""The interface between the objectives and the training loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from picie_core.training.losses.epoch_clusters import EpochClusters


@dataclass(frozen=True)
class Step:
    """The embeddings of one batch: aligned maps of one or two views."""

    maps: Sequence[Tensor]
    """(B, D, h, w) unit embeddings of each view; gradients flow through them."""
    labels: Tensor | None = None
    """(B, L, V, h, w) integers, the pseudo-labels of each level and view; None where the step makes its own."""
    masks: Tensor | None = None
    """(B, H, W) int64 class ids of view 1, 255 is ignored; for objectives that need them."""
    number: int = 0
    """Steps done before this one, over all epochs."""


@dataclass(frozen=True)
class StepLoss:
    """The loss of a step, its terms and its labels."""

    total: Tensor
    """Scalar; its mean over the workers is the loss of the whole batch."""
    parts: dict[str, Tensor]
    """Its terms, by name."""
    label_counts: Tensor
    """(K,) int64 number of pixels of each label; (V, K) where each of V views has its own clusters."""


class Objective:
    """A training objective: from embeddings to a loss. Objectives know neither images nor files."""

    views: tuple[int, ...] = (1, 2)
    """The views that a step embeds: 1 is warped, then embedded; 2 is embedded, then warped."""
    clusters: EpochClusters | None = None
    """What an epoch clusters at its start; None for an objective without a clustering."""
    needs_masks = False
    renews_head = False
    """Whether every epoch starts with a new classifier, with a new optimiser and a constant learning rate."""

    def __init__(self, k: int):
        self.k = k

    def start_epoch(self, epoch: int, features: Sequence[np.ndarray]) -> None:
        """Prepares an epoch, given features (N, D) of each view to cluster; none without `clusters`."""

    def loss(self, step: Step) -> StepLoss:
        """Returns the loss of one batch."""
        raise NotImplementedError

    def label(self, z: Tensor) -> Tensor:
        """Returns the current label (N,) of embeddings (N, D), to see how labels change over epochs."""
        raise NotImplementedError

    def head(self) -> nn.Linear | None:
        """Returns the learnt linear classifier, D to K; None for an objective without one."""
        return None

    def parameters(self) -> list[nn.Parameter]:
        """Returns the parameters of the classifiers, which train beside the network."""
        return []

    def state(self) -> dict[str, Any]:
        """Returns all that a resumed training needs: tensors and plain values."""
        return {}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        """Restores what `state` returned."""


def new_head(dim: int, k: int, seed: int, device: torch.device) -> nn.Linear:
    """Returns a linear classifier with small random weights, drawn with `seed`."""
    head = nn.Linear(dim, k)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(0.01 * torch.randn(k, dim, generator=generator))
        head.bias.zero_()
    return head.to(device)
