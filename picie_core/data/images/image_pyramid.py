"""The pyramid of an image: its pixels at full size, and at a half, a quarter, ... of it; windows of any of them.

Level 0 is the upright image; each next level halves the one before, as means of 2 x 2 pixels, the last row or column
repeated where its number is odd. A stored pyramid is a folder with one flat file of pixels for each level: windows are
read without decoding the image, so memory does not grow with it.
"""

from __future__ import annotations

import json
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from picie_core.atomic_files import folder_atomic
from picie_core.data.images.image_file import upright_blocks

SMALLEST_PX = 512
"""No level is made below one whose longer side is at most this and that is a 32nd of the image."""
LEAST_LEVELS = 6
RECORD = "pyramid.json"
VERSION = 1
_STRIP_BYTES = 32 << 20

Size = tuple[int, int]
"""Width and height in pixels."""


def level_sizes(width: int, height: int) -> list[Size]:
    """Returns the size of each level of an image, the full one first."""
    sizes = [(width, height)]
    while max(sizes[-1]) > SMALLEST_PX or len(sizes) < LEAST_LEVELS:
        sizes.append(half_size(*sizes[-1]))
    return sizes


def half_size(width: int, height: int) -> Size:
    """Returns the size of the next level."""
    return -(-width // 2), -(-height // 2)


def size_at(width: int, height: int, level: int) -> Size:
    """Returns the size of a level, also of one that is not stored."""
    return -(-width // 2**level), -(-height // 2**level)


def halve(pixels: np.ndarray) -> np.ndarray:
    """Returns pixels (H, W, 3) uint8 at half the size: means of 2 x 2, rounded, an odd last row or column repeated."""
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    rows = pixels[0::2].astype(np.uint16) + pixels[1::2]
    return ((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)


class ImagePyramid(ABC):
    """The levels of one image; `window` reads from any of them."""

    def __init__(self, sizes: Sequence[Size]):
        self.sizes = list(sizes)

    @abstractmethod
    def window(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Returns a window that lies inside a level: uint8 RGB (height, width, 3)."""


class PyramidInMemory(ImagePyramid):
    """The pyramid of an image that is decoded already, uint8 (H, W, 3); levels are made when they are asked for."""

    def __init__(self, image: np.ndarray):
        super().__init__(level_sizes(image.shape[1], image.shape[0]))
        self.levels = [image]

    def window(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        while len(self.levels) <= level:
            self.levels.append(halve(self.levels[-1]))
        return self.levels[level][top : top + height, left : left + width]


class StoredPyramid(ImagePyramid):
    """A pyramid in a folder, which stays readable for as long as it is open. Raises OSError, ValueError without one."""

    def __init__(self, folder: Path):
        record = json.loads((folder / RECORD).read_text())
        if record.get("version") != VERSION:
            raise ValueError(f"{folder / RECORD} has version {record.get('version')}")
        super().__init__([(int(width), int(height)) for width, height in record["sizes"]])
        self.stamp = int(record["stamp"])
        self._files = [os.open(_level_path(folder, level), os.O_RDONLY) for level in range(len(self.sizes))]
        for file, (width, height) in zip(self._files, self.sizes, strict=True):
            weakref.finalize(self, os.close, file)
            if os.fstat(file).st_size != 3 * width * height:
                raise ValueError(f"{folder} is not whole")

    def window(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        pixels = np.empty((height, width, 3), np.uint8)
        row_bytes = 3 * self.sizes[level][0]
        if width == self.sizes[level][0]:
            _read_into(self._files[level], pixels, top * row_bytes)
        else:
            for row in range(height):
                _read_into(self._files[level], pixels[row], (top + row) * row_bytes + 3 * left)
        return pixels


def store_pyramid(path: Path, size: Size, folder: Path, stamp: int) -> None:
    """Decodes an image file of this upright size once, from top to bottom, and stores its pyramid in `folder`.

    stamp: of the file, to tell later whether it changed. A stopped or killed call leaves no folder of that name.
    Raises ImageError for a file that cannot be read, PicieError where the disk is full.
    """
    sizes = level_sizes(*size)
    with folder_atomic(folder) as temporary:
        file = os.open(_level_path(temporary, 0), os.O_RDWR | os.O_CREAT)
        try:
            os.truncate(file, 3 * size[0] * size[1])
            for top, left, block in upright_blocks(path):
                _write_block(file, size[0], top, left, block)
            for level, (above, below) in enumerate(pairwise(sizes), 1):
                following = os.open(_level_path(temporary, level), os.O_RDWR | os.O_CREAT)
                try:
                    _write_half(file, following, above, below)
                    os.fsync(file)
                finally:
                    os.close(file)
                    file = following
            os.fsync(file)
        finally:
            os.close(file)
        record = {"version": VERSION, "stamp": stamp, "sizes": sizes}
        (temporary / RECORD).write_text(json.dumps(record))


def pyramid_bytes(width: int, height: int) -> int:
    """Returns what the pyramid of an image of this size takes on disk."""
    return sum(3 * one[0] * one[1] for one in level_sizes(width, height))


def _level_path(folder: Path, level: int) -> Path:
    return folder / f"level-{level}.u8"


def _write_half(source: int, target: int, size: Size, half: Size) -> None:
    """Writes the next level of one that is stored, a few rows at a time."""
    width, height = size
    rows = max(2, _STRIP_BYTES // (3 * width) // 2 * 2)
    for top in range(0, height, rows):
        strip = np.empty((min(rows, height - top), width, 3), np.uint8)
        _read_into(source, strip, 3 * width * top)
        _write_all(target, halve(strip), 3 * half[0] * (top // 2))


def _write_block(file: int, width: int, top: int, left: int, block: np.ndarray) -> None:
    if block.shape[1] == width:
        _write_all(file, block, 3 * width * top)
        return
    for row, pixels in enumerate(block):
        _write_all(file, pixels, 3 * (width * (top + row) + left))


def _write_all(file: int, pixels: np.ndarray, offset: int) -> None:
    left = np.ascontiguousarray(pixels).data.cast("B")
    while left:
        written = os.pwrite(file, left, offset)
        left, offset = left[written:], offset + written


def _read_into(file: int, pixels: np.ndarray, offset: int) -> None:
    left = pixels.data.cast("B")
    while left:
        count = os.preadv(file, [left], offset)
        if count == 0:
            raise OSError("the stored pyramid is shorter than it should be")
        left, offset = left[count:], offset + count
