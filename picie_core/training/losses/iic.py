"""IIC: maximise the mutual information of the class assignments of two views, over nearby pixels too [1].

[1] Ji, Henriques, Vedaldi, "Invariant Information Clustering", ICCV 2019, sections 3.1 to 3.3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie_core.training.losses.objective import Objective, Step, StepLoss, new_head
from picie_core.training.losses.worker_group import ALONE, WorkerGroup
from picie_core.training.settings import TrainSettings


class InvariantInformation(Objective):
    """Two softmax heads, the main and the over-clustering one, train in alternation, a step each.

    differs from IIC: there they take turns by epochs, of which it has thousands.
    """

    def __init__(
        self, settings: TrainSettings, dim: int, seed: int, device: torch.device, workers: WorkerGroup = ALONE
    ):
        super().__init__(settings.k)
        self.settings, self.workers = settings, workers
        ks = [settings.k, settings.overcluster] if settings.overcluster else [settings.k]
        self.heads = nn.ModuleList(new_head(dim, k, seed, device) for k in ks)
        with torch.no_grad():  # logits of about 1 at any temperature: a softmax that starts uniform stays uniform
            for head in self.heads:
                head.weight.mul_(100.0 * settings.temperature)  # type: ignore[operator]

    def loss(self, step: Step) -> StepLoss:
        which = step.number % len(self.heads)
        first, second = (self._classes(self.heads[which], maps) for maps in step.maps)
        lamb = self.settings.lamb if which == 0 else 1.0
        information = mutual_information(first, second, self.settings.displacement, lamb, self.workers)
        with torch.no_grad():
            main = first if which == 0 else self._classes(self.heads[0], step.maps[0])
            counts = torch.bincount(main.argmax(1).flatten(), minlength=self.k)
        return StepLoss(-information, {"overcluster" if which else "information": information}, counts)

    def _classes(self, head: nn.Module, maps: Tensor) -> Tensor:
        """Returns the class probabilities (B, K, h, w)."""
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


def mutual_information(
    first: Tensor, second: Tensor, displacement: int = 0, lamb: float = 1.0, workers: WorkerGroup = ALONE
) -> Tensor:
    """Returns the mutual information (nats) of the classes of aligned pixels, averaged over displacements.

    first, second: (B, K, h, w) class probabilities of two views, sum 1 over K. displacement: largest shift of the
    second view, in positions, each way; all shifts of that square count alike [1, eq. 5]. lamb: weight of the entropies
    of both margins, as in the authors' code; above 1 keeps classes from dying. With several workers the
    pixels of all count, and the mean of their gradients is that of one worker with the whole batch.
    """
    reach = min(displacement, first.shape[2] - 1, first.shape[3] - 1)
    moves = range(-reach, reach + 1)
    mine = torch.stack([_joint(first, second, down, right) for down in moves for right in moves])  # (T, K, K)
    joint = workers.sum(mine.detach()) + workers.world_size * (mine - mine.detach())
    joint = joint + joint.mT  # symmetric in the two views
    return _information(joint / joint.sum((1, 2), keepdim=True).clamp_min(1e-12), lamb).mean()


def _joint(first: Tensor, second: Tensor, down: int, right: int) -> Tensor:
    """Returns the joint counts (K, K) of the classes when the second view is shifted by (down, right) positions."""
    return torch.einsum("bkhw,bchw->kc", _overlap(first, down, right), _overlap(second, -down, -right))


def _overlap(maps: Tensor, down: int, right: int) -> Tensor:
    """Returns the part of maps that overlaps the other view after a shift by (down, right) positions."""
    height, width = maps.shape[2:]
    return maps[:, :, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]


def _information(joint: Tensor, lamb: float) -> Tensor:
    """Returns the mutual information (T,) of joint distributions (T, K, K)."""
    margins = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
    return (joint * (joint.clamp_min(1e-12).log() - lamb * margins.clamp_min(1e-12).log())).sum((1, 2))
