"""Colours of classes: default ones that anybody can tell apart, and the rule for chosen ones."""

from __future__ import annotations

import re
from collections.abc import Collection
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
    """Returns colours of which each is far from all before it, also for who sees no red and green."""
    steps = np.arange(0, 256, 17)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    taken = np.array([_rgb(color) for color in (*OKABE_ITO, IGNORE_COLOR, "#000000", "#ffffff")])
    places = _perceived(grid)  # (4096, 6)
    clear = (places[:, 0] > 0.45) & (places[:, 0] < 0.92)  # lightness: readable on light and on dark
    grid, places = grid[clear], places[clear]
    distance = np.linalg.norm(places[:, None] - _perceived(taken)[None], axis=2).min(1)
    colors = []
    for _ in range(_COLORS):
        best = int(distance.argmax())
        colors.append("#" + "".join(f"{value:02x}" for value in grid[best]))
        distance = np.minimum(distance, np.linalg.norm(places - places[best], axis=1))
    return tuple(colors)


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))


def _perceived(rgb: np.ndarray) -> np.ndarray:
    """Returns uint8 colours (n, 3) as Oklab coordinates for full and for red-green-blind sight: (n, 6)."""
    linear = (rgb / 255.0) ** 2.2
    blind = np.clip(linear @ _DEUTERANOPIA.T, 0, 1)
    return np.concatenate([np.cbrt(sight @ _SRGB_TO_LMS.T) @ _LMS_TO_LAB.T for sight in (linear, blind)], axis=1)
