"""Colours of classes: default ones that anybody can tell apart, and the rule for chosen ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache

import numpy as np

from picie_core.errors import SettingError

OKABE_ITO = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Colours that people with any colour vision tell apart (Okabe and Ito 2008, without black)."""
IGNORE_COLOR = "#e0e0c0"
"""What is left out: pale, as in the Pascal VOC colour list."""
_SRGB_TO_LMS = np.array([[0.4122, 0.5363, 0.0515], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
_LMS_TO_LAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
_DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
_PROTANOPIA = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])
_COLORS = 512
"""More than twice the classes of a mask: one is always free, whatever colours people choose."""


def clean_color(color: str) -> str:
    """Returns `color` in lower case. Raises SettingError unless it reads #rrggbb."""
    text = color.strip().lower() if isinstance(color, str) else ""
    if not re.fullmatch(r"#[0-9a-f]{6}", text):
        raise SettingError(f"colour {color!r} must read #rrggbb, such as {OKABE_ITO[0]}: give six hexadecimal digits")
    return text


def next_color(used: Collection[str]) -> str:
    """Returns the first default colour that is not in `used`: colour-blind-safe ones, then ones far apart."""
    for color in OKABE_ITO:
        if color not in used:
            return color
    return next(color for color in _far_colors() if color not in used)


@cache
def _far_colors() -> tuple[str, ...]:
    """Returns colours of which each is far from all before it, for whoever of the three sights tells them least."""
    steps = np.arange(0, 256, 17)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    taken = np.array([_rgb(color) for color in (*OKABE_ITO, IGNORE_COLOR, "#000000", "#ffffff")])
    places = perceived(grid)  # (3, 4096, 3)
    clear = (places[0, :, 0] > 0.42) & (places[0, :, 0] < 0.93)  # lightness: readable on light and on dark
    grid, places = grid[clear], places[:, clear]
    distance = np.min([_distance(places, place) for place in perceived(taken).swapaxes(0, 1)], axis=0)
    colors = []
    for _ in range(_COLORS):
        best = int(distance.argmax())
        colors.append("#" + "".join(f"{value:02x}" for value in grid[best]))
        distance = np.minimum(distance, _distance(places, places[:, best]))
        distance[best] = -1  # equal to another for some sight, yet never given twice
    return tuple(colors)


def least_distance(colors: Sequence[str]) -> float:
    """Returns how far apart the two most alike of some colours are, for the sight that tells them least (Oklab)."""
    places = perceived(np.array([_rgb(color) for color in colors]))
    pairs = [_distance(places[:, index + 1 :], places[:, index]).min() for index in range(len(colors) - 1)]
    return float(min(pairs))


def perceived(rgb: np.ndarray) -> np.ndarray:
    """Returns uint8 colours (n, 3) in Oklab: for full sight, without green and without red cones (3, n, 3)."""
    linear = (rgb / 255.0) ** 2.2
    sights = [linear, *(np.clip(linear @ sight.T, 0, 1) for sight in (_DEUTERANOPIA, _PROTANOPIA))]
    return np.stack([np.cbrt(sight @ _SRGB_TO_LMS.T) @ _LMS_TO_LAB.T for sight in sights])


def _distance(places: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Distance (n,) of colours (3, n, 3) to one (3, 3), for the sight that tells them least."""
    return np.linalg.norm(places - place[:, None], axis=2).min(axis=0)


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))
