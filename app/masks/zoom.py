"""The zoom of the Masks screen: which part of the image is shown, and the buttons that change it."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app.session.record import session
from app.shared.components.picture import View
from app.shared.layout.elements import small_fit
from picie_core.data.images.image_index import ImageRecord

STEP = 2.0
HELP = "Ctrl and the wheel zoom too, + - and 0 as well. Drag without a name, or with the middle button, to move."


@dataclass
class ZoomRecord:
    """What a tab remembers of its zoom: the view of one image; another image is shown whole again."""

    image_id: int = -1
    view: View | None = None
    """None for all of the image."""


def chosen_view(item: ImageRecord) -> View:
    """Returns the part of the image that is shown."""
    record = session().of(ZoomRecord)
    if record.view is not None and record.image_id == item.id:
        return record.view
    return whole_view(item)


def whole_view(item: ImageRecord) -> View:
    """Returns the view of all of an image."""
    return View(0, 0, item.width, item.height)


def is_whole(item: ImageRecord, view: View) -> bool:
    """Whether a view is all of the image."""
    return view == whole_view(item)


def go_to_view(image_id: int, view: View) -> None:
    """Makes a part of an image the one that is shown."""
    record = session().of(ZoomRecord)
    record.image_id, record.view = image_id, view


def zoom_row(item: ImageRecord, view: View, shown_px: int) -> None:
    """Draws the buttons that zoom, and how large the image is shown: `shown_px` is the width of its picture."""
    size, whole = (item.width, item.height), is_whole(item, view)
    full_size = View.of(size, shown_px, 0, 0).width
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="zoom_row"):
        _button("Zoom out", "zoom_out", item, view.zoomed(size, 1 / STEP), disabled=whole)
        _button("Zoom in", "zoom_in", item, view.zoomed(size, STEP), disabled=view.zoomed(size, STEP) == view)
        to_full = view.zoomed(size, view.width / full_size)
        _button("1:1", "", item, to_full, disabled=full_size in (view.width, item.width))
        _button("Fit", "", item, whole_view(item), disabled=whole)
        words = [f"<b>{100 * shown_px / view.width:.{0 if shown_px > view.width / 10 else 1}f} %</b>"]
        if not whole:
            words.append(f"{view.width:,} × {view.height:,} px at {view.left:,}, {view.top:,}")
        small_fit(" · ".join(words))


def _button(label: str, icon: str, item: ImageRecord, to: View, disabled: bool) -> None:
    st.button(
        "" if icon else label,
        icon=f":material/{icon}:" if icon else None,
        key=f"zoom_{label.lower().replace(' ', '_').replace(':', '_')}",
        help=f"{label}. {HELP}" if icon else None,
        disabled=disabled,
        on_click=go_to_view,
        args=(item.id, to),
    )
