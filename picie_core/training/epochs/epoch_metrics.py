"""The metrics of one training epoch: loss, label entropy, dead clusters, collapse."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from picie_core.errors import SharedError
from picie_core.training.losses.objective import StepLoss
from picie_core.training.losses.pseudo_labels import label_entropy
from picie_core.training.losses.worker_group import ALONE, WorkerGroup

COLLAPSED_SHARE = 0.95
"""A training has collapsed when one label holds more than this share of the pixels of a view."""
COLLAPSED_SPREAD = 0.005
"""It has also collapsed when its embeddings spread less: its clusters may be balanced then, but they separate noise.

Sound trainings keep 0.5 to 1, collapsed ones fall below 0.001, which is the rounding of bfloat16."""


@dataclass(frozen=True)
class EpochRecord:
    """The metrics of one epoch."""

    epoch: int
    loss: float
    label_entropy: float
    """Of the pseudo-labels, as a share of log K; near 0 is a collapse. Here and below: of the worse view."""
    dead_clusters: int
    """Clusters without a pixel in the whole epoch."""
    largest_share: float
    """Share of the pixels in the largest cluster."""
    changed_labels: float
    """Share of the positions of some fixed images whose label changed since the epoch before, ids matched."""
    images_per_s: float
    seconds: float
    clustering_s: float
    """Seconds of the clustering at the epoch's start, part of `seconds`."""
    spread: float = 1.0
    """1 less the mean cosine between the embeddings of those positions; 0 when all are equal."""
    parts: dict[str, float] = field(default_factory=dict)
    """The terms of the loss, such as within and cross, and what else the method measures."""

    @property
    def collapsed(self) -> bool:
        """Whether the embeddings or labels have collapsed."""
        return self.collapse != ""

    @property
    def collapse(self) -> str:
        """How the training has collapsed; empty while it has not."""
        if self.largest_share > COLLAPSED_SHARE:
            return f"{100 * self.largest_share:.0f} % of the pixels are in one cluster"
        return "the embeddings of all pixels are alike" if self.spread < COLLAPSED_SPREAD else ""

    def line(self) -> dict[str, Any]:
        """Returns the metrics as one flat record, with the terms of the loss; `collapse` only where there is one."""
        values = asdict(self)
        collapse = {"collapse": self.collapse} if self.collapsed else {}
        return {**values.pop("parts"), **values, "collapsed": self.collapsed, **collapse}


class EpochTotals:
    """Sums over the steps of an epoch and all workers, the same in each.

    They stay on the device, so that a step need not wait for their values.
    """

    def __init__(self, k: int, device: torch.device):
        self.steps = 0
        self.losses: dict[str, Tensor] = {}
        self.seen: dict[str, int] = {}
        self.label_counts = torch.zeros(k, dtype=torch.int64, device=device)
        self.bad_step = torch.tensor(-1, device=device)

    def add(self, step: StepLoss, workers: WorkerGroup = ALONE) -> None:
        """Adds one step: the mean of the losses of all workers, the sum of their label counts."""
        named = {"loss": step.total, **step.parts}
        losses = torch.stack([value.detach().double() for value in named.values()]) / workers.world_size
        both = workers.sum(torch.cat([losses, step.label_counts.flatten().double()]))
        losses, counts = both[: len(named)], both[len(named) :].view_as(step.label_counts)
        self.bad_step = torch.where(~torch.isfinite(losses[0]) & (self.bad_step < 0), self.steps, self.bad_step)
        self.steps += 1
        for name, value in zip(named, losses, strict=True):
            self.losses[name] = self.losses[name] + value if name in self.losses else value
            self.seen[name] = self.seen.get(name, 0) + 1
        self.label_counts = self.label_counts + counts.long()  # (K,), or (V, K)

    def check_finite(self, epoch: int) -> None:
        """Raises SharedError when the loss of a step of `epoch` was not finite in any worker."""
        if int(self.bad_step) >= 0:
            raise not_finite("loss", epoch, int(self.bad_step))

    def means(self) -> dict[str, float]:
        """Returns the mean of the loss and of each of its terms over the steps that had it."""
        return {name: float(value) / self.seen[name] for name, value in self.losses.items()}

    def record(self, **more: Any) -> EpochRecord:
        """Returns the record of the epoch; `more` are its other fields."""
        parts = self.means()
        counts = self.label_counts.cpu().view(-1, self.label_counts.shape[-1])  # (V, K)
        return EpochRecord(
            loss=parts.pop("loss"),
            parts=parts,
            label_entropy=min(map(label_entropy, counts)),
            dead_clusters=int((counts == 0).sum(1).max()),
            largest_share=float((counts.amax(1) / counts.sum(1).clamp_min(1)).max()),
            **more,
        )

    def state(self) -> dict[str, Any]:
        """Returns the sums, for a checkpoint in the middle of an epoch."""
        return {"steps": self.steps, "losses": self.losses, "seen": self.seen, "label_counts": self.label_counts}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        device = self.label_counts.device
        self.steps, self.seen = state["steps"], dict(state["seen"])
        self.losses = {name: value.to(device) for name, value in state["losses"].items()}
        self.label_counts = state["label_counts"].to(device)


def not_finite(what: str, epoch: int, step: int) -> SharedError:
    """Returns the error of a training that diverged at this epoch and step, both counted from 0."""
    return SharedError(
        f"the {what} is not finite at epoch {epoch + 1}, step {step + 1}: the last checkpoint is good; lower "
        "--lr-decoder and --lr-backbone, or use --precision 32-true"
    )


def changed_share(before: Tensor, after: Tensor, k: int) -> float:
    """Returns the share of positions whose label changed, after matching the ids, which may be permuted.

    before, after: (N,) labels below `k` of the same positions.
    """
    from scipy.optimize import linear_sum_assignment

    pairs = torch.bincount(before.long() * k + after.long(), minlength=k * k).view(k, k).numpy()
    rows, columns = linear_sum_assignment(pairs, maximize=True)
    return float(1 - pairs[rows, columns].sum() / max(int(np.sum(pairs)), 1))
