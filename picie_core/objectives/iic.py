"""IIC: maximise the mutual information of the class assignments of two views, over nearby pixels too [1].

[1] Ji, Henriques, Vedaldi, "Invariant Information Clustering", ICCV 2019, sections 3.1 to 3.3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie_core.objectives.objective import Objective, Step, StepLoss, new_head
from picie_core.settings import TrainSettings


class InvariantInformation(Objective):
    """Two heads say soft classes; the main one and the over-clustering one learn in alternation, a step each."""

    clusters = False

    def __init__(self, settings: TrainSettings, dim: int, seed: int, device: torch.device):
        super().__init__(settings.k)
        self.settings = settings
        ks = [settings.k, settings.overcluster] if settings.overcluster else [settings.k]
        self.heads = nn.ModuleList(new_head(dim, k, seed, device) for k in ks)
        with torch.no_grad():  # the classes of a flat start would be the same for ever
            for head in self.heads:
                head.weight.mul_(10.0)  # type: ignore[operator]

    def loss(self, step: Step) -> StepLoss:
        which = step.number % len(self.heads)
        first, second = (self._classes(self.heads[which], maps) for maps in step.maps)
        information = mutual_information(first, second, self.settings.displacement)
        with torch.no_grad():
            main = first if which == 0 else self._classes(self.heads[0], step.maps[0])
            counts = torch.bincount(main.argmax(1).flatten(), minlength=self.k)
        return StepLoss(-information, {"information": information}, counts)

    def _classes(self, head: nn.Module, maps: Tensor) -> Tensor:
        """Returns the soft classes (B, K, h, w)."""
        z = maps.float().permute(0, 2, 3, 1) / self.settings.temperature
        return F.softmax(head(z), dim=3).permute(0, 3, 1, 2)

    def label(self, z: Tensor) -> Tensor:
        return self.heads[0](z / self.settings.temperature).argmax(1)

    def head(self) -> nn.Linear | None:
        head = self.heads[0]
        return head if isinstance(head, nn.Linear) else None

    def parameters(self) -> list[nn.Parameter]:
        return list(self.heads.parameters())

    def state(self) -> dict[str, Any]:
        return {"heads": self.heads.state_dict()}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        self.heads.load_state_dict(state["heads"])


def mutual_information(first: Tensor, second: Tensor, displacement: int = 0) -> Tensor:
    """Returns the mutual information in nats of the classes of aligned pixels, the mean over displacements.

    first, second: (B, K, h, w) soft classes, sum 1 over K, of two views. displacement: cells by which the second view
    is moved at most, each way; every place of that square counts alike [1, eq. 5].
    """
    found = []
    for down in range(-displacement, displacement + 1):
        for right in range(-displacement, displacement + 1):
            one, two = _overlap(first, down, right), _overlap(second, -down, -right)
            joint = torch.einsum("bkhw,bchw->kc", one, two)
            joint = (joint + joint.T) / 2
            found.append(_information((joint / joint.sum().clamp_min(1e-12)).clamp_min(1e-12)))
    return torch.stack(found).mean()


def _overlap(maps: Tensor, down: int, right: int) -> Tensor:
    """Returns the part of maps that is left when they are moved by (down, right) cells against the other view."""
    height, width = maps.shape[2:]
    return maps[:, :, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]


def _information(joint: Tensor) -> Tensor:
    """Mutual information of a joint distribution (K, K)."""
    margins = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return (joint * (torch.log(joint) - torch.log(margins))).sum()
