"""What is selected on the map, kept as rows of the embedding sample, and what can be done with it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app.map.coloring import groups_of
from app.map.edits import draw_map_edits
from app.map.points import crops_of, selection_order
from app.map.record import map_record
from app.session.cache import contact_sheet_source
from app.session.record import session
from app.session.widget_keys import Key
from app.shared.components.hovercard import heard
from app.shared.formatting import count, literal, percent
from app.shared.layout.elements import picture, small, small_fit, swatch
from app.shared.naming import cluster_names, shown_color
from app.shared.pictures.charts import MAP_HEIGHT, MapView
from picie_core.clustering.lasso import ClusterInside, clusters_inside, selected_rows
from picie_core.workspace.workspace import Run, StoredClustering

if TYPE_CHECKING:
    from picie_core.clustering.projection import Projection

SHAPES = ("box", "lasso")
CROPS, CROP_COLUMNS, CROP_PX = 20, 5, 96
MOST_PAGES = 50
LISTED = 12


# -- what the browser reports


def read_view() -> None:
    """Keeps what the browser reports of the figure that is drawn: where it is zoomed, what its legend hides."""
    state, view = map_record(), heard("view")
    if not view or view["of"] != state.figure:
        return
    state.zoom = (state.figure_on, tuple(view["view"])) if view["view"] else ()
    state.hidden = frozenset(group for trace in view["hidden"] for group in state.parts[trace])


def read_selection(clustering: StoredClustering, placed: Projection, key: str) -> bool:
    """Reads a new box or lasso on the chart `key`; returns whether there was one.

    All pixels of the sample that lie inside are selected, shown or not, without those that the legend hides.
    """
    state = map_record()
    selection = (st.session_state.get(key) or {}).get("selection") or {}
    drawn = {kind: [{axis: shape[axis] for axis in "xy"} for shape in selection.get(kind) or ()] for kind in SHAPES}
    seen = json.dumps([placed.name, drawn])
    if seen == state.seen or not any(drawn.values()):
        return False
    rows = selected_rows(placed.xy, drawn)
    if state.hidden:
        of = groups_of(clustering, state.figure_by).of
        rows = rows[~np.isin(of[rows], list(state.hidden))]
    session().selected = rows
    state.selected_of = clustering.run.key
    state.seen, state.drawn, state.drawn_on = seen, drawn, placed.name
    return True


def selected_pixels(run: Run) -> np.ndarray:
    """Returns the selected rows of the present sample, none if they were of another one."""
    record = session()
    if record.selected is None or map_record().selected_of != run.key:
        return np.zeros(0, np.int64)
    return record.selected


def clear_selection() -> None:
    """Forgets the selected pixels, and draws the chart without the outline."""
    session().selected, state = None, map_record()
    state.drawn = {}
    state.cleared += 1


def view_of(
    figure: str, placed: Projection, by: str, *, parts: list[tuple[int, ...]], selected: np.ndarray
) -> tuple[MapView, np.ndarray]:
    """Returns how the chart is drawn, and the selection that it shows: as the person left it when the figure is new.

    A figure that stays is drawn as it was, whatever was selected since: its browser shows that already, and a figure
    that changes is built anew there.
    """
    state = map_record()
    if state.baked is None or state.figure != figure:
        hidden = state.hidden if state.figure_by == by else frozenset()
        view = MapView(
            zoom=state.zoom[1] if state.zoom and state.zoom[0] == placed.name else None,
            hidden=frozenset(number for number, part in enumerate(parts) if hidden and hidden.issuperset(part)),
            drawn=state.drawn if state.drawn_on == placed.name else {},
        )
        state.hidden = frozenset(group for number in view.hidden for group in parts[number])
        state.figures += 1
        state.figure, state.figure_on, state.figure_by, state.parts = figure, placed.name, by, parts
        state.baked = (view, selected)
    return state.baked


# -- what is drawn beside the map


def draw_selection(clustering: StoredClustering) -> None:
    """Draws the mosaic of the selected pixels, and what can be done with the clusters that they belong to."""
    selected = selected_pixels(clustering.run)
    if not len(selected):
        with st.container(border=True, height=MAP_HEIGHT, vertical_alignment="center", horizontal_alignment="center"):
            st.markdown("Draw a lasso around some points to see what they show.", text_alignment="center")
        return
    digest = hashlib.sha256(selected.tobytes()).hexdigest()[:16]
    order = selection_order(clustering.run, digest, selected)
    images = len(np.unique(contact_sheet_source(clustering.run).sample.positions[selected, 0]))
    with st.container(horizontal=True, vertical_alignment="center"):
        total = len(clustering.labels)
        small_fit(f"<b>{len(selected):,} of {total:,}</b> sampled pixels · {count(images, 'image')}")
        with st.container(horizontal=True, horizontal_alignment="right"):
            st.button("Clear", key="clear_selection", on_click=clear_selection)
    _mosaic(clustering, order, f"{Key.MAP_PAGE}_{digest}")
    _clusters(clustering, selected, digest)


def _mosaic(clustering: StoredClustering, order: np.ndarray, key: str) -> None:
    """Draws one page of crops, the most typical first; its room stays the same on every page."""
    pages = min(MOST_PAGES, max(1, -(-len(order) // CROPS)))
    page = min(st.session_state.get(key, 1), pages)
    shown = order[(page - 1) * CROPS : page * CROPS]
    room = min(CROPS, len(order))
    columns = min(CROP_COLUMNS, room)
    sheet = crops_of(clustering, tuple(shown.tolist()), columns, CROP_PX)
    step = CROP_PX + 4
    aspect = (columns * step - 4) / (-(-len(shown) // columns) * step - 4)
    alt = f"Crops around {len(shown)} of the selected pixels, the most typical first"
    picture("sheet_selection", sheet, alt, aspect)
    if pages > 1:
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.pagination(pages, key=key, max_visible_pages=5)


def _clusters(clustering: StoredClustering, selected: np.ndarray, digest: str) -> None:
    """Draws the clusters of the selection with a check box each, and what is done with those that are checked."""
    inside = clusters_inside(clustering.labels, clustering.k, selected)
    ordered = sorted(inside, key=lambda one: not one.mostly)  # stable: the most pixels first within each
    listed, names = ordered[:LISTED], cluster_names(clustering)
    edits = st.container()
    with st.container(gap=None, key="map_clusters"):
        checked = [one.cluster for one in listed if _row(clustering, one, names, digest)]
        rest = ordered[LISTED:]
        if rest:
            share = percent(sum(one.share for one in rest))
            small(f"and {count(len(rest), 'cluster')} more with {share} of the selection")
    with edits:
        draw_map_edits(clustering, checked, selected)


def _row(clustering: StoredClustering, one: ClusterInside, names: dict[int, str], digest: str) -> bool:
    """Draws one cluster; returns whether it is checked. A new selection starts with what is mostly inside it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(swatch(shown_color(clustering, one.cluster)), width="content")
        name = names.get(one.cluster)
        chosen = st.checkbox(
            literal(f"{one.cluster} {name}" if name else f"cluster {one.cluster}"),
            value=one.mostly,
            key=f"map_in_{clustering.digest}_{digest}_{one.cluster}",
            width="stretch",
        )
        small_fit(f"<b>{percent(one.inside)}</b> inside · {percent(one.share)} of selection")
    return chosen
