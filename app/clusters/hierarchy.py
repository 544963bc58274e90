"""The tree: which clusters merge with which, and how far apart they are."""

from __future__ import annotations

import streamlit as st

from app.clusters import cluster_facts
from app.clusters.charts import dendrogram_figure
from app.clusters.focus import go_to
from app.shared.naming import cluster_names, cluster_title, shown_color
from picie_core.workspace.workspace import StoredClustering

CHART = "tree_chart"


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
    made = cluster_facts.tree(clustering, linkage or "average")
    if made.k < 2:
        st.caption("One cluster is no tree yet: choose a larger K.")
        return
    drawn, names = dendrogram(made), cluster_names(clustering)
    order = drawn.order.tolist()
    figure = dendrogram_figure(
        drawn.x,
        drawn.y,
        [cluster_title(cluster, names) for cluster in order],
        [shown_color(clustering, cluster) for cluster in order],
        [cluster in names for cluster in order],
    )
    event = st.plotly_chart(
        figure,
        key=f"{CHART}_{linkage}",
        on_select="rerun",
        selection_mode="points",
        width="stretch",
        config={"displaylogo": False, "displayModeBar": False},
        alt=f"Dendrogram of {made.k} clusters: what merges low looks alike",
    )
    st.caption("What merges low looks alike. Filled: has a name. Click on a cluster to name it.")
    chosen = [
        point["point_index"] for point in (event["selection"]["points"] if event else []) if "point_index" in point
    ]
    if chosen and chosen[0] < len(order) and st.session_state.get("tree_seen") != (linkage, chosen[0]):
        st.session_state["tree_seen"] = (linkage, chosen[0])
        go_to(clustering, order[chosen[0]])
        st.rerun(scope="fragment")
