"""The geometry of feature maps: how many positions an image has, and which pixels lie at which of them.

A feature map has stride 4: position (row, column) stands for 4 x 4 pixels of the image at the size that the network
sees; where that size is no multiple of 4, the last positions reach over the border, as the network pads there.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

Index = TypeVar("Index", int, np.ndarray)

STRIDE = 4
"""Pixels along a side of a position, in the image that the network sees."""
CENTRE_PX = 1.5
"""Centre of position 0 in that image, pixel 0 being at 0: 1.5 is `align_corners=False`, 0 that of the convolutions."""


def feature_map_shape(height_px: int, width_px: int) -> tuple[int, int]:
    """Returns the (h, w) of the feature map of an image of this size, as the network sees it."""
    return -(-height_px // STRIDE), -(-width_px // STRIDE)


def centre_px(index: Index) -> Index | float:
    """Returns where the centre of a row or column of positions lies in the image that the network sees, in pixels."""
    return STRIDE * index + CENTRE_PX


def positions_of_pixels(full_px: int, length: int, pixels: np.ndarray | None = None) -> np.ndarray:
    """Returns where the pixels of one axis of an image lie between the positions of its feature map.

    full_px: pixels of the axis, at any size of the image; length: positions along it; pixels: points along it (0 is
    the centre of the first pixel), every pixel by default. Returns float64 in [0, length - 1]; in between, scores are
    interpolated as torch does it with `align_corners=False`.
    """
    pixels = np.arange(full_px) if pixels is None else pixels
    stretched = (pixels + 0.5) * (STRIDE * length / full_px) - 0.5
    return np.clip((stretched - CENTRE_PX) / STRIDE, 0, length - 1)


def pixels_at_positions(positions: np.ndarray, map_shape: tuple[int, int], size_px: tuple[int, int]) -> np.ndarray:
    """Returns the pixel (M, 2) int64 that holds the centre of each position (M, 2), both as row and column.

    map_shape: (h, w) of the feature map; size_px: (H, W) of the image, at any size. The way back of
    `positions_of_pixels`.
    """
    pixels = ((positions + 0.5) * size_px / map_shape).astype(np.int64)
    return np.minimum(pixels, np.array(size_px) - 1)
