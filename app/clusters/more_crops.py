"""The dialog with more crops of one cluster: sixty at once, page by page."""

from __future__ import annotations

import streamlit as st

from app.clusters.contact_sheets import Look, Room, ask_sheets, fill, reserve, sheet_place
from app.shared.formatting import count
from app.shared.layout import small
from app.shared.naming import cluster_names, cluster_title, shown_color
from picie_core.workspace.workspace import StoredClustering

ROOM = Room(columns=12, rows=5, tile_px=96)
KIND = "more_kind"


def draw_more(clustering: StoredClustering, cluster: int, look: Look) -> None:
    """Draws the crops of a cluster, at first of the kind that the cards show."""
    from picie_core.clustering.exemplars import KINDS

    st.markdown(f"**{cluster_title(cluster, cluster_names(clustering))}**".replace("$", "\\$"))
    kind = st.segmented_control(
        "Crops",
        KINDS,
        format_func=str.capitalize,
        default=look.kind,
        required=True,
        key=f"{KIND}_{look.kind}",
        label_visibility="collapsed",
    )
    page = st.session_state.get(page_key(cluster, kind or look.kind), 1)
    shown = Look(kind or look.kind, ROOM, look.outline, look.context, page - 1)
    sheet = ask_sheets(clustering, [cluster], [shown_color(clustering, cluster)], shown)[cluster]
    reserve(ROOM, "more")
    fill(sheet_place(f"more_{cluster}"), sheet, f"{(kind or look.kind).capitalize()} crops of cluster {cluster}")
    total = sheet.result().total
    pages = max(1, -(-total // ROOM.tiles))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        small(f"{count(total, 'crop')} to look at; a click on one opens its image")
        if pages > 1:
            st.pagination(pages, key=page_key(cluster, kind or look.kind))


def page_key(cluster: int, kind: str) -> str:
    """Returns the key of the pages of one cluster and kind of crops: each starts at its first."""
    return f"more_page_{cluster}_{kind}"
