"""The dialog that splits a cluster: how many parts, what each would be, and the button that does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.clusters.contact_sheets import SheetSize, SheetStyle, ask_sheets, fill, reserve, sheet_place
from app.clusters.record import record_of
from app.session.cache import cached
from app.shared.formatting import literal, percent
from app.shared.layout.elements import small, swatch
from app.shared.layout.notices import show_errors
from app.shared.naming import cluster_names, cluster_title
from app.shared.pictures.colors import cluster_color
from picie_core.workspace.workspace import StoredClustering

if TYPE_CHECKING:
    from picie_core.clustering.split_proposals import SplitPreview

PARTS = tuple(range(2, 9))
PART_SIZE = SheetSize(columns=5, rows=2, crop_px=96)


@cached(16, "Looking for parts")
def split_preview(clustering: StoredClustering, cluster: int, parts: int) -> SplitPreview[StoredClustering]:
    """Returns what a split of a cluster into so many parts would make."""
    from picie_core.clustering.split_proposals import preview_split, propose_split

    embeddings = clustering.sample().embeddings
    return preview_split(clustering, embeddings, cluster, propose_split(clustering, embeddings, cluster, parts))


def draw_split(clustering: StoredClustering, cluster: int) -> None:
    """Draws the parts that a split would make; nothing is stored before it is accepted."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{literal(cluster_title(cluster, cluster_names(clustering)))}** into")
        parts = st.segmented_control(
            "Parts", PARTS, default=2, required=True, key="split_parts", label_visibility="collapsed"
        )
    preview = split_preview(clustering, cluster, parts or 2)
    _draw_parts(clustering, preview)
    small(f"The first part stays cluster {cluster}; no other cluster changes. All keep the name until you change it.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="split_cancel"):
            record_of(clustering).dialog = ()
            st.rerun()
        if st.button(f"Split into {parts}", type="primary", key="split_accept", icon=":material/call_split:"):
            with show_errors():
                accept_split(clustering, cluster, preview)
                st.rerun()


def _draw_parts(clustering: StoredClustering, preview: SplitPreview) -> None:
    colors = [cluster_color(part) for part in preview.parts]
    sheets = ask_sheets(preview.clustering, preview.parts, colors, SheetStyle("typical", PART_SIZE))
    reserve(PART_SIZE, "part")
    whole, all_pixels = sum(preview.counts) or 1, max(1, len(clustering.labels))
    places = []
    with st.grid(2, min_column_width=320, gap="small"):
        for part, pixels, color in zip(preview.parts, preview.counts, colors, strict=True):
            with st.container(gap="xsmall", key=f"part_{part}"):
                small(
                    f"{swatch(color)} <b>{part}</b> · <b>{percent(pixels / whole)}</b> of the cluster, "
                    f"{percent(pixels / all_pixels)} of all pixels"
                )
                places.append(sheet_place(f"part_{part}"))
    for part, place in zip(preview.parts, places, strict=True):
        fill(place, sheets[part], f"Crops of part {part}")


def accept_split(clustering: StoredClustering, cluster: int, preview: SplitPreview) -> None:
    """Splits the cluster as it was shown; a line above the cards says so then, and offers to undo it."""
    from picie_core.workspace.cluster_edits import split_cluster

    prototypes = preview.clustering.splits[-1].centroids
    split_cluster(clustering, cluster, prototypes)
    here = record_of(clustering)
    here.dialog, here.focus, here.turned_to = (), cluster, None
