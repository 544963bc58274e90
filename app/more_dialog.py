"""The dialog with more crops of one cluster: sixty at once, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.frame import small
from app.naming import cluster_names, cluster_title, shown_color
from app.sheets import Look, Room, ask_sheets, reserve, show_sheet
from app.words import count
from picie_core.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clusters import Clustering

ROOM = Room(columns=12, rows=5, tile_px=96)
KIND = "more_kind"
PAGE = "more_page"


def draw_more(workspace: Workspace, run: str, found: Clustering, cluster: int, look: Look) -> None:
    """Draws the crops of a cluster, at first of the kind that the cards show."""
    from picie_core.exemplars import KINDS

    st.markdown(f"**{cluster_title(cluster, cluster_names(workspace, found))}**".replace("$", "\\$"))
    kind = st.segmented_control(
        "Crops",
        KINDS,
        format_func=str.capitalize,
        default=look.kind,
        required=True,
        key=f"{KIND}_{look.kind}",
        label_visibility="collapsed",
    )
    page = st.session_state.get(PAGE, 1)
    shown = Look(kind or look.kind, ROOM, look.outline, look.context, page - 1)
    sheet = ask_sheets(workspace, run, found, [cluster], [shown_color(workspace, found, cluster)], shown)[cluster]
    reserve(ROOM, "more")
    drawn = sheet.result()
    show_sheet(f"more_{cluster}", drawn, f"{(kind or look.kind).capitalize()} crops of cluster {cluster}")
    pages = max(1, -(-drawn.total // ROOM.tiles))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        small(f"{count(drawn.total, 'crop')} to look at; a click on one opens its image")
        if pages > 1:
            if page > pages:
                st.session_state[PAGE] = pages
            st.pagination(pages, key=PAGE)
