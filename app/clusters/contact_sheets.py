"""Contact sheets for cards and dialogs: drawn by two threads while the page is put together, and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

from app.session.cache import contact_sheet_source
from app.shared.layout import show_jpeg
from picie_core.colors import rgb_color
from picie_core.workspace.workspace import StoredClustering

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from picie_core.segmentation.contact_sheet import ContactSheet

KEPT = 800
DRAWERS = 2
GAP_PX = 4
GROUNDS = {"dark": "#1b1b1b"}
"""What shows between the tiles: the background of the page, which is white unless it is dark."""


class Room(NamedTuple):
    """How many tiles a sheet has room for, and how large they are."""

    columns: int
    rows: int
    tile_px: int

    @property
    def tiles(self) -> int:
        """How many there are on one page."""
        return self.columns * self.rows

    @property
    def aspect(self) -> float:
        """Width / height of the sheet, so that its place can be reserved."""
        step = self.tile_px + GAP_PX
        return (self.columns * step - GAP_PX) / (self.rows * step - GAP_PX)


ROOMS = {"S": Room(6, 3, 64), "M": Room(4, 3, 96), "L": Room(3, 2, 128)}
"""What a card has room for, by the size of its tiles."""


@dataclass(frozen=True)
class Look:
    """What a contact sheet shows of a cluster, and how."""

    kind: str = "typical"
    room: Room = ROOMS["M"]
    outline: bool = True
    context: bool = False
    page: int = 0


@dataclass(frozen=True)
class Sheet:
    """A drawn contact sheet; `mosaic` knows which place of which image is where on it."""

    jpeg: bytes
    mosaic: ContactSheet
    total: int
    """Exemplars that there are on all pages."""


class Shelf:
    """The sheets that were asked for last, and the threads that draw them; shared by all tabs."""

    def __init__(self) -> None:
        self._sheets: OrderedDict[tuple, Future[Sheet]] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(DRAWERS, thread_name_prefix="sheets")

    def ask(self, key: tuple, draw: Callable[[], Sheet]) -> Future[Sheet]:
        """Returns the sheet of this key as a promise; it is drawn once, in the order in which sheets are asked for."""
        with self._lock:
            known = self._sheets.get(key)
            if known is None or (known.done() and known.exception()):
                known = self._sheets[key] = self._pool.submit(draw)
            self._sheets.move_to_end(key)
            while len(self._sheets) > KEPT:
                self._sheets.popitem(last=False)[1].cancel()
            return known


@st.cache_resource(show_spinner=False)
def shelf() -> Shelf:
    """Returns the shelf of this server."""
    return Shelf()


def ground() -> str:
    """Returns the colour between the tiles, which is that of the page."""
    return GROUNDS.get(st.context.theme.type or "", "#ffffff")


def ask_sheets(
    clustering: StoredClustering, clusters: Sequence[int], colors: Sequence[str], look: Look
) -> dict[int, Future[Sheet]]:
    """Returns the contact sheet of each cluster as a promise; the first are drawn first."""
    source, between = contact_sheet_source(clustering.run), ground()

    def drawing(cluster: int, color: str) -> Callable[[], Sheet]:
        def draw() -> Sheet:
            from picie_core.segmentation.contact_sheet import contact_sheet
            from picie_core.segmentation.crops import CROP_PX, WIDE_CROP_PX

            made = contact_sheet(
                source,
                clustering,
                cluster,
                look.kind,
                per_page=look.room.tiles,
                shown_px=look.room.tile_px,
                page=look.page,
                columns=look.room.columns,
                color=rgb_color(color),
                outline=look.outline,
                crop_px=WIDE_CROP_PX if look.context else CROP_PX,
            )
            return Sheet(made.jpeg(rgb_color(between)), made, made.total)

        return draw

    place = (str(clustering.workspace.root), clustering.run, id(source), clustering.digest)
    return {
        cluster: shelf().ask((*place, cluster, color, look, between), drawing(cluster, color))
        for cluster, color in zip(clusters, colors, strict=True)
    }


def sheet_place(key: str) -> DeltaGenerator:
    """Returns the place of a contact sheet, kept free until it is there; a click on a tile is told by its `key`."""
    return st.container(key=f"sheet_{key}")


def fill(place: DeltaGenerator, sheet: Future[Sheet], alt: str) -> None:
    """Draws a contact sheet in its place; waits for it if it is still being drawn."""
    drawn = sheet.result()
    with place:
        show_jpeg(drawn.jpeg, alt)


def reserve(room: Room, keys: str) -> None:
    """Keeps the places of sheets free, so that nothing jumps when they arrive. `keys`: how their keys begin."""
    place, wide = f"[class*='st-key-sheet_{keys}']", f"aspect-ratio: {room.aspect:.5f}; width: 100%;"
    st.html(f"<style>{place} {{ {wide} }} {place} img {{ {wide} cursor: zoom-in; }}</style>")
