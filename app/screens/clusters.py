"""Clusters: pick K, look at crops of each cluster, largest first, and name it on its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app import loaders
from app.fields import shown_key
from app.frame import headline, need_clustering, need_run, need_workspace, show_png, small, swatch
from app.naming import cluster_names, name_field, shown_color
from app.notices import told
from app.sidebar import LARGEST_K, QUICK_K, want_k
from app.state import Key
from app.words import count, percent
from picie_core.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clusters import Clustering

TITLE = "Clusters"
CARDS = 12
CARD_COLUMNS = 3
KINDS = {"typical": "Typical", "border": "Border", "random": "Random", "one per image": "One per image"}
KIND_HELP = (
    "Typical: closest to the middle of the cluster. Border: almost in another cluster. Random: drawn evenly. "
    "One per image: the most typical of each image."
)
FILTERS = ("all", "not named", "named")


def choose_k(clustering: Clustering) -> None:
    """Draws the ways to change K: one click on a usual number, or any number."""
    quick = shown_key(Key.K_QUICK, clustering.base_k if clustering.base_k in QUICK_K else None)
    st.pills(
        "Clusters K",
        QUICK_K,
        key=quick,
        on_change=want_k,
        args=(quick,),
        help="How many kinds of pixels to tell apart. More clusters than classes is fine: give several the same name.",
    )
    number = shown_key(Key.K_NUMBER, clustering.base_k)
    st.number_input("Any K", 2, LARGEST_K, step=1, key=number, on_change=want_k, args=(number,), width=112)


def choose_view() -> tuple[str, str]:
    """Draws what the cards show; returns the kind of crops and the filter."""
    kind = st.segmented_control(
        "Crops",
        list(KINDS),
        default="typical",
        required=True,
        format_func=lambda kind: KINDS[kind],
        key=Key.SHEET_KIND,
        help=KIND_HELP,
        bind="query-params",
    )
    shown = st.segmented_control(
        "Show",
        FILTERS,
        format_func=str.capitalize,
        default="all",
        required=True,
        key=Key.CLUSTER_FILTER,
        bind="query-params",
    )
    return kind or "typical", shown or "all"


def clusters_shown(workspace: Workspace, clustering: Clustering, shown: str) -> list[int]:
    """Returns the clusters to draw, the largest first; a card does not vanish while its name is being typed."""
    named = workspace.label_map.classes_of(clustering.key)
    keep = {"all": lambda k: True, "named": named.__contains__, "not named": lambda k: k not in named}[shown]
    return [cluster for cluster in range(clustering.k) if keep(cluster)]


def card(workspace: Workspace, run: str, clustering: Clustering, cluster: int, kind: str) -> None:
    """Draws one cluster: swatch and number, name, one contact sheet, figures."""
    figures = loaders.cluster_figures(workspace, run, clustering)[cluster]
    color = shown_color(workspace, clustering, cluster)
    with st.container(border=True, gap="xsmall", key=f"card_{cluster}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html(f"{swatch(color)} <b>{cluster}</b>", width="content")
            name_field(workspace, clustering, cluster, place="card")
        with st.container(key=f"sheet_{cluster}"):
            name = cluster_names(workspace, clustering).get(cluster)
            called = f"cluster {cluster}, {name}" if name else f"cluster {cluster}"
            show_png(
                loaders.cluster_sheet(workspace, run, clustering, cluster, kind, color),
                alt=f"{KINDS[kind]} crops of {called}, the cluster outlined",
            )
        area = f"<b>{percent(figures.share)}</b> of all pixels"
        small(f"{area} · {count(figures.images, 'image')} · tightness {figures.tightness:.2f}")


def draw(workspace: Workspace, run: str, clustering: Clustering) -> None:
    """Draws the controls and one page of cards."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        choose_k(clustering)
        kind, shown = choose_view()
    clusters = clusters_shown(workspace, clustering, shown)
    st.html(f"<style>[class*='st-key-sheet_'] img {{ aspect-ratio: {loaders.SHEET_ASPECT:.5f}; width: 100%; }}</style>")
    if not clusters:
        empty = "Every cluster has a name." if shown == "not named" else "No cluster has a name yet: type one."
        st.caption(empty)
    cards = st.container()
    page = choose_page(max(1, -(-len(clusters) // CARDS)))
    with cards, st.grid(CARD_COLUMNS, min_column_width=260):
        for cluster in clusters[(page - 1) * CARDS : page * CARDS]:
            card(workspace, run, clustering, cluster, kind)


def choose_page(pages: int) -> int:
    """Draws the pages below the cards, if there is more than one; returns the chosen one, from 1."""
    if pages == 1:
        return 1
    if st.session_state.get(Key.CLUSTER_PAGE, 1) > pages:
        st.session_state[Key.CLUSTER_PAGE] = pages
    with st.container(horizontal=True, horizontal_alignment="center"):
        return st.pagination(pages, key=Key.CLUSTER_PAGE, bind="query-params")


workspace = need_workspace(TITLE)
run = need_run(workspace, TITLE)
clustering = need_clustering(workspace, run, TITLE)
share = loaders.named_share(workspace, clustering)
headline(
    TITLE,
    f"<b>{clustering.k} clusters</b> of {count(len(clustering.labels), 'sampled pixel')}, the largest first · "
    f"<b>{percent(share)}</b> of all pixels named",
    ("Look at the masks", "masks"),
    primary=share > 0.5,
)
with told():
    draw(workspace, run, clustering)
