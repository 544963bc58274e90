"""Augmentations of a training step: crops at random scales, flips, colours, blur, pasted classes, greyed boxes.

Every draw belongs to (seed, epoch, place in the epoch), so a resumed training sees what an uninterrupted one sees.

[1] Olsson et al., "ClassMix: Segmentation-Based Data Augmentation for Semi-Supervised Learning", WACV 2021.
[2] DeVries, Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from picie_core.data.class_names import IGNORE_ID
from picie_core.distillation.dataset import FULL_CONFIDENCE, Example
from picie_core.distillation.settings import DistilSettings
from picie_core.models.backbones import IMAGENET_MEAN
from picie_core.training.views.augmentations import apply_photometric, draw_photometric

GREY = tuple(round(255 * one) for one in IMAGENET_MEAN)
"""What stands where a crop reaches beyond its image, and in a box that is cut out."""
CUTOUT_SIDE = (0.15, 0.45)
"""Sides of a box that is cut out, as shares of the crop."""
FLIP_P = 0.5


@dataclass(frozen=True)
class Crops:
    """The crops of a step."""

    images: Tensor
    """(B, 3, S, S) float 0..1."""
    labels: Tensor
    """(B, S, S) int64 class ids, 255 = ignored."""
    weights: Tensor
    """(B, S, S) float: how much each pixel counts."""


def random_crop(example: Example, rng: np.random.Generator, crop_px: int, scale_jitter: float) -> Example:
    """Returns a square crop of an example, `crop_px` wide, at a random scale, perhaps flipped.

    Where the image, scaled, is smaller than the crop it lies at a random place on grey that is ignored.
    """
    scale = scale_jitter ** (2 * rng.random() - 1)
    height, width = example.labels.shape
    side = crop_px / scale  # in pixels of the example
    wide, high = min(side, width), min(side, height)
    left, top = rng.random() * (width - wide), rng.random() * (height - high)
    to_wide, to_high = (max(1, min(crop_px, round(one * scale))) for one in (wide, high))
    x, y = (int(rng.random() * (crop_px - one + 1)) for one in (to_wide, to_high))
    box = (left, top, left + wide, top + high)
    canvas = np.full((crop_px, crop_px, 3), GREY, np.uint8)
    picture = Image.fromarray(example.image).resize((to_wide, to_high), Image.Resampling.BILINEAR, box)
    canvas[y : y + to_high, x : x + to_wide] = np.asarray(picture)
    rows = (top + (np.arange(to_high) + 0.5) * high / to_high).astype(int).clip(0, height - 1)
    columns = (left + (np.arange(to_wide) + 0.5) * wide / to_wide).astype(int).clip(0, width - 1)

    def placed(ids: np.ndarray, empty: int) -> np.ndarray:
        made = np.full((crop_px, crop_px), empty, np.uint8)
        made[y : y + to_high, x : x + to_wide] = ids[rows[:, None], columns]
        return made

    step = -1 if rng.random() < FLIP_P else 1
    labels = placed(example.labels, IGNORE_ID)[:, ::step]
    confidence = None if example.confidence is None else placed(example.confidence, 0)[:, ::step]
    return Example(canvas[:, ::step], labels, confidence, example.annotated)


def pixel_weights(example: Example, settings: DistilSettings) -> np.ndarray:
    """Returns how much each pixel of an example counts, (H, W) float32: its confidence, more where a person was."""
    if example.annotated:
        return np.full(example.labels.shape, settings.annotated, np.float32)
    if example.confidence is None or settings.confidence == 0:
        return np.ones(example.labels.shape, np.float32)
    return (example.confidence.astype(np.float32) / FULL_CONFIDENCE) ** np.float32(settings.confidence)


def stack_crops(examples: list[Example], settings: DistilSettings, key: tuple[int, ...]) -> Crops:
    """Returns the crops of a step; `key`: the step, which all draws belong to."""
    crops = []
    for place, one in enumerate(examples):
        rng = np.random.default_rng((*key, place, 0))
        crops.append(random_crop(one, rng, settings.crop_px, settings.scale_jitter))
    images = torch.from_numpy(np.stack([one.image for one in crops])).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(np.stack([one.labels for one in crops])).long()
    weights = torch.from_numpy(np.stack([pixel_weights(one, settings) for one in crops]))
    rng = np.random.default_rng((*key, len(examples), 1))
    seen = apply_photometric(images.float() / 255, draw_photometric(rng.random((len(examples), 11))))
    step = _paste_classes(Crops(seen, labels, weights), rng, settings.classmix)
    return Crops(_cut_out(step.images, rng, settings.cutout), step.labels, step.weights)


def _paste_classes(crops: Crops, rng: np.random.Generator, share: float) -> Crops:
    """Pastes half of the classes of the next crop into a share of the crops, labels and weights likewise [1]."""
    chosen = rng.random(len(crops.labels)) < share
    pasted = torch.zeros_like(crops.labels, dtype=torch.bool)
    for i in np.flatnonzero(chosen).tolist():
        other = crops.labels[(i + 1) % len(chosen)]
        shown = [one for one in torch.unique(other).tolist() if one != IGNORE_ID]
        if len(shown) > 1:
            half = rng.permutation(shown)[: len(shown) // 2]
            pasted[i] = torch.isin(other, torch.from_numpy(half))
    images, labels, weights = (one.roll(-1, 0) for one in (crops.images, crops.labels, crops.weights))
    return Crops(
        torch.where(pasted[:, None], images, crops.images),
        torch.where(pasted, labels, crops.labels),
        torch.where(pasted, weights, crops.weights),
    )


def _cut_out(images: Tensor, rng: np.random.Generator, share: float) -> Tensor:
    """Greys a box in a share of the crops; the labels stay [2]."""
    chosen = np.flatnonzero(rng.random(len(images)) < share).tolist()
    if chosen:
        images = images.clone()
    side = images.shape[-1]
    for i in chosen:
        low, high = CUTOUT_SIDE
        tall, wide = (int(side * (low + (high - low) * rng.random())) for _ in range(2))
        top, left = (int(rng.random() * (side - one + 1)) for one in (tall, wide))
        images[i, :, top : top + tall, left : left + wide] = torch.tensor(IMAGENET_MEAN)[:, None, None]
    return images
