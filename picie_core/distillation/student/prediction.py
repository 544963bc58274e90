"""Masks of a student: whole images in, class ids at full size out, and their agreement with labels."""

from __future__ import annotations

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from picie_core.distillation.dataset import Examples
from picie_core.evaluation.metrics import Scores, confusion, match_identity, score
from picie_core.models.backbones import IMAGENET_MEAN, IMAGENET_STD


def normalised(images: Tensor) -> Tensor:
    """Returns images (B, 3, H, W), floats 0..1, as the networks want them: less the mean, by the deviation."""
    mean, std = (torch.tensor(one, device=images.device).view(1, 3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def to_input(image: np.ndarray, device: torch.device) -> Tensor:
    """Returns a uint8 image (H, W, 3) as the input (1, 3, H, W) of a student."""
    tensor = torch.from_numpy(np.ascontiguousarray(image)).to(device)
    return normalised(tensor.permute(2, 0, 1)[None].float() / 255)


@torch.inference_mode()
def predict_scores(network: nn.Module, image: np.ndarray, fabric: Fabric) -> Tensor:
    """Returns the class scores (1, C, H, W) float32 of a uint8 image (H, W, 3), before the softmax."""
    with fabric.autocast():
        return network(to_input(image, fabric.device)).float()


def predict_mask(network: nn.Module, image: np.ndarray, size: tuple[int, int], fabric: Fabric) -> np.ndarray:
    """Returns the mask (height, width) uint8 of a scaled image at the full `size` (width, height)."""
    scores = predict_scores(network, image, fabric)
    if scores.shape[2:] != size[::-1]:
        scores = F.interpolate(scores, size[::-1], mode="bilinear", align_corners=False, antialias=True)
    return scores.argmax(1)[0].to(torch.uint8).cpu().numpy()


def held_out_scores(network: nn.Module, examples: Examples, classes: int, fabric: Fabric) -> Scores:
    """Returns how far a student agrees with the labels of held-out examples, at the scaled size."""
    counts = np.zeros((classes, classes), np.int64)
    for index in range(len(examples)):
        example = examples[index]
        mask = predict_mask(network, example.image, example.labels.shape[::-1], fabric)
        counts += confusion(mask, example.labels, classes, classes)
    return score(counts, match_identity(counts))
