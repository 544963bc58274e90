"""Index PNG: a grey PNG of class ids for each image, under the same relative name; the default format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from picie_core.data.images.image_file import png_bytes, read_image
from picie_core.export.image_files import folder_stems, jpeg_bytes, put, write_picture
from picie_core.export.mask_format import Classes, ExportImage, Format, TrainValSplit, WrittenImage, class_colors
from picie_core.segmentation.overlay import overlay

PREVIEWS = 12
"""The first images also get a picture with the mask over the image."""
PREVIEW_PX = 1024
"""Longer side of a preview at most."""


def check_classes(classes: Classes) -> None:
    """Accepts everything: the masks hold no names, and 16-bit PNG holds every cluster id."""


def write_image(folder: Path, image: ExportImage, mask: np.ndarray, classes: Classes) -> tuple[Path, Path]:
    """Writes images/<stem>.*, masks/<stem>.png (mode L, or I;16 for cluster ids above 254) and the first previews."""
    image_path = Path("images") / write_picture(folder / "images", image.stem, image.source)
    mask_path = Path("masks") / f"{image.stem}.png"
    put(folder / mask_path, png_bytes(mask))
    if image.index < PREVIEWS:
        name = f"{image.index:02d}_{image.stem.replace('/', '__')}.jpg"
        put(folder / "previews" / name, _preview(image.source, mask, classes))
    return image_path, mask_path


def _preview(source: Path, mask: np.ndarray, classes: Classes) -> bytes:
    """The image with its mask over it as JPEG."""
    full = Image.fromarray(read_image(source))
    full.thumbnail((PREVIEW_PX, PREVIEW_PX), Image.Resampling.LANCZOS)
    rows, columns = (
        np.arange(small) * large // small for small, large in zip(full.size[::-1], mask.shape, strict=True)
    )
    small_mask = mask[rows[:, None], columns]  # nearest: ids must not be interpolated
    return jpeg_bytes(overlay(np.asarray(full), small_mask, class_colors(classes), 0.55, outline=True), source)


def write_set(
    folder: Path, written: Sequence[WrittenImage], classes: Classes, division: TrainValSplit
) -> dict[str, Any]:
    """Writes nothing: the format has no lists."""
    return {"mask_mode": "I;16" if len(classes) > 255 else "L"}


PNG = Format("png", "Index PNG", check_classes, folder_stems, write_image, write_set)
