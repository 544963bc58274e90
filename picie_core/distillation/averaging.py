"""The averaged student: a running mean of the weights over the steps, which is what is evaluated and kept.

[1] Tarvainen, Valpola, "Mean teachers are better role models", NeurIPS 2017.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class AveragedStudent:
    """The running mean [1] of a network's weights and statistics; `network` is in evaluation mode."""

    def __init__(self, network: nn.Module, decay: float):
        self.decay, self.steps = decay, 0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Takes the weights of a step into the mean; the first steps count more, so that the start is forgotten."""
        self.steps += 1
        keep = min(self.decay, self.steps / (self.steps + 9))
        own: list[Tensor] = []
        new: list[Tensor] = []
        for mean, value in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                own.append(mean)
                new.append(value)
            else:
                mean.copy_(value)
        torch._foreach_lerp_(own, new, 1 - keep)
