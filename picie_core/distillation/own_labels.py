"""The labels of a further round: the student's own confident masks, where no person annotated the image.

[1] Xie, Luong, Hovy, Le, "Self-training with Noisy Student improves ImageNet classification", CVPR 2020.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional as F

from picie_core.atomic_files import folder_atomic
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import png_bytes, read_resized
from picie_core.data.labelled_sets.labelled_set import read_mask
from picie_core.distillation.dataset import FULL_CONFIDENCE, Examples, Labelled
from picie_core.distillation.student.prediction import predict_scores
from picie_core.distillation.trainer import Distillation
from picie_core.progress import Meter, Report, ignore_progress

SCALES = (0.75, 1.0, 1.5)


def label_anew(
    training: Distillation,
    labelled: Sequence[Labelled],
    work: Path,
    number: int | None = None,
    report: Report = ignore_progress,
) -> Examples:
    """Returns the training images with the labels of round `number`, by default the one that a training is in.

    The labels are made by the best student unless they lie in `work` already: the mean of its probabilities over scales
    and flips, 255 where they are less sure than the settings want. Annotated images keep their masks.
    """
    number = number or training.round
    folder = work / f"round-{number}"
    if not folder.exists():
        for old in work.glob("round-*"):
            shutil.rmtree(old)
        with folder_atomic(folder) as made:
            _write_labels(training, labelled, made, report, number)
    own = [
        one if one.annotated else replace(one, mask=folder / f"{i}.png", confidence=folder / f"{i}-confidence.png")
        for i, one in enumerate(labelled)
    ]
    return Examples(own, training.student.size_px, len(training.class_names))


def _write_labels(
    training: Distillation, labelled: Sequence[Labelled], folder: Path, report: Report, number: int
) -> None:
    network = copy.deepcopy(training.averaged.network)
    network.load_state_dict(training.best)
    meter = Meter(f"labels of round {number}", len(labelled), report)
    for i, one in enumerate(labelled):
        if not one.annotated:
            height, width = read_mask(one.mask).shape
            image = read_resized(one.image, training.student.size_px)
            p = mean_probabilities(network, image, (height, width), training.fabric)
            sure, mask = p.max(1)
            mask[sure < training.settings.keep_confidence] = IGNORE_ID
            (folder / f"{i}.png").write_bytes(png_bytes(mask[0].to(torch.uint8).numpy()))
            confidence = (FULL_CONFIDENCE * sure[0]).round().to(torch.uint8).numpy()
            (folder / f"{i}-confidence.png").write_bytes(png_bytes(confidence))
        meter.advance(1)


def mean_probabilities(network: nn.Module, image: np.ndarray, size: tuple[int, int], fabric: Fabric) -> torch.Tensor:
    """Returns the class probabilities (1, C, height, width) of a uint8 image (H, W, 3), over scales and flips."""
    total = torch.zeros(())
    for scale in SCALES:
        height, width = (max(32, round(side * scale)) for side in image.shape[:2])
        picture = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        scaled = F.interpolate(picture, (height, width), mode="bilinear", antialias=True).round().to(torch.uint8)
        pixels = scaled[0].permute(1, 2, 0).numpy()
        for flip in (False, True):
            seen = pixels[:, ::-1] if flip else pixels
            p = predict_scores(network, seen, fabric).softmax(1).cpu()
            p = F.interpolate(p, size, mode="bilinear", antialias=True)
            total = total + (p.flip(3) if flip else p)
    return total / (2 * len(SCALES))
