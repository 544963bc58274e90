"""The square of an image or a mask that trainings see, and that the paper evaluates."""

from __future__ import annotations

import numpy as np


def square_crop(image: np.ndarray, u: float | None = None) -> np.ndarray:
    """Returns the square (S, S, ...) of an image or mask (H, W, ...), from its centre, where the paper cuts it.

    u: share of the way along the longer side instead. differs from PiCIE: with a random one, training sees the ends of
    long images too.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    if u is None:
        top, left = round((height - side) / 2), round((width - side) / 2)
    else:
        top, left = int(u * (height - side + 1)), int(u * (width - side + 1))
    return image[top : top + side, left : left + side]
