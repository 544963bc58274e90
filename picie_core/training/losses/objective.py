"""What every objective offers to the training loop, and what the loop gives to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn


class Processes(Protocol):
    """The processes that train together; `Alone` is one of them."""

    world: int
    rank: int

    def sum(self, value: Tensor) -> Tensor:
        """Returns the sum of `value` over all processes, outside of the gradient."""

    def broadcast(self, value: Tensor) -> Tensor:
        """Returns the first process's `value`."""


class Alone:
    """One process: sums are what they are."""

    world, rank = 1, 0

    def sum(self, value: Tensor) -> Tensor:
        return value

    def broadcast(self, value: Tensor) -> Tensor:
        return value


ALONE = Alone()


@dataclass(frozen=True)
class Step:
    """One batch in the network: aligned maps of one or two views."""

    maps: Sequence[Tensor]
    """(B, D, h, w) unit embeddings of each view; gradients flow through them."""
    seen: Sequence[Tensor]
    """The same, by the network that labels: without gradients."""
    masks: Tensor | None = None
    """(B, H, W) int64 class ids of view 1, 255 = ignored, for objectives that need them."""
    number: int = 0
    """Steps done before this one, over all epochs."""


@dataclass(frozen=True)
class StepLoss:
    """The loss of a step and what to tell of it."""

    total: Tensor
    """Scalar; its mean over processes is the loss of the whole batch."""
    parts: dict[str, Tensor]
    """Its terms, by name."""
    label_counts: Tensor
    """(K,) int64 pixels that got each label; (V, K) where each of V views has clusters of its own."""


class Objective:
    """An objective: what the embeddings are to agree with. Objectives know nothing of images, files or devices."""

    views: tuple[int, ...] = (1, 2)
    """The views that a step embeds: 1 is warped, then embedded; 2 is embedded, then warped."""
    clusters = True
    """Whether an epoch starts with a clustering of these views."""
    needs_masks = False
    trains_network = True
    """False leaves the network as it is and gives it plain images (a probe)."""
    renews_head = False
    """Whether every epoch starts with a new classifier: then its optimiser is new too, and its rate stays full."""

    def __init__(self, k: int):
        self.k = k

    def start_epoch(self, epoch: int, cells: list[np.ndarray]) -> None:
        """Takes in cells (N, D) of each view, from the start of the epoch; without clustering the list is empty."""

    def loss(self, step: Step) -> StepLoss:
        """Returns the loss of one batch."""
        raise NotImplementedError

    def label(self, z: Tensor) -> Tensor:
        """Returns the label (N,) of embeddings (N, D) as things stand, to see how labels change over epochs."""
        raise NotImplementedError

    def head(self) -> nn.Linear | None:
        """Returns the classifier that the objective learnt, D to K; None when clusters are all there is."""
        return None

    def parameters(self) -> list[nn.Parameter]:
        """Returns what trains beside the network."""
        return []

    def state(self) -> dict[str, Any]:
        """Returns all that a resumed training needs: tensors and plain values."""
        return {}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        """Takes over what `state` returned."""


def flatten(maps: Tensor) -> Tensor:
    """(B, D, h, w) -> (B * h * w, D) float32."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).float()


def new_head(dim: int, k: int, seed: int, device: torch.device) -> nn.Linear:
    """Returns a linear classifier with small random weights that belong to `seed`."""
    head = nn.Linear(dim, k)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(0.01 * torch.randn(k, dim, generator=generator))
        head.bias.zero_()
    return head.to(device)
