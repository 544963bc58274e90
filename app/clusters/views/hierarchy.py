"""The hierarchy of clusters: the tree of what merges with what, and the groups that look alike, to name together."""

from __future__ import annotations

import html

import streamlit as st

from app.clusters import cluster_facts
from app.clusters.contact_sheets import SheetSize, SheetStyle, ask_sheets, fill, reserve, sheet_place
from app.clusters.focus import go_to, name_together
from app.clusters.record import record_of
from app.clusters.views.charts import clickable_chart, dendrogram_figure
from app.shared.formatting import count, percent
from app.shared.layout.elements import small, swatch
from app.shared.layout.notices import attempt
from app.shared.naming import class_names, cluster_names, cluster_title, shown_color
from picie_core.workspace.workspace import StoredClustering

CHART = "tree_chart"
GROUPS = 6
"""Drawn at once; more come when these are named or dismissed."""
GROUP_SIZE = SheetSize(columns=4, rows=2, crop_px=72)
GROUP_COLUMNS = 4


def draw_tree(clustering: StoredClustering) -> None:
    """Draws the dendrogram; a click on a cluster puts it into focus."""
    from picie_core.clustering.hierarchy import LINKAGES, dendrogram

    linkage = st.segmented_control(
        "Linkage",
        LINKAGES,
        format_func=str.capitalize,
        default="average",
        required=True,
        key="tree_linkage",
        help="Average: mean distance between the clusters of two branches. Ward: makes branches of even size.",
    )
    tree = cluster_facts.tree(clustering, linkage or "average")
    if tree.k < 2:
        st.caption("One cluster is no tree yet: choose a larger K.")
        return
    drawn, names = dendrogram(tree), cluster_names(clustering)
    order = drawn.order.tolist()
    figure = dendrogram_figure(
        drawn.x,
        drawn.y,
        titles=[cluster_title(cluster, names) for cluster in order],
        colors=[shown_color(clustering, cluster) for cluster in order],
        named=[cluster in names for cluster in order],
    )
    leaf = clickable_chart(CHART, figure, f"Dendrogram of {tree.k} clusters: what merges low looks alike")
    st.caption("What merges low looks alike. Filled: has a name. Click on a cluster to name it.")
    if leaf is not None and leaf.get("point_index", len(order)) < len(order):
        go_to(clustering, order[leaf["point_index"]])
        st.rerun()


def draw_similar_groups(clustering: StoredClustering) -> None:
    """Draws the first groups that look alike; more come as these are named or dismissed."""
    groups = similar_groups(clustering)
    reserve(GROUP_SIZE, "similar")
    if not groups:
        hidden = len(record_of(clustering).dismissed)
        st.caption(
            "No clusters without a name look alike enough to be named together."
            + (f" You dismissed {count(hidden, 'group')}." if hidden else "")
        )
        return
    small(f"<b>{count(len(groups), 'group')}</b> of clusters that look alike: check the crops before you name them")
    for group in groups[:GROUPS]:
        _draw_group(clustering, group)


def similar_groups(clustering: StoredClustering) -> list[tuple[int, ...]]:
    """Returns the suggested groups without those that this person dismissed."""
    from picie_core.clustering.hierarchy import alike_groups

    groups = alike_groups(cluster_facts.tree(clustering, "average"), clustering.classes_of())
    return [group for group in groups if group not in record_of(clustering).dismissed]


def _draw_group(clustering: StoredClustering, group: tuple[int, ...]) -> None:
    numbers, names = "-".join(map(str, group)), cluster_names(clustering)
    offered = list(class_names(clustering.workspace).values())
    known = next((names[cluster] for cluster in group if cluster in names), None)
    key = f"similar_{clustering.key}_{numbers}"
    colors = [shown_color(clustering, cluster) for cluster in group]
    sheets = ask_sheets(clustering, group, colors, SheetStyle("typical", GROUP_SIZE))

    def give_name() -> None:
        attempt(name_together, clustering, list(group), st.session_state[key] or "")

    with st.container(border=True, key=f"group_{numbers}", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            share = percent(cluster_facts.pixel_share(clustering, group))
            st.html(
                f'<div class="picie-facts"><b>These {len(group)}</b> · {share} of all pixels</div>', width="stretch"
            )
            st.selectbox(
                f"Name of clusters {', '.join(map(str, group))}",
                offered,
                index=offered.index(known) if known else None,
                key=key,
                accept_new_options=True,
                placeholder="Name…",
                label_visibility="collapsed",
                width=220,
            )
            st.button("Name together", key=f"name_{key}", on_click=give_name)
            dismiss = record_of(clustering).dismissed.add
            st.button("Not alike", key=f"dismiss_{key}", type="tertiary", on_click=dismiss, args=(group,))
        places = []
        with st.grid(min(GROUP_COLUMNS, max(2, len(group))), min_column_width=200, gap="small"):
            for cluster, color in zip(group, colors, strict=True):
                with st.container(gap="xsmall"):
                    small(f"{swatch(color)} <b>{cluster}</b> {html.escape(names.get(cluster, ''))}")
                    places.append(sheet_place(f"similar_{cluster}"))
    for cluster, place in zip(group, places, strict=True):
        fill(place, sheets[cluster], f"Crops of cluster {cluster}")
