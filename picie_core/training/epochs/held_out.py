"""Labelled images held out of a supervised training, and its best epoch by their mIoU.

The ground truth may choose the epoch here, because the method learns from ground truth.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from picie_core.models.embedder import Embedder
from picie_core.training.distributed import FabricWorkers
from picie_core.training.losses.objective import Objective
from picie_core.training.losses.supervised import Supervised
from picie_core.training.settings import TrainSettings
from picie_core.training.views.batches import Batches
from picie_core.training.views.paired_views import halved


class HeldOut:
    """Measures a training on the images `image_ids`, and keeps network and classifier of its best epoch.

    Without images nothing is measured, and the last epoch is the one that stays.
    """

    def __init__(
        self, image_ids: list[int], objective: Objective, batches: Batches, fabric: Fabric, settings: TrainSettings
    ):
        self.image_ids, self.objective, self.batches, self.fabric = image_ids, objective, batches, fabric
        self.settings, self.workers = settings, FabricWorkers(fabric)
        self.epoch = 0
        """The best epoch so far; 0 is the start of the training."""
        self.mean_iou: list[float] = []
        """Of the start and of every epoch since."""
        self.weights: dict[str, Any] = {}
        """Network and classifier of the best epoch."""

    def measure(self, network: Embedder) -> dict[str, float]:
        """Measures the start, or the epoch that has just ended, and keeps it when none before was better.

        On equal mIoU the later one is kept, so that images without a class choose nothing. Returns the metrics for the
        record of the epoch, none without images.
        """
        if not self.image_ids:
            return {}
        self.mean_iou.append(mean_iou(self._confusion(network)))
        if self.mean_iou[-1] >= self.mean_iou[self.epoch]:
            self.epoch = len(self.mean_iou) - 1
            self.weights = copy.deepcopy({"embedder": network.state_dict(), "objective": self.objective.state()})
        return {"held_out_miou": self.mean_iou[-1]}

    @torch.no_grad()
    def _confusion(self, network: Embedder) -> Tensor:
        """Returns (K, K) pixels of each class by what is predicted, on the same squares of the images every time."""
        assert isinstance(self.objective, Supervised), "only a supervised training has classes to measure"
        network.eval()
        k = self.objective.k
        counts = torch.zeros(k * k, dtype=torch.int64, device=self.fabric.device)
        for batch in self.batches.read(self.image_ids, 0, 0, self.workers.rank, self.workers.world_size):
            if batch.masks is None:  # no file of this worker could be read
                continue
            squares = batch.images if self.settings.views == "half" else halved(batch.images.float() / 255)
            with self.fabric.autocast():
                maps = network(squares)
            for one, mask in zip(maps, batch.masks, strict=True):  # logits of all squares at once would be large
                logits, truth = self.objective.pixel_logits(one[None], mask[None].long())
                counted = truth < k
                counts += torch.bincount(truth[counted] * k + logits.argmax(1)[counted], minlength=k * k)
        return self.workers.sum(counts).view(k, k)

    def keep_best(self, network: Embedder) -> None:
        """Brings network and classifier back to the best epoch."""
        if self.weights:
            network.load_state_dict(self.weights["embedder"])
            self.objective.load_state(self.weights["objective"], self.fabric.device)

    def record(self) -> dict[str, Any]:
        """Returns what the record of the run says about the choice, mIoU in percent; empty without images."""
        if not self.image_ids:
            return {}
        best, start = (round(100 * self.mean_iou[epoch], 2) for epoch in (self.epoch, 0))
        return {"held_out": len(self.image_ids), "best_epoch": self.epoch, "best_miou": best, "start_miou": start}

    def state(self) -> dict[str, Any]:
        """Returns all that a resumed training needs."""
        return {"images": self.image_ids, "epoch": self.epoch, "mean_iou": self.mean_iou, "weights": self.weights}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        self.image_ids, self.epoch, self.weights = state["images"], state["epoch"], state["weights"]
        self.mean_iou = list(state["mean_iou"])


def mean_iou(counts: Tensor) -> float:
    """Returns the mean IoU over the classes that the ground truth shows, 0 when it shows none.

    counts: (K, K) pixels, true class by predicted class.
    """
    right, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    shown = true > 0
    iou = right[shown].double() / (true + predicted - right)[shown]
    return float(iou.mean()) if len(iou) else 0.0
