"""Small pictures of the images of a folder, composed into one PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from picie_core.data.images.image_file import png_bytes, read_resized
from picie_core.data.images.image_index import ImageRecord
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
def thumbnails(root: str, paths: tuple[str, ...], stamps: tuple[int, ...], columns: int) -> bytes:
    """Returns one PNG of the images at `paths` below `root`, `columns` in a row. `stamps` tell changed files."""
    pictures: list[np.ndarray | None] = []
    for path in paths:
        try:
            pictures.append(_tile(read_resized(Path(root) / path, THUMBNAIL_PX), TILE_PX))
        except PicieError:
            pictures.append(None)  # the table of problems on the same screen gives the reason
    return _strip(pictures, columns)


def spread(records: list[ImageRecord], number: int) -> list[ImageRecord]:
    """Returns at most `number` of the images, evenly spread over the collection."""
    if len(records) <= number:
        return records
    return [records[round(index * (len(records) - 1) / (number - 1))] for index in range(number)]
