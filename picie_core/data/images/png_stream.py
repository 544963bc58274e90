"""Large masks as PNG: written from a mapped array row by row, never copied."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from picie_core.atomic_files import disk_error
from picie_core.data.images.image_strips import libvips


def write_grey_png(path: Path, values: np.ndarray) -> None:
    """Writes (H, W) uint8 or uint16 as a grey PNG, mode L or 16 bit: what Pillow would write, in flat memory.

    Raises PicieError when it cannot be written, or libvips is missing.
    """
    vips = libvips()
    kind = {np.dtype(np.uint8): "uchar", np.dtype(np.uint16): "ushort"}[values.dtype]
    height, width = values.shape
    image = vips.Image.new_from_memory(np.ascontiguousarray(values), width, height, 1, kind)
    image = image.copy(interpretation="b-w" if kind == "uchar" else "grey16")
    try:
        image.pngsave(str(path), compression=3)
    except vips.Error as error:
        path.unlink(missing_ok=True)
        raise disk_error(path, OSError(f"{error}".strip().splitlines()[-1])) from error
