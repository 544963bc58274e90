"""The picture of the Masks screen: a click or a stroke on it comes back in pixels of the image."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

LOOKUP_PX = 192
"""Longer side of the small mask that the browser looks up what is under the pointer in."""
HTML = """<div class="stage" tabindex="0" role="application">
<img class="image" alt="" draggable="false">
<svg class="lines" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">
<polyline class="ink"></polyline></svg>
<div class="cross" hidden></div><div class="tip" hidden></div><div class="spoken" aria-live="polite"></div></div>"""
_HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "picie_picture",
    html=HTML,
    css=(_HERE / "picture.css").read_text(encoding="utf-8"),
    js=(_HERE / "picture.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Stroke:
    """A click or brush stroke: the image's id and (x, y) in its pixels, one point for a click."""

    image_id: int
    points: tuple[tuple[int, int], ...]


def paintable(
    key: str,
    *,
    webp: bytes,
    alt: str,
    size: tuple[int, int],
    image_id: int,
    labels: np.ndarray,
    titles: Mapping[int, str],
    name: str | None,
    on_stroke: Callable[[Stroke], None],
) -> None:
    """Draws a WebP of an image that reports clicks and strokes, and shows the title of the label under the pointer.

    size: (width, height) of the image, in whose pixels strokes are reported; labels: (h, w) at any small size; titles:
    of each label; name: the one that a click gives, None while clicks only select. `on_stroke` runs before the page is
    redrawn.
    """
    data = {
        "webp": base64.b64encode(webp).decode(),
        "stamp": hashlib.sha256(webp).hexdigest()[:16],
        "alt": alt,
        "help": "Picture to point at: arrow keys move the mark, Shift for small steps, Enter clicks",
        "image": image_id,
        "width": size[0],
        "height": size[1],
        "labels": base64.b64encode(labels.astype("<u2").tobytes()).decode(),
        "rows": labels.shape[0],
        "columns": labels.shape[1],
        "titles": {str(label): titles.get(label, str(label)) for label in np.unique(labels).tolist()},
        "name": name or "",
    }
    _mount(key=key, data=data, on_stroke_change=partial(_report, key, size, on_stroke))


def _report(key: str, size: tuple[int, int], on_stroke: Callable[[Stroke], None]) -> None:
    stroke = read_stroke(st.session_state[key].stroke, size)
    if stroke is not None:
        on_stroke(stroke)


def read_stroke(message: Any, size: tuple[int, int]) -> Stroke | None:
    """Returns the stroke in a message of the browser, None when there is none on an image of this size."""
    try:
        points = tuple((int(x), int(y)) for x, y in message["points"])
        image_id = int(message["image"])
    except (TypeError, KeyError, ValueError):
        return None
    inside = all(0 <= x < size[0] and 0 <= y < size[1] for x, y in points)
    return Stroke(image_id, points) if points and inside else None
