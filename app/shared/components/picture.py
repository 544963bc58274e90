"""The picture of the Masks screen: clicks, strokes and zooming on it come back in pixels of the image."""

from __future__ import annotations

import base64
import hashlib
import math
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
<div class="frame"><img class="image" alt="" draggable="false"></div>
<svg class="lines" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">
<polyline class="ink"></polyline></svg>
<div class="cross" hidden></div><div class="tip" hidden></div><div class="spoken" aria-live="polite"></div>
<div class="navigator" aria-hidden="true" hidden><div class="overview"></div><div class="box"></div>
</div></div>"""
HELP = "Picture to point at: arrow keys move the mark, Shift for small steps, Enter clicks, plus and minus zoom"
LEAST_VIEW_PX = 48
"""Pixels of the image across the smallest view."""
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


@dataclass(frozen=True)
class View:
    """The part of an image that is shown, in its pixels; it has the shape of the image."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def of(cls, size: tuple[int, int], width: float, left: float, top: float) -> View:
        """Returns the view of an image of `size` (width, height) of about this width and place that lies inside it."""
        wide = min(max(round(width), min(LEAST_VIEW_PX, size[0])), size[0])
        high = min(max(round(wide * size[1] / size[0]), 1), size[1])
        return cls(min(max(round(left), 0), size[0] - wide), min(max(round(top), 0), size[1] - high), wide, high)

    def zoomed(self, size: tuple[int, int], factor: float) -> View:
        """Returns the view of the same middle, `factor` times as near."""
        width = self.width / factor
        height = width * size[1] / size[0]
        middle = self.left + self.width / 2, self.top + self.height / 2
        return View.of(size, width, middle[0] - width / 2, middle[1] - height / 2)


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
    view: View,
    overview: bytes | None,
    on_view: Callable[[int, View], None],
) -> None:
    """Draws a WebP of a view of an image that reports clicks and strokes, and says what is under the pointer.

    size: (width, height) of the image, in whose pixels strokes are reported; labels: (h, w) of the view at any small
    size; titles: of each label; name: the one that a click gives, None while clicks only select; overview: a small WebP
    of the whole image, on which the view is marked while it is a part. `on_stroke`, and `on_view` with the id of the
    image and the view that a person went to, run before the page is redrawn.
    """
    data = {
        "webp": base64.b64encode(webp).decode(),
        "stamp": hashlib.sha256(webp).hexdigest()[:16],
        "alt": alt,
        "help": HELP,
        "image": image_id,
        "width": size[0],
        "height": size[1],
        "labels": base64.b64encode(labels.astype("<u2").tobytes()).decode(),
        "rows": labels.shape[0],
        "columns": labels.shape[1],
        "titles": {str(label): titles.get(label, str(label)) for label in np.unique(labels).tolist()},
        "name": name or "",
        "view": [view.left, view.top, view.width, view.height],
        "least": min(LEAST_VIEW_PX, size[0]),
        "overview": base64.b64encode(overview).decode() if overview else "",
    }
    _mount(
        key=key,
        data=data,
        on_stroke_change=partial(_report, key, size, on_stroke),
        on_view_change=partial(_report_view, key, size, image_id, on_view),
    )


def _report(key: str, size: tuple[int, int], on_stroke: Callable[[Stroke], None]) -> None:
    stroke = read_stroke(st.session_state[key].stroke, size)
    if stroke is not None:
        on_stroke(stroke)


def _report_view(key: str, size: tuple[int, int], image_id: int, on_view: Callable[[int, View], None]) -> None:
    view = read_view(st.session_state[key].view, size, image_id)
    if view is not None:
        on_view(image_id, view)


def read_view(message: Any, size: tuple[int, int], image_id: int) -> View | None:
    """Returns the view in a message of the browser, made to lie inside; None when it is of another image or none."""
    try:
        numbers = [float(message[name]) for name in ("width", "left", "top")]
        same = int(message["image"]) == image_id
    except (TypeError, KeyError, ValueError):
        return None
    return View.of(size, *numbers) if same and all(map(math.isfinite, numbers)) else None


def read_stroke(message: Any, size: tuple[int, int]) -> Stroke | None:
    """Returns the stroke in a message of the browser, None when there is none on an image of this size."""
    try:
        points = tuple((int(x), int(y)) for x, y in message["points"])
        image_id = int(message["image"])
    except (TypeError, KeyError, ValueError):
        return None
    inside = all(0 <= x < size[0] and 0 <= y < size[1] for x, y in points)
    return Stroke(image_id, points) if points and inside else None
