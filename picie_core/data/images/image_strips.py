"""Image files of any size, read from top to bottom with libvips: memory holds a strip of rows, never the image.

What a strip holds is what Pillow decodes, as uint8 RGB, in the orientation in which it is stored. Every error is that
of the library: image_file.py, which opens the file, says it in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from picie_core.data.images.deep_grey import GreyRange, grey_range, to_eight_bit
from picie_core.errors import PicieError

STREAMED = ("JPEG", "MPO", "PNG", "TIFF")
"""Formats, as Pillow names them, that are read in strips."""
STRIP_ROWS = 256


def read_strips(path: str, mode: str, rows: int = STRIP_ROWS) -> Iterator[np.ndarray]:
    """Yields the image in strips of `rows` rows: uint8 RGB (rows, W, 3), the last one with fewer rows.

    mode: Pillow's mode of the file, which says what its bands mean. Deep grey takes two passes, as its range is that
    of the whole image. Raises PicieError where libvips is missing, anything for a damaged file.
    """
    deep = mode == "F" or mode.startswith("I")
    levels = grey_range(strip[..., 0] for strip in _raw_strips(path, rows)) if deep else None
    for strip in _raw_strips(path, rows):
        yield _to_rgb(strip, mode, levels)


def _raw_strips(path: str, rows: int) -> Iterator[np.ndarray]:
    """Yields the values as they are stored, palettes looked up: (rows, W, bands) of any type."""
    vips = libvips()
    # revalidate: the file may have changed under its name since an earlier reading.
    image = vips.Image.new_from_file(path, access="sequential", fail_on="error", revalidate=True)
    region = vips.Region.new(image)
    dtype = _DTYPES[image.format]
    for top in range(0, image.height, rows):
        height = min(rows, image.height - top)
        values = np.frombuffer(region.fetch(0, top, image.width, height), dtype)
        yield values.reshape(height, image.width, image.bands)


def libvips() -> Any:
    """Returns pyvips. Raises PicieError where it or its library is missing."""
    try:
        import pyvips
    except (ImportError, OSError) as error:  # OSError: the Python package without the library
        raise PicieError(f"large images need libvips ({error}): pip install 'pyvips-binary>=8.18'") from error
    return pyvips


_DTYPES = {"uchar": np.uint8, "char": np.int8, "ushort": np.uint16, "short": np.int16, "uint": np.uint32,
           "int": np.int32, "float": np.float32, "double": np.float64}  # fmt: skip


def _to_rgb(strip: np.ndarray, mode: str, levels: GreyRange | None) -> np.ndarray:
    """Returns a strip of stored values (r, W, bands) as uint8 RGB (r, W, 3)."""
    if levels is not None:
        return np.repeat(to_eight_bit(strip[..., :1], levels), 3, axis=2)
    if strip.dtype == np.uint16:
        strip = (strip >> 8).astype(np.uint8)
    bands = strip.shape[2]
    if strip.dtype != np.uint8 or bands > 4 or mode == "LAB":
        raise ValueError(f"{bands} bands of {strip.dtype}, mode {mode}")
    if mode == "CMYK":
        cmyk = Image.frombuffer("CMYK", strip.shape[1::-1], strip.tobytes(), "raw", "CMYK", 0, 1)
        return np.asarray(cmyk.convert("RGB"))
    color = strip[..., :1] if bands < 3 else strip[..., :3]
    if bands in (2, 4) and mode not in ("RGBX", "RGBa", "La"):  # the last two have their colours on black already
        color = _on_black(color, strip[..., -1:])
    return np.repeat(color, 3, axis=2) if bands < 3 else np.ascontiguousarray(color)


def _on_black(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns the colours (r, W, C) over black by their opacity (r, W, 1), rounded as Pillow does when it pastes."""
    product = color.astype(np.uint16) * alpha + np.uint16(128)
    return ((product + (product >> 8)) >> 8).astype(np.uint8)
