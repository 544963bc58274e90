"""The cards: one cluster each, with its crops, its figures, its neighbours and its name."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from app import loaders
from app.focus import go_to, looking_at, pick
from app.frame import small, swatch
from app.naming import class_names, cluster_names, name_field, shown_color
from app.sheets import Look, Sheet, ask_sheets, reserve, show_sheet
from app.state import Key
from app.words import count, percent
from picie_core.workspace import Workspace

if TYPE_CHECKING:
    from concurrent.futures import Future

    from picie_core.clusters import Clustering
    from picie_core.truth import ClusterTruth

CARDS = 12
CARD_COLUMNS = 3
NEIGHBORS = 3


def draw_cards(workspace: Workspace, run: str, found: Clustering, clusters: list[int], look: Look) -> None:
    """Draws one page of cards; which one is in the address, and follows the cluster in focus."""
    focused = looking_at(found).focus
    pages = max(1, -(-len(clusters) // CARDS))
    page = _page_of(clusters, focused, pages)
    shown = clusters[(page - 1) * CARDS : page * CARDS]
    colors = [shown_color(workspace, found, cluster) for cluster in shown]
    sheets = ask_sheets(workspace, run, found, shown, colors, look)
    reserve(look.room, "tiles")
    if focused in shown:
        ring = "outline: 2px solid #4d79da; outline-offset: -1px;"
        st.html(f"<style>.st-key-card_{focused} {{ {ring} }}</style>")
    truths = loaders.cluster_truths(workspace, run, found)
    with st.grid(CARD_COLUMNS, min_column_width=280):
        for cluster, color in zip(shown, colors, strict=True):
            truth = truths[cluster] if truths else None
            _card(workspace, run, found, cluster, color, sheets[cluster], look.kind, truth)
    if pages > 1:
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.pagination(pages, key=Key.CLUSTER_PAGE, bind="query-params")


def _page_of(clusters: list[int], focused: int | None, pages: int) -> int:
    """The page to draw: the chosen one, until the focus moves to a card on another."""
    state = st.session_state
    if focused in clusters and state.get("page_focus") != focused:
        state[Key.CLUSTER_PAGE] = clusters.index(focused) // CARDS + 1
    state["page_focus"] = focused
    if state.get(Key.CLUSTER_PAGE, 1) > pages:
        state[Key.CLUSTER_PAGE] = pages
    return state.get(Key.CLUSTER_PAGE) or 1


def _card(
    workspace: Workspace,
    run: str,
    found: Clustering,
    cluster: int,
    color: str,
    sheet: Future[Sheet],
    kind: str,
    truth: ClusterTruth | None,
) -> None:
    with st.container(border=True, gap="xsmall", key=f"card_{cluster}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html(
                f'<a class="picie-jump-{cluster} picie-id" role="button" tabindex="0" '
                f'title="Put it into focus">{swatch(color)} <b>{cluster}</b></a>',
                width="content",
            )
            name_field(workspace, found, cluster, place="card")
            _draw_pick(found, cluster)
        name = cluster_names(workspace, found).get(cluster)
        called = f"cluster {cluster}, {name}" if name else f"cluster {cluster}"
        show_sheet(f"tiles_{cluster}", sheet.result(), f"{kind.capitalize()} crops of {called}")
        figures = loaders.cluster_figures(workspace, run, found)[cluster]
        area = f"<b>{percent(figures.share)}</b> of all pixels"
        small(f"{area} · {count(figures.images, 'image')} · tightness {figures.tightness:.2f}{_truth_words(truth)}")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            small(neighbor_words(workspace, found, cluster))
            _draw_tools(workspace, found, cluster)


def _draw_pick(found: Clustering, cluster: int) -> None:
    key = f"pick_{found.key}_{cluster}"
    st.session_state[key] = cluster in looking_at(found).picked
    with st.container(width="content"):
        st.checkbox(
            f"Pick cluster {cluster}",
            key=key,
            label_visibility="collapsed",
            on_change=pick,
            args=(found, cluster),
        )


def _draw_tools(workspace: Workspace, found: Clustering, cluster: int) -> None:
    with st.container(horizontal=True, width="content", gap="xsmall"):
        _tool(found, cluster, "more", ":material/more_horiz:", "More crops")
        _tool(found, cluster, "split", ":material/call_split:", "Split into parts")


def _tool(found: Clustering, cluster: int, dialog: str, icon: str, text: str) -> None:
    st.button(
        "",
        icon=icon,
        key=f"{dialog}_{cluster}",
        type="tertiary",
        help=f"{text} of cluster {cluster}" if dialog == "more" else f"Split cluster {cluster} into parts",
        on_click=open_dialog,
        args=(found, dialog, cluster),
    )


def open_dialog(found: Clustering, dialog: str, cluster: int) -> None:
    """Opens a dialog about a cluster, which comes into focus."""
    go_to(found, cluster)
    looking_at(found).dialog = (dialog, cluster)


def neighbor_words(workspace: Workspace, found: Clustering, cluster: int) -> str:
    """Returns the clusters that look most alike, as HTML to click on."""
    owners, names = workspace.label_map.classes_of(found.key), class_names(workspace)
    links = []
    for other in loaders.neighbors(found, NEIGHBORS)[cluster]:
        named = f": {html.escape(names[owners[other]])}" if owners.get(other) in names else ""
        links.append(
            f'<a class="picie-jump-{other} picie-id" role="button" tabindex="0" title="Go to cluster {other}{named}">'
            f"{swatch(shown_color(workspace, found, other))} {other}</a>"
        )
    return f"Like {' '.join(links)}" if links else "&nbsp;"


def _truth_words(truth: ClusterTruth | None) -> str:
    """What the ground truth says of a cluster; nothing without it."""
    if truth is None or truth.class_name is None or truth.purity is None:
        return ""
    return f"<br>truth <b>{html.escape(truth.class_name)}</b>, purity {percent(truth.purity)}"
