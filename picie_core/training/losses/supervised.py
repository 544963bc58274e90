"""Ground truth as labels: the supervised upper bound [1, section 4].

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie_core.data.class_names import IGNORE_ID
from picie_core.models.classifier_head import Head
from picie_core.training.losses.objective import Objective, Step, StepLoss, new_head
from picie_core.training.losses.pseudo_labels import class_weights, weighted_cross_entropy
from picie_core.training.losses.worker_group import ALONE, WorkerGroup
from picie_core.training.settings import TrainSettings


class Supervised(Objective):
    """A linear classifier and the network learn the classes of the masks.

    differs from PiCIE: the loss weighs classes by their frequency to the power of `balance`, 0 in the paper's recipe.
    """

    views = (1,)
    needs_masks = True

    def __init__(
        self, settings: TrainSettings, dim: int, seed: int, device: torch.device, workers: WorkerGroup = ALONE
    ):
        super().__init__(settings.k)
        self.settings, self.workers = settings, workers
        self.classifier = new_head(dim, settings.k, seed, device)
        self.class_pixels = torch.ones(settings.k, device=device)

    def start_from(self, class_pixels: np.ndarray, head: Head | None) -> None:
        """Takes the (K,) pixels of each class in all masks, for the class weights, and a classifier to start from."""
        device = self.classifier.weight.device
        self.class_pixels = torch.from_numpy(class_pixels).float().to(device)
        if head is not None:
            with torch.no_grad():
                self.classifier.weight.copy_(torch.from_numpy(head.weight) * self.settings.temperature)
                self.classifier.bias.copy_(torch.from_numpy(head.bias))

    def loss(self, step: Step) -> StepLoss:
        rows, truth = self.pixel_logits(step.maps[0], step.masks)
        weights = class_weights(self.class_pixels, self.settings.balance)
        total = weighted_cross_entropy(rows, truth, weights, self.workers, IGNORE_ID)
        with torch.no_grad():
            predicted = rows.argmax(1)
            counted = truth != IGNORE_ID
            right = (predicted[counted] == truth[counted]).float().sum() * self.workers.world_size
            right = right / self.workers.sum(counted.float().sum()).clamp_min(1)
        return StepLoss(total, {"accuracy": right}, torch.bincount(predicted, minlength=self.k))

    def pixel_logits(self, maps: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns the logits (N, K), upsampled to the masks, and the classes (N,) of all pixels."""
        logits = self.classifier(maps.float().permute(0, 2, 3, 1) / self.settings.temperature).permute(0, 3, 1, 2)
        if masks is None:
            assert not len(maps), "images came without masks"
            return logits.reshape(-1, self.k), torch.zeros(0, dtype=torch.int64, device=maps.device)
        full = F.interpolate(logits, masks.shape[1:], mode="bilinear", align_corners=False)  # (B, K, H, W)
        return full.permute(0, 2, 3, 1).reshape(-1, self.k), masks.flatten()

    def label(self, z: Tensor) -> Tensor:
        return self.classifier(z / self.settings.temperature).argmax(1)

    def head(self) -> nn.Linear | None:
        return self.classifier

    def parameters(self) -> list[nn.Parameter]:
        return list(self.classifier.parameters())

    def state(self) -> dict[str, Any]:
        return {"classifier": self.classifier.state_dict(), "class_pixels": self.class_pixels}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        self.classifier.load_state_dict(state["classifier"])
        self.class_pixels = state["class_pixels"].to(device)
