"""Contact sheets on the page: drawn by two threads while the page is put together, and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

from app.session.cache import contact_sheet_source
from app.shared.layout.elements import show_jpeg
from picie_core.colors import rgb_color
from picie_core.workspace.workspace import StoredClustering

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from picie_core.segmentation.contact_sheet import ContactSheet

KEPT = 800
DRAWERS = 2
GAP_PX = 4
DARK_PAGE, LIGHT_PAGE = "#1b1b1b", "#ffffff"


class SheetSize(NamedTuple):
    """How many crops one page of a contact sheet has, and how large they are drawn."""

    columns: int
    rows: int
    crop_px: int

    @property
    def crops(self) -> int:
        """How many there are on one page."""
        return self.columns * self.rows

    @property
    def aspect(self) -> float:
        """Width / height of the sheet, so that its place can be reserved."""
        step = self.crop_px + GAP_PX
        return (self.columns * step - GAP_PX) / (self.rows * step - GAP_PX)


CARD_SIZES = {"S": SheetSize(6, 3, 64), "M": SheetSize(4, 3, 96), "L": SheetSize(3, 2, 128)}
"""What a card has room for, by the size of its crops."""


@dataclass(frozen=True)
class SheetStyle:
    """Which crops of a cluster a contact sheet shows, and how."""

    kind: str = "typical"
    size: SheetSize = CARD_SIZES["M"]
    outline: bool = True
    context: bool = False
    page: int = 0


@dataclass(frozen=True)
class DrawnSheet:
    """A contact sheet as a picture; `sheet` knows which position of which image each of its crops shows."""

    jpeg: bytes
    sheet: ContactSheet


class SheetCache:
    """The sheets that were asked for last, and the threads that draw them; shared by all tabs."""

    def __init__(self) -> None:
        self._sheets: OrderedDict[tuple, Future[DrawnSheet]] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(DRAWERS, thread_name_prefix="sheets")

    def ask(self, key: tuple, draw: Callable[[], DrawnSheet]) -> Future[DrawnSheet]:
        """Returns the sheet of this key as a future; it is drawn once, in the order in which sheets are asked for."""
        with self._lock:
            known = self._sheets.get(key)
            if known is None or (known.done() and known.exception()):
                known = self._sheets[key] = self._pool.submit(draw)
            self._sheets.move_to_end(key)
            while len(self._sheets) > KEPT:
                self._sheets.popitem(last=False)[1].cancel()
            return known


@st.cache_resource(show_spinner=False)
def sheet_cache() -> SheetCache:
    """Returns the cache of this server."""
    return SheetCache()


def page_background() -> str:
    """Returns the colour of the page, which shows between the crops too."""
    return DARK_PAGE if st.context.theme.type == "dark" else LIGHT_PAGE


def ask_sheets(
    clustering: StoredClustering, clusters: Sequence[int], colors: Sequence[str], style: SheetStyle
) -> dict[int, Future[DrawnSheet]]:
    """Returns the contact sheet of each cluster as a future; the first are drawn first."""
    source, between = contact_sheet_source(clustering.run), page_background()

    def drawing(cluster: int, color: str) -> Callable[[], DrawnSheet]:
        def draw() -> DrawnSheet:
            from picie_core.segmentation.contact_sheet import contact_sheet
            from picie_core.segmentation.crops import CROP_PX, WIDE_CROP_PX

            made = contact_sheet(
                source,
                clustering,
                cluster,
                style.kind,
                per_page=style.size.crops,
                shown_px=style.size.crop_px,
                page=style.page,
                columns=style.size.columns,
                color=rgb_color(color),
                outline=style.outline,
                crop_px=WIDE_CROP_PX if style.context else CROP_PX,
            )
            return DrawnSheet(made.jpeg(rgb_color(between)), made)

        return draw

    key = (str(clustering.workspace.root), clustering.run, id(source), clustering.digest)
    return {
        cluster: sheet_cache().ask((*key, cluster, color, style, between), drawing(cluster, color))
        for cluster, color in zip(clusters, colors, strict=True)
    }


def sheet_place(key: str) -> DeltaGenerator:
    """Returns the place of a contact sheet, which stays free until it is drawn; a click on a crop reports the `key`."""
    return st.container(key=f"sheet_{key}")


def fill(place: DeltaGenerator, sheet: Future[DrawnSheet], alt: str) -> None:
    """Draws a contact sheet in its place; waits for it if it is still being drawn."""
    drawn = sheet.result()
    with place:
        show_jpeg(drawn.jpeg, alt)


def reserve(size: SheetSize, keys: str) -> None:
    """Keeps the places of sheets free, so that nothing jumps when they arrive. `keys`: how their keys begin."""
    place, wide = f"[class*='st-key-sheet_{keys}']", f"aspect-ratio: {size.aspect:.5f}; width: 100%;"
    st.html(f"<style>{place} {{ {wide} }} {place} img {{ {wide} cursor: zoom-in; }}</style>")
