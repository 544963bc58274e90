"""The overlay of a mask: the image with its labels painted over it. Numpy only."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from picie_core.colors import Rgb
from picie_core.data.class_names import IGNORE_ID


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    colors: Mapping[int, Rgb] | np.ndarray,
    opacity: float = 0.5,
    hidden: Collection[int] = (),
    outline: bool = False,
) -> np.ndarray:
    """Returns the image with the labels painted over it: uint8 (H, W, 3).

    labels: (H, W) ids; colors: of each id, ids without one stay unpainted, as do hidden ones; opacity:
    0 to 1; outline: borders of regions in full colour, whatever the opacity.
    """
    size = int(max(labels.max(initial=0), IGNORE_ID)) + 1
    table, painted = np.zeros((size, 3), np.float32), np.zeros(size, bool)
    for label, color in colors.items() if isinstance(colors, Mapping) else enumerate(colors):
        if 0 <= label < size and label not in hidden:
            table[label], painted[label] = color, True
    shown = painted[labels]
    strength = shown * np.float32(opacity)
    if outline:
        strength[_borders(labels) & shown] = 1
    mixed = image + strength[..., None] * (table[labels] - image)
    return (mixed + 0.5).astype(np.uint8)


def _borders(labels: np.ndarray) -> np.ndarray:
    """Pixels with a neighbour (above, below, left, right) of another label: bool (H, W)."""
    border = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return border
