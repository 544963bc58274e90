"""Small pictures of the images of a folder, composed into one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from picie_core.data.images.image_file import png_bytes, read_resized
from picie_core.data.images.image_index import ImageRecord
from picie_core.data.images.image_pyramid import StoredPyramid
from picie_core.data.images.pyramid_cache import STORED_FROM_PIXELS
from picie_core.errors import PicieError

TILE_PX = (144, 108)
THUMBNAIL_PX = 160
"""Shorter side at which thumbnails are read: large JPEGs are decoded at a fraction of their size."""
GAP_PX = 4


def _tile(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the middle of the image at the shape of a tile, smoothly made smaller."""
    height, width = image.shape[:2]
    wanted = size[0] / size[1]
    crop_w, crop_h = (round(height * wanted), height) if width / height > wanted else (width, round(width / wanted))
    left, top = (width - crop_w) // 2, (height - crop_h) // 2
    box = (left, top, left + crop_w, top + crop_h)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=2))


def _strip(pictures: list[np.ndarray | None], columns: int) -> bytes:
    """Returns one picture of all tiles with transparent gaps; an unreadable one stays empty."""
    width, height = TILE_PX
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 4), np.uint8)
    for index, picture in enumerate(pictures):
        y, x = (index // columns) * (height + GAP_PX), (index % columns) * (width + GAP_PX)
        if picture is not None:
            sheet[y : y + height, x : x + width, :3] = picture
            sheet[y : y + height, x : x + width, 3] = 255
    return png_bytes(sheet)


def aspect_of(number: int, columns: int) -> float:
    """Returns width / height of the picture of so many thumbnails, so that its place can be reserved."""
    (width, height), rows = TILE_PX, -(-max(1, number) // columns)
    return (columns * (width + GAP_PX) - GAP_PX) / (rows * (height + GAP_PX) - GAP_PX)


@st.cache_data(max_entries=256, show_spinner=False)
def thumbnails(
    root: str, paths: tuple[str, ...], stamps: tuple[int, ...], columns: int, stored: tuple[str, ...] = ()
) -> bytes:
    """Returns one PNG of the images at `paths` below `root`, `columns` in a row. `stamps` tell changed files.

    stored: folders in which the pyramids of the images may be, of large ones, so that they are not decoded again.
    """
    pictures: list[np.ndarray | None] = []
    for path, stamp, folder in zip(paths, stamps, stored or [""] * len(paths), strict=True):
        try:
            small = _from_pyramid(Path(folder), stamp) if folder else None
            pictures.append(_tile(read_resized(Path(root) / path, THUMBNAIL_PX) if small is None else small, TILE_PX))
        except PicieError:
            pictures.append(None)  # the table of problems on the same screen gives the reason
    return _strip(pictures, columns)


def _from_pyramid(folder: Path, stamp: int) -> np.ndarray | None:
    """The smallest level of a stored pyramid that is large enough; None where there is none of this file."""
    try:
        pyramid = StoredPyramid(folder)
        fitting = [level for level, size in enumerate(pyramid.sizes) if min(size) >= THUMBNAIL_PX]
        if pyramid.stamp != stamp or not fitting:
            return None
        width, height = pyramid.sizes[fitting[-1]]
        return pyramid.window(fitting[-1], 0, 0, height, width)
    except (OSError, ValueError, KeyError, TypeError):  # made for another version, or being deleted
        return None


def pyramid_folders(workspace_root: Path, records: Sequence[ImageRecord]) -> tuple[str, ...]:
    """Returns where the pyramid of each image may be, an empty text for small ones."""
    folder = workspace_root / "cache" / "pyramids"
    return tuple(str(folder / f"{one.id}") if one.width * one.height > STORED_FROM_PIXELS else "" for one in records)


def spread(records: list[ImageRecord], number: int) -> list[ImageRecord]:
    """Returns at most `number` of the images, evenly spread over the collection."""
    if len(records) <= number:
        return records
    return [records[round(index * (len(records) - 1) / (number - 1))] for index in range(number)]
