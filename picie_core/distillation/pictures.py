"""Pictures of a distillation: the curve of its epochs, and held-out images beside teacher and student."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from picie_core.atomic_files import open_atomic
from picie_core.colors import rgb_color
from picie_core.data.images.image_file import read_image
from picie_core.data.labelled_sets.labelled_set import read_mask
from picie_core.distillation.dataset import PseudoLabels
from picie_core.segmentation.overlay import overlay

PICTURES, PICTURE_PX = 6, 480
"""How many held-out images are drawn, and the longer side of each of the three parts."""
GAP_PX = 6
JPEG_QUALITY = 90


def write_curve(path: Path, history: Sequence[dict[str, Any]]) -> None:
    """Writes a PNG of loss and agreement over the epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    epochs = [one["epoch"] for one in history]
    left.plot(epochs, [one["loss"] for one in history], color="#4477aa")
    left.set(xlabel="epoch", ylabel="loss")
    for name, words, color in (("val_miou", "mIoU", "#ee6677"), ("val_accuracy", "accuracy", "#228833")):
        right.plot(epochs, [100 * one[name] for one in history], label=words, color=color)
    right.set(xlabel="epoch", ylabel="agreement with held-out labels, %")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.locator_params(axis="x", integer=True)
    with open_atomic(path) as file:
        figure.savefig(file, format="png", dpi=110)


def write_pictures(folder: Path, labels: PseudoLabels, mask_of: Callable[[Path], np.ndarray]) -> None:
    """Writes some held-out images as JPEG, each beside the masks of teacher and student."""
    folder.mkdir()
    colors = np.array([rgb_color(one.color) for one in labels.classes], np.uint8)
    chosen = np.unique(np.linspace(0, len(labels.val) - 1, PICTURES).round().astype(int))
    for number, index in enumerate(chosen.tolist()):
        one = labels.val[index]
        image = read_image(one.image)
        step = max(1, -(-max(image.shape[:2]) // PICTURE_PX))  # every so many pixels: ids must not be interpolated
        small = np.ascontiguousarray(image[::step, ::step])
        parts = [small]
        for mask in (read_mask(one.mask), mask_of(one.image)):
            parts += [
                np.full((small.shape[0], GAP_PX, 3), 255, np.uint8),
                overlay(small, mask[::step, ::step], colors, 0.55, outline=True),
            ]
        buffer = BytesIO()
        Image.fromarray(np.concatenate(parts, 1)).save(buffer, "JPEG", quality=JPEG_QUALITY)
        (folder / f"{number:02d}_{one.stem.replace('/', '__')}.jpg").write_bytes(buffer.getvalue())
