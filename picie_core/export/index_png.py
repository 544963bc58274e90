"""Index PNG: a grey PNG of class ids beside each image, under the same relative name; the default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from picie_core.data.image_file import png_bytes, read_image
from picie_core.export.image_files import folder_stems, jpeg_bytes, put, write_picture
from picie_core.export.mask_format import Format, Item, Legend, Written
from picie_core.segmentation.overlay import overlay

PREVIEWS = 12
PREVIEW_PX = 1024


def check_legend(legend: Legend) -> None:
    """Accepts everything: names are not written into the masks, and 16-bit PNG holds any number of clusters."""


def write(folder: Path, item: Item, mask: np.ndarray, legend: Legend) -> tuple[Path, Path]:
    """Writes images/<stem>.*, masks/<stem>.png (mode L, or I;16 for raw ids above 254) and the first previews."""
    image = Path("images") / write_picture(folder / "images", item.stem, item.source)
    mask_path = Path("masks") / f"{item.stem}.png"
    put(folder / mask_path, png_bytes(mask))
    if item.index < PREVIEWS:
        name = item.stem.replace("/", "__")
        put(folder / "previews" / f"{item.index:02d}_{name}.jpg", _preview(item, mask, legend))
    return image, mask_path


def _preview(item: Item, mask: np.ndarray, legend: Legend) -> bytes:
    """The image with its mask over it as JPEG, its longer side at most PREVIEW_PX."""
    full = Image.fromarray(read_image(item.source))
    full.thumbnail((PREVIEW_PX, PREVIEW_PX), Image.Resampling.LANCZOS)
    rows, columns = (
        np.arange(small) * large // small for small, large in zip(full.size[::-1], mask.shape, strict=True)
    )
    small_mask = mask[rows[:, None], columns]  # nearest: ids never mix
    return jpeg_bytes(overlay(np.asarray(full), small_mask, legend.colors, 0.55, outline=True), item.source)


def finish(folder: Path, written: list[Written], legend: Legend, val_share: float, seed: int) -> dict[str, Any]:
    """Adds nothing: the files say it all."""
    return {"mask_mode": "I;16" if legend.raw and len(legend.entries) > 255 else "L"}


PNG = Format("png", "Index PNG", check_legend, folder_stems, write, finish)
