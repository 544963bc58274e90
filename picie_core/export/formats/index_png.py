"""Index PNG: a grey PNG of class ids for each image, under the same relative name; the default format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from picie_core.data.images.image_file import STREAMED_FROM_PIXELS, png_bytes, read_image, read_resized
from picie_core.export.image_files import jpeg_bytes, put, write_picture
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, Written, class_colors
from picie_core.export.splits import write_split_lists
from picie_core.segmentation.overlay import overlay

PREVIEWS = 12
"""The first images also get a picture with the mask over the image."""
PREVIEW_PX = 1024
"""Longer side of a preview at most."""


class IndexPng(Format):
    """images/<stem>.*, masks/<stem>.png (mode L, or I;16 for cluster ids above 254), and the first previews."""

    key = "png"
    title = "Index PNG"
    readers = "Anything that reads pictures: PIL, OpenCV, labelformat, most training code."
    opening = "One grey PNG an image, the class id in each pixel, 255 where ignored. `np.array(Image.open(path))`"
    most_classes = 1 << 16

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image, its mask and, of the first images, a picture with the mask over the image."""
        picture = write_picture(folder / "images", image.stem, image.source, image.image_files)
        mask = Path("masks") / f"{image.stem}.png"
        put(folder / mask, png_bytes(image.mask))
        if image.index < PREVIEWS:
            name = f"{image.index:02d}_{image.stem.replace('/', '__')}.jpg"
            put(folder / "previews" / name, _preview(image.source, image.mask, classes))
        return {"image": picture and f"images/{picture.as_posix()}", "mask": mask.as_posix()}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes the lists train.txt and val.txt: the stems of the masks."""
        write_split_lists(folder / "splits", written)
        return {"mask_mode": "I;16" if len(classes) > 255 else "L"}


def _preview(source: Path, mask: np.ndarray, classes: Classes) -> bytes:
    """The image with its mask over it as JPEG."""
    reduced = mask.size > STREAMED_FROM_PIXELS  # a large one is resized while it is read where it can be
    full = Image.fromarray(read_resized(source, PREVIEW_PX) if reduced else read_image(source))
    full.thumbnail((PREVIEW_PX, PREVIEW_PX), Image.Resampling.LANCZOS)
    rows, columns = (
        np.arange(small) * large // small for small, large in zip(full.size[::-1], mask.shape, strict=True)
    )
    small_mask = mask[rows[:, None], columns]  # nearest: ids must not be interpolated
    return jpeg_bytes(overlay(np.asarray(full), small_mask, class_colors(classes), 0.55, outline=True), source)
