"""Map: sampled pixels as points; a lasso selects in the whole sample and fills a mosaic with what is inside."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app.map.coloring import COLORING_HELP, COLORINGS, groups_of
from app.map.edits import do_edit
from app.map.points import crops_of, point_confidence, projection, shown_points
from app.map.record import map_record
from app.map.selection import (
    clear_selection,
    draw_selection,
    read_selection,
    read_view,
    selected_pixels,
    view_of,
)
from app.map.umap_job import choose_umap, follow_umap, umap_missing, umap_progress, umap_trouble
from app.session.cache import contact_sheet_source
from app.session.widget_keys import Key
from app.shared.components.hovercard import CARD_PX, heard, hover_card
from app.shared.formatting import count
from app.shared.layout.elements import headline, small_fit
from app.shared.layout.empty_screens import need_clustering, need_run, need_workspace
from app.shared.layout.notices import show_errors
from app.shared.layout.pages import page_path
from app.shared.naming import cluster_names, cluster_title
from app.shared.pictures.charts import legend_parts, scatter_figure, shaded_figure
from app.shared.pictures.colors import usual_colors
from app.shared.pictures.image_strip import show_image
from picie_core.data.images.image_index import ImageRecord
from picie_core.workspace.workspace import Run, StoredClustering

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from picie_core.clustering.projection import Projection

TITLE = "Map"
POINTS_HELP = (
    "The points are drawn evenly from all images, with more of the clusters that would hardly be seen. A lasso or box "
    "selects among all sampled pixels, shown or not: UMAP puts those that it did not place itself among their nearest "
    "neighbours. Scroll to zoom, double-click to take the selection away, click a point for its image."
)
CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["toImage", "autoScale2d"], "scrollZoom": True}


def choose_map(clustering: StoredClustering) -> tuple[str, str]:
    """Draws which map is shown and what its points are coloured by; returns `pca` or `umap`, and the colouring."""
    kind = st.segmented_control(
        "Projection", ["PCA", "UMAP"], default="PCA", required=True, key=Key.MAP_KIND, persist_state="session"
    )
    by = st.segmented_control(
        "Colour by",
        list(COLORINGS),
        format_func=lambda by: COLORINGS[by],
        default=usual_colors(clustering),
        required=True,
        key=Key.MAP_COLOR,
        persist_state="session",
        help=COLORING_HELP,
    )
    return (kind or "PCA").lower(), by or "cluster"


def draw_chart(clustering: StoredClustering, placed: Projection, by: str, key: str) -> None:
    """Draws the points, what they are, and the crop of the one under the pointer."""
    shown = shown_points(placed, clustering)
    groups = groups_of(clustering, by)
    parts = [] if by == "confidence" else legend_parts(groups.of[shown], groups.order)
    state = map_record()
    version = clustering.label_map.version() if by in ("cluster", "class") else 0
    figure_id = "|".join(map(str, (clustering.run, placed.name, by, clustering.digest, version, state.cleared)))
    selected = selected_pixels(clustering.run)
    view, selected = view_of(figure_id, placed, by, parts=parts, selected=selected)
    bright = np.isin(shown, selected) if len(selected) else None
    if by == "confidence":
        values = point_confidence(placed, clustering)
        figure = shaded_figure(placed.xy[shown], values, "confidence", selected=bright, view=view)
    else:
        figure = scatter_figure(
            placed.xy[shown],
            groups.of[shown],
            parts,
            names=groups.names,
            colors=groups.colors,
            selected=bright,
            view=view,
        )
    with chart_place(state.figures):
        st.plotly_chart(
            figure,
            key=key,
            on_select="rerun",
            selection_mode=("lasso", "box"),
            width="stretch",
            config=CONFIG,
            alt=f"{count(len(shown), 'sampled pixel')} placed by how alike their embeddings are, coloured by {by}",
        )
    umap = placed.settings
    made = f" · {umap.points:,} placed by UMAP, {umap.neighbors} neighbours, distance {umap.min_dist:g}" if umap else ""
    st.caption(
        f"{count(len(shown), 'point')} of {count(len(clustering.labels), 'sampled pixel')}{made}", help=POINTS_HELP
    )
    hover_part(clustering, placed, shown, key)


def chart_place(figures: int) -> DeltaGenerator:
    """Returns the place of the chart: two places take turns, and the one that has no turn is emptied.

    In one place Streamlit 1.67 keeps the old figure beside the new one until the fragment has ended, and forever when
    another fragment starts before the browser has heard of that end.
    """
    with st.container(gap=None):
        places = [st.container() if number == figures % 2 else st.empty() for number in range(2)]
    return places[figures % 2]


@st.fragment
def hover_part(clustering: StoredClustering, placed: Projection, shown: np.ndarray, key: str) -> None:
    """Shows the crop of the point under the pointer, and the way to the image of the one that was clicked."""
    with show_errors():
        at = heard("at")
        crop = None
        if at:
            row = point_at(placed, shown, at)
            image, name = image_of(clustering.run, row), title_of(clustering, row)
            sheet = crops_of(clustering, (row,), 1, CARD_PX)
            crop = {"at": at, "picture": sheet, "name": name, "more": image.path}
        version = f"{placed.name}-{clustering.digest}-{clustering.label_map.version()}"
        said = hover_card(map_record().figure, key, version, crop)
        if said.cleared and len(selected_pixels(clustering.run)):
            clear_selection()
            st.rerun()
        if said.opened:
            map_record().opened = point_at(placed, shown, said.opened)
        draw_opened(clustering)


def point_at(placed: Projection, shown: np.ndarray, at: list[float]) -> int:
    """Returns the row of the shown point at, or next to, a position on the map."""
    away = np.abs(placed.xy[shown] - np.asarray(at, np.float32)).sum(1)
    return int(shown[away.argmin()])


def image_of(run: Run, row: int) -> ImageRecord:
    """Returns the image record of a sampled pixel."""
    return run.workspace.image_list().records[int(contact_sheet_source(run).sample.positions[row, 0])]


def title_of(clustering: StoredClustering, row: int) -> str:
    """Returns what the cluster of a sampled pixel is called."""
    return cluster_title(int(clustering.labels[row]), cluster_names(clustering))


def draw_opened(clustering: StoredClustering) -> None:
    """Draws the line of the clicked point with the way to its image."""
    row = map_record().opened
    if row is None or row >= len(clustering.labels):
        return
    image = image_of(clustering.run, row)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        small_fit(html.escape(f"{title_of(clustering, row)} in {image.path}"))
        show_image(image.id)  # a link, as a fragment that switches the page may leave an empty one
        st.page_link(page_path("masks"), label="Open in Masks", icon=":material/layers:")


@st.fragment
def draw(clustering: StoredClustering, version: int) -> None:
    """Draws map and selection side by side; a lasso redraws only these, what it selected first.

    version: of the label map that the page was drawn with; after an edit here all of the page is drawn anew.
    """
    with show_errors():
        do_edit()
        if clustering.label_map.version() != version:
            st.rerun()
        with st.container(horizontal=True, vertical_alignment="bottom"):
            kind, by = choose_map(clustering)
            placed = projection(clustering.run, kind, map_record().umap)
            if kind == "umap":
                choose_umap(placed)
        key = f"{Key.MAP}_{kind}"
        left, right = st.columns([3, 2], gap="medium")
        read_view()
        fresh = placed is not None and read_selection(clustering, placed, key)
        if fresh:
            with right:
                draw_selection(clustering)
        with left:
            busy = kind == "umap" and follow_umap(clustering.run, placed)
            if busy:
                umap_progress(clustering.run, placed)
            elif placed is None:
                umap_missing(clustering.workspace)
            elif kind == "umap":
                umap_trouble(clustering.workspace)
            if placed is not None:
                draw_chart(clustering, placed, by, key)
        if not fresh:
            with right:
                draw_selection(clustering)


workspace = need_workspace(TITLE)
run = need_run(workspace, TITLE)
clustering = need_clustering(run, TITLE)
headline(
    TITLE,
    f"<b>{count(len(clustering.labels), 'sampled pixel')}</b> · {clustering.k} clusters",
    ("Look at the masks", "masks"),
    primary=False,
)
draw(clustering, workspace.label_map.version())
