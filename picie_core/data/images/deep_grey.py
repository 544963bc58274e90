"""Grey of more than 8 bits as uint8: the range of values that becomes black to white."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class GreyRange(NamedTuple):
    """The value that becomes black, and the one that becomes white."""

    low: float
    high: float


def grey_range(parts: Iterable[np.ndarray]) -> GreyRange:
    """Returns the range of the deep grey values of an image, which comes in parts of any shape.

    Whole numbers from 0 have the smallest of 8, 10, 12, 14 and 16 bit that holds their maximum; floats, negative and
    larger numbers span from the lowest finite value to the highest.
    """
    low, high, whole = np.inf, -np.inf, True
    for part in parts:
        whole &= part.dtype.kind != "f"
        finite = part[np.isfinite(part)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:  # nothing is finite
        low, high = 0.0, 0.0
    if whole and low >= 0 and high < 1 << 16:
        bits = next(bits for bits in (8, 10, 12, 14, 16) if high < 1 << bits)
        return GreyRange(0.0, float((1 << bits) - 1))
    return GreyRange(low, high)


def to_eight_bit(values: np.ndarray, levels: GreyRange) -> np.ndarray:
    """Returns deep grey values as uint8 of the same shape: black to white over the range, what is not finite black."""
    span = (levels.high - levels.low) or 1.0
    scaled = (np.where(np.isfinite(values), values, levels.low).astype(np.float64) - levels.low) * (255.0 / span)
    return np.rint(scaled).astype(np.uint8)
