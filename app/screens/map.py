"""Map: sampled pixels as points; a lasso fills a mosaic with what they show, and names the clusters they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from app import loaders
from app.charts import scatter_figure, selected_points
from app.colors import UNNAMED_COLOR, cluster_color
from app.frame import headline, job_bar, need_clustering, need_run, need_workspace, picture, small, small_fit, swatch
from app.jobs import job_of, start, stop
from app.naming import cluster_names, cluster_title, name_field, shown_color
from app.notices import told
from app.state import Key, session
from app.words import count, percent
from picie_core.labelmap import IGNORE_COLOR
from picie_core.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clusters import Clustering
    from picie_core.projection import Projection

TITLE = "Map"
POINTS = 10_000
CROPS = 20
LISTED = 8


def groups_of(
    clustering: Clustering, workspace: Workspace, by: str
) -> tuple[np.ndarray, dict[int, str], dict[int, str]]:
    """Returns the group of each sampled pixel (N,) and the name and colour of each group, by cluster or by class."""
    if by == "cluster":
        known = cluster_names(workspace, clustering)
        names = {k: cluster_title(k, known) for k in range(clustering.k)}
        return clustering.labels.astype(int), names, {k: cluster_color(k) for k in range(clustering.k)}
    classes = {item.id: item for item in workspace.label_map.classes()}
    owners = workspace.label_map.classes_of(clustering.key)
    table = np.array([owners.get(k, -1) for k in range(clustering.k)])
    names = {-1: "not named", **{i: item.name for i, item in classes.items()}, 255: "ignore"}
    colors = {-1: UNNAMED_COLOR, **{i: item.color for i, item in classes.items()}, 255: IGNORE_COLOR}
    return table[clustering.labels], names, colors


def draw_map(workspace: Workspace, run: str, clustering: Clustering, kind: str, by: str) -> Projection | None:
    """Draws the points and keeps what was selected in the session record. Returns the projection drawn."""
    placed = loaders.projection(workspace, run, kind, POINTS)
    if placed is None:
        return None
    groups, names, colors = groups_of(clustering, workspace, by)
    ordered = {group: names[group] for group in sorted(names, key=lambda group: (group == 255, group))}
    figure = scatter_figure(placed.xy, groups[placed.index], ordered, colors, revision=f"{run}-{kind}")
    event = st.plotly_chart(
        figure,
        key=f"{Key.MAP}_{kind}",
        on_select="rerun",
        selection_mode=("lasso", "box"),
        width="stretch",
        config={
            "displaylogo": False,
            "modeBarButtonsToRemove": ["toImage", "autoScale2d", "select2d"],
            "scrollZoom": True,
        },
        alt=f"{count(len(placed.xy), 'sampled pixel')} placed by how alike their embeddings are, coloured by {by}",
    )
    take_selection(placed, dict(event["selection"]) if event else {})
    st.caption(
        f"{count(len(placed.xy), 'point')} of {count(len(clustering.labels), 'sampled pixel')}, evenly from all. "
        "Draw a lasso around points; scroll to zoom."
    )
    return placed


def take_selection(placed: Projection, selection: dict[str, Any]) -> None:
    """Keeps the points inside a new box or lasso; one that was seen before changes nothing, so that Clear holds."""
    record = session()
    drawn = repr([selection.get("box"), selection.get("lasso")])
    if drawn != record.seen_selection and (selection.get("box") or selection.get("lasso")):
        record.selected, record.seen_selection = placed.index[selected_points(placed.xy, selection)], drawn


def draw_selection(workspace: Workspace, run: str, clustering: Clustering) -> None:
    """Draws crops of the selected points and the clusters that they belong to, each with its name field."""
    selected = session().selected
    if selected is None or not len(selected):
        with st.container(border=True, height=580, vertical_alignment="center", horizontal_alignment="center"):
            st.markdown("Draw a lasso around some points to see what they show.", text_alignment="center")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        small_fit(f"<b>{count(len(selected), 'point')}</b> selected")
        st.button("Clear", key="clear_selection", on_click=clear_selection)
    sheet = loaders.points_sheet(workspace, run, clustering, selected, CROPS)
    alt = f"Crops around {min(CROPS, len(selected))} of the selected pixels"
    picture("sheet_selection", sheet, alt, loaders.points_aspect(selected, CROPS))
    counts = np.bincount(clustering.labels[selected], minlength=clustering.k)
    dominant = [int(k) for k in np.argsort(-counts, kind="stable")[:LISTED] if counts[k]]
    small("Clusters in the selection, the largest share first")
    for cluster in dominant:
        _row(workspace, clustering, cluster, counts[cluster] / len(selected))


def _row(workspace: Workspace, clustering: Clustering, cluster: int, share: float) -> None:
    column, field = st.columns([2, 3], vertical_alignment="center", gap="small")
    color = shown_color(workspace, clustering, cluster)
    column.html(f'{swatch(color)} <b>{cluster}</b> <span class="picie-facts">{percent(share)}</span>')
    with field:
        name_field(workspace, clustering, cluster, place="map")


def clear_selection() -> None:
    """Forgets the selected points."""
    session().selected = None


def umap_part(workspace: Workspace, run: str) -> None:
    """Draws the button that computes UMAP in the background, or its progress."""
    job = job_of(workspace, "project")
    if job is not None and job.is_running:
        st.fragment(run_every=1)(_umap_running)(workspace)
        return
    with st.container(border=True, height=580, vertical_alignment="center", horizontal_alignment="center"):
        if job is not None and job.state in ("failed", "crashed"):
            st.error(job.status.message or f"UMAP ended without a word. The log is in {job.log}.")
        st.markdown(
            "UMAP draws similar pixels together more clearly than PCA. It takes one to two minutes, in the background.",
            text_alignment="center",
        )
        if st.button("Compute UMAP", type="primary", icon=":material/play_arrow:", key="start_umap"):
            start(workspace, "project", ["--run", run])
            st.rerun()


def _umap_running(workspace: Workspace) -> None:
    job = job_of(workspace, "project")
    if job is None or not job.is_running:
        st.rerun()
        return
    with st.container(border=True, height=580, vertical_alignment="center", horizontal_alignment="center"):
        job_bar(job, unit="", width=420)
        if st.button("Stop", icon=":material/stop:", key="stop_umap"):
            stop(job)


@st.fragment
def draw(workspace: Workspace, run: str, clustering: Clustering) -> None:
    """Draws map and selection side by side; a lasso redraws only these."""
    with told():
        with st.container(horizontal=True, vertical_alignment="bottom"):
            kind = st.segmented_control(
                "Places", ["PCA", "UMAP"], default="PCA", required=True, key=Key.MAP_KIND, persist_state="session"
            )
            by = st.segmented_control(
                "Colour by",
                ["cluster", "class"],
                format_func=str.capitalize,
                default=loaders.usual_colors(workspace, clustering),
                required=True,
                key=Key.MAP_COLOR,
                persist_state="session",
            )
        left, right = st.columns([3, 2], gap="medium")
        with left:
            if draw_map(workspace, run, clustering, (kind or "PCA").lower(), by or "cluster") is None:
                umap_part(workspace, run)
        with right:
            draw_selection(workspace, run, clustering)


workspace = need_workspace(TITLE)
run = need_run(workspace, TITLE)
clustering = need_clustering(workspace, run, TITLE)
headline(
    TITLE,
    f"<b>{count(len(clustering.labels), 'sampled pixel')}</b> · {clustering.k} clusters",
    ("Look at the masks", "masks"),
    primary=False,
)
draw(workspace, run, clustering)
