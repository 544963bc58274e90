"""The dialogs of the Clusters screen: which one is open is in the session record, so that a redrawn page keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from app.clusters.contact_sheets import Look, ask_sheets
from app.clusters.crop_in_image import draw_place
from app.clusters.focus import looking_at
from app.clusters.more_crops import KIND, ROOM, draw_more, page_key
from app.clusters.split_dialog import draw_split
from app.shared.naming import shown_color
from app.shared.notices import show_errors
from picie_core.workspace.workspace import StoredClustering

if TYPE_CHECKING:
    from picie_core.segmentation.contact_sheet import Crop


def draw_dialog(clustering: StoredClustering, look: Look) -> None:
    """Draws the dialog that is open, if one is."""
    here = looking_at(clustering)
    if not here.dialog or here.dialog[1 if len(here.dialog) == 2 else 2] >= clustering.k:
        return

    def close() -> None:
        here.dialog = ()

    kind = here.dialog[0]
    if kind == "more":
        _open("More crops", close, lambda: draw_more(clustering, here.dialog[1], look))
    elif kind == "split":
        _open("Split a cluster", close, lambda: draw_split(clustering, here.dialog[1]))
    elif kind == "place":
        _, where, cluster, x, y = here.dialog
        tile = tile_at(clustering, where, cluster, x, y, look)
        _open("Where it is", close, lambda: draw_place(clustering, cluster, tile))


def _open(title: str, close: Callable[[], None], draw: Callable[[], None]) -> None:
    @st.dialog(title, width="large", on_dismiss=close)
    def drawn() -> None:
        with show_errors():
            draw()

    drawn()


def tile_at(clustering: StoredClustering, where: str, cluster: int, x: float, y: float, look: Look) -> Crop | None:
    """Returns the tile at a point of a contact sheet: of a card (`tiles`) or of the dialog with more crops."""
    shown = look
    if where == "more":
        kind = st.session_state.get(f"{KIND}_{look.kind}") or look.kind
        shown = Look(kind, ROOM, look.outline, look.context, st.session_state.get(page_key(cluster, kind), 1) - 1)
    color = shown_color(clustering, cluster)
    return ask_sheets(clustering, [cluster], [color], shown)[cluster].result().mosaic.crop_at(x, y)
