"""Colours: of clusters, of classes by default, and the rule for chosen ones; each far from those before it.

[1] Okabe, Ito: Color universal design, 2008. [2] Ottosson: A perceptual color space for image processing, 2020 (OKLab).
[3] Machado, Oliveira, Fernandes: A physiologically-based model for simulation of color vision deficiency, TVCG 2009.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache, lru_cache

import numpy as np

from picie_core.errors import SettingError

Rgb = tuple[int, int, int]

OKABE_ITO = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Colours that people with any colour vision tell apart [1], without black."""
IGNORE_COLOR = "#e0e0c0"
"""What is left out: pale, as in the Pascal VOC colour list."""
_TO_CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
_TO_CONES_OF_CLASSES = np.array([[0.4122, 0.5363, 0.0515], *_TO_CONES[1:]])  # greys stay grey; colours are stored by it
_TO_OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
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


def rgb_color(color: str) -> Rgb:
    """Returns the three bytes of `#rrggbb`."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def hex_color(rgb: np.ndarray | Rgb) -> str:
    """Returns `#rrggbb`."""
    return "#" + bytes(int(part) for part in rgb).hex()


@lru_cache(maxsize=8)
def cluster_colors(k: int) -> np.ndarray:
    """Returns colours for k clusters, uint8 (k, 3): each as far as can be, for the eye, from those before.

    The colour of a cluster does not depend on k, nor on the machine. The array is shared and read-only.
    """
    rgb = _grid(16)
    linear = np.where(rgb / 255 <= 0.04045, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    lab = _oklab(linear, _TO_CONES)
    chroma, lightness = np.hypot(lab[:, 1], lab[:, 2]), lab[:, 0]
    vivid = (chroma > 0.07) & (chroma < 0.24) & (lightness > 0.42) & (lightness < 0.9)  # seen on photographs
    rgb, lab = rgb[vivid], lab[vivid]
    first = int(np.argmin(np.abs(rgb - (230, 80, 60)).sum(axis=1)))
    following = _farthest(lab[None], _distance(lab[None], lab[None, first]), k - 1)
    colors = rgb[[first, *following][:k]].round().astype(np.uint8)
    colors.setflags(write=False)
    return colors


def next_color(used: Collection[str]) -> str:
    """Returns the first default colour that is not in `used`: colour-blind-safe ones, then ones far apart."""
    for color in OKABE_ITO:
        if color not in used:
            return color
    return next(color for color in _class_colors() if color not in used)


@cache
def _class_colors() -> tuple[str, ...]:
    """Colours of which each is far from all before it, for whoever of the three sights tells them least."""
    rgb = _grid(16)
    taken = perceived(np.array([rgb_color(color) for color in (*OKABE_ITO, IGNORE_COLOR, "#000000", "#ffffff")]))
    lab = perceived(rgb)  # (3, 4096, 3)
    clear = (lab[0, :, 0] > 0.42) & (lab[0, :, 0] < 0.93)  # lightness: readable on light and on dark
    rgb, lab = rgb[clear], lab[:, clear]
    nearest = np.min([_distance(lab, color) for color in taken.swapaxes(0, 1)], axis=0)
    return tuple(hex_color(rgb[index]) for index in _farthest(lab, nearest, _COLORS))


def perceived(rgb: np.ndarray) -> np.ndarray:
    """Returns uint8 colours (N, 3) in OKLab: for full sight, without green and without red cones [3], (3, N, 3)."""
    linear = (rgb / 255.0) ** 2.2
    sights = [linear, *(np.clip(linear @ sight.T, 0, 1) for sight in (_DEUTERANOPIA, _PROTANOPIA))]
    return np.stack([_oklab(sight, _TO_CONES_OF_CLASSES) for sight in sights])


def _oklab(linear: np.ndarray, to_cones: np.ndarray) -> np.ndarray:
    """OKLab [2] of linear sRGB colours (N, 3): equal distances look about equal."""
    return np.cbrt(linear @ to_cones.T) @ _TO_OKLAB.T


def _grid(steps: int) -> np.ndarray:
    """Evenly spread colours, (steps ** 3, 3) from 0 to 255."""
    values = np.linspace(0, 255, steps)
    return np.stack(np.meshgrid(values, values, values, indexing="ij"), -1).reshape(-1, 3)


def _farthest(lab: np.ndarray, nearest: np.ndarray, count: int) -> list[int]:
    """Indices of `count` of the colours (S, N, 3), each the farthest from all before; nearest: (N,) from the first."""
    chosen: list[int] = []
    for _ in range(count):
        best = int(nearest.argmax())
        chosen.append(best)
        nearest = np.minimum(nearest, _distance(lab, lab[:, best]))
        nearest[best] = -1  # equal to another for some sight, yet never given twice
    return chosen


def _distance(lab: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Distance (N,) of colours (S, N, 3) to one (S, 3), for the sight that tells them least."""
    return np.linalg.norm(lab - color[:, None], axis=2).min(axis=0)
