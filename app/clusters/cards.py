"""The cards: one cluster each, with its crops, its figures, its neighbours and its name."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from app.clusters.contact_sheets import Look, ask_sheets, fill, reserve, sheet_place
from app.clusters.focus import go_to, looking_at, pick
from app.session import caches, cluster_caches
from app.session.state import Key, Looking
from app.shared.formatting import count, percent
from app.shared.layout import small, swatch
from app.shared.naming import class_names, cluster_names, name_field, shown_color
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from picie_core.clustering.clustering import Clustering
    from picie_core.workspace.ground_truth import ClusterTruth

CARDS = 12
CARD_COLUMNS = 3
NEIGHBORS = 3


def draw_cards(workspace: Workspace, run: str, found: Clustering, clusters: list[int], look: Look) -> None:
    """Draws one page of cards; it turns to the cluster in focus."""
    here = looking_at(found)
    focused, pages = here.focus, max(1, -(-len(clusters) // CARDS))
    page = _page_of(here, clusters, pages)
    shown = clusters[(page - 1) * CARDS : page * CARDS]
    colors = [shown_color(workspace, found, cluster) for cluster in shown]
    sheets = ask_sheets(workspace, run, found, shown, colors, look)
    reserve(look.room, "tiles")
    if focused in shown:
        ring = "outline: 2px solid #4d79da; outline-offset: -1px;"
        st.html(f"<style>.st-key-card_{focused} {{ {ring} }}</style>")
    truths, names = cluster_caches.cluster_truths(workspace, run, found), cluster_names(workspace, found)
    with st.grid(CARD_COLUMNS, min_column_width=280):
        places = [
            _card(workspace, run, found, cluster, color, truths[cluster] if truths else None)
            for cluster, color in zip(shown, colors, strict=True)
        ]
    if pages > 1:
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.pagination(pages, default=page, key=_page_key(here))
    for cluster, place in zip(shown, places, strict=True):  # at last, as they may still be drawn
        called = f"cluster {cluster}, {names[cluster]}" if cluster in names else f"cluster {cluster}"
        fill(place, sheets[cluster], f"{look.kind.capitalize()} crops of {called}")


def _page_of(here: Looking, clusters: list[int], pages: int) -> int:
    """The page to draw, from 1: the chosen one, until the focus moves to a card on another."""
    page = st.session_state.get(_page_key(here), 1)
    if here.focus != here.turned_to:
        here.turned_to = here.focus
        if here.focus in clusters and page != clusters.index(here.focus) // CARDS + 1:
            page = clusters.index(here.focus) // CARDS + 1
            here.turns += 1  # a widget of its own for every turn by a key, as its value is only for the person to set
    return min(page, pages)


def _page_key(here: Looking) -> str:
    return f"{Key.CLUSTER_PAGE}_{here.turns}"


def _card(
    workspace: Workspace,
    run: str,
    found: Clustering,
    cluster: int,
    color: str,
    truth: ClusterTruth | None,
) -> DeltaGenerator:
    """Draws all of a card but its crops, and returns the place for these."""
    with st.container(border=True, gap="xsmall", key=f"card_{cluster}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html(
                f'<a class="picie-jump-{cluster} picie-id" role="button" tabindex="0" '
                f'title="Put it into focus">{swatch(color)} <b>{cluster}</b></a>',
                width="content",
            )
            name_field(workspace, found, cluster, place="card")
            _draw_pick(found, cluster)
        place = sheet_place(f"tiles_{cluster}")
        figures = caches.cluster_figures(workspace, run, found)[cluster]
        area = f"<b>{percent(figures.share)}</b> of all pixels"
        words = f"{area} · {count(figures.images, 'image')} · tightness {figures.tightness:.2f}{_truth_words(truth)}"
        small(words)
        with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
            small(neighbor_words(workspace, found, cluster))
            _draw_tools(found, cluster)
    return place


def _draw_pick(found: Clustering, cluster: int) -> None:
    here = looking_at(found)
    key = f"pick_{found.key}_{cluster}" + (f"~{here.unpicked}" if here.unpicked else "")
    with st.container(width="content"):
        st.checkbox(
            f"Pick cluster {cluster}",
            value=cluster in here.picked,
            key=key,
            label_visibility="collapsed",
            on_change=pick,
            args=(found, cluster, key),
        )


def _draw_tools(found: Clustering, cluster: int) -> None:
    with st.container(horizontal=True, width="content", gap="xsmall", key=f"tools_{cluster}"):
        for dialog, label in (("more", "More…"), ("split", "Split…")):
            key = f"{dialog}_{cluster}"
            st.button(label, key=key, type="tertiary", on_click=open_dialog, args=(found, dialog, cluster))


def open_dialog(found: Clustering, dialog: str, cluster: int) -> None:
    """Opens a dialog about a cluster, which comes into focus."""
    go_to(found, cluster)
    looking_at(found).dialog = (dialog, cluster)


def neighbor_words(workspace: Workspace, found: Clustering, cluster: int) -> str:
    """Returns the clusters that look most alike, as HTML to click on."""
    owners, names = workspace.label_map.classes_of(found.key), class_names(workspace)
    links = []
    for other in cluster_caches.neighbors(found, NEIGHBORS)[cluster]:
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
