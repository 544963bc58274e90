"""The colours of Pascal VOC: which one an id has."""

from __future__ import annotations

from functools import cache

import numpy as np


def voc_color(index: int) -> tuple[int, int, int]:
    """Returns the colour of an id; lists may leave it out where it is this one.

    Red, green and blue take the bits of the number in turn, the highest place first.
    """
    red, green, blue = (sum((index >> (3 * i + channel) & 1) << (7 - i) for i in range(8)) for channel in range(3))
    return red, green, blue


@cache
def voc_palette() -> np.ndarray:
    """Returns the colours of the ids 0 to 255, uint8 (256, 3), read-only."""
    palette = np.array([voc_color(index) for index in range(256)], np.uint8)
    palette.flags.writeable = False
    return palette
