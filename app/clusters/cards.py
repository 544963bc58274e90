"""The cards: one cluster each, with its crops, its figures, its neighbours and its name."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from app.clusters import cluster_facts
from app.clusters.contact_sheets import Look, ask_sheets, fill, reserve, sheet_place
from app.clusters.focus import go_to, looking_at, pick
from app.clusters.ground_truth import cluster_truths
from app.clusters.record import ClustersRecord
from app.session.widget_keys import Key
from app.shared.formatting import count, percent
from app.shared.layout import small, swatch
from app.shared.naming import class_names, cluster_names, name_field, shown_color
from picie_core.workspace.workspace import StoredClustering

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from picie_core.evaluation.sampled_truth import ClusterTruth

CARDS = 12
CARD_COLUMNS = 3
NEIGHBORS = 3


def draw_cards(clustering: StoredClustering, clusters: list[int], look: Look) -> None:
    """Draws one page of cards; it turns to the cluster in focus."""
    here = looking_at(clustering)
    focused, pages = here.focus, max(1, -(-len(clusters) // CARDS))
    page = _page_of(here, clusters, pages)
    shown = clusters[(page - 1) * CARDS : page * CARDS]
    colors = [shown_color(clustering, cluster) for cluster in shown]
    sheets = ask_sheets(clustering, shown, colors, look)
    reserve(look.room, "tiles")
    if focused in shown:
        ring = "outline: 2px solid #4d79da; outline-offset: -1px;"
        st.html(f"<style>.st-key-card_{focused} {{ {ring} }}</style>")
    truths, names = cluster_truths(clustering), cluster_names(clustering)
    with st.grid(CARD_COLUMNS, min_column_width=280):
        places = [
            _card(clustering, cluster, color, truths[cluster] if truths else None)
            for cluster, color in zip(shown, colors, strict=True)
        ]
    if pages > 1:
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.pagination(pages, default=page, key=_page_key(here))
    for cluster, place in zip(shown, places, strict=True):  # at last, as they may still be drawn
        called = f"cluster {cluster}, {names[cluster]}" if cluster in names else f"cluster {cluster}"
        fill(place, sheets[cluster], f"{look.kind.capitalize()} crops of {called}")


def _page_of(here: ClustersRecord, clusters: list[int], pages: int) -> int:
    """The page to draw, from 1: the chosen one, until the focus moves to a card on another."""
    page = st.session_state.get(_page_key(here), 1)
    if here.focus != here.turned_to:
        here.turned_to = here.focus
        if here.focus in clusters and page != clusters.index(here.focus) // CARDS + 1:
            page = clusters.index(here.focus) // CARDS + 1
            here.turns += 1  # a widget of its own for every turn by a key, as its value is only for the person to set
    return min(page, pages)


def _page_key(here: ClustersRecord) -> str:
    return f"{Key.CLUSTER_PAGE}_{here.turns}"


def _card(
    clustering: StoredClustering,
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
            name_field(clustering, cluster, place="card")
            _draw_pick(clustering, cluster)
        place = sheet_place(f"tiles_{cluster}")
        figures = cluster_facts.cluster_metrics(clustering)[cluster]
        area = f"<b>{percent(figures.share)}</b> of all pixels"
        words = f"{area} · {count(figures.images, 'image')} · tightness {figures.tightness:.2f}{_truth_words(truth)}"
        small(words)
        with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
            small(neighbor_words(clustering, cluster))
            _draw_tools(clustering, cluster)
    return place


def _draw_pick(clustering: StoredClustering, cluster: int) -> None:
    here = looking_at(clustering)
    key = f"pick_{clustering.key}_{cluster}" + (f"~{here.unpicked}" if here.unpicked else "")
    with st.container(width="content"):
        st.checkbox(
            f"Pick cluster {cluster}",
            value=cluster in here.picked,
            key=key,
            label_visibility="collapsed",
            on_change=pick,
            args=(clustering, cluster, key),
        )


def _draw_tools(clustering: StoredClustering, cluster: int) -> None:
    with st.container(horizontal=True, width="content", gap="xsmall", key=f"tools_{cluster}"):
        for dialog, label in (("more", "More…"), ("split", "Split…")):
            key = f"{dialog}_{cluster}"
            st.button(label, key=key, type="tertiary", on_click=open_dialog, args=(clustering, dialog, cluster))


def open_dialog(clustering: StoredClustering, dialog: str, cluster: int) -> None:
    """Opens a dialog about a cluster, which comes into focus."""
    go_to(clustering, cluster)
    looking_at(clustering).dialog = (dialog, cluster)


def neighbor_words(clustering: StoredClustering, cluster: int) -> str:
    """Returns the clusters that look most alike, as HTML to click on."""
    owners, names = clustering.classes_of(), class_names(clustering.workspace)
    links = []
    for other in cluster_facts.neighbors(clustering, NEIGHBORS)[cluster]:
        named = f": {html.escape(names[owners[other]])}" if owners.get(other) in names else ""
        links.append(
            f'<a class="picie-jump-{other} picie-id" role="button" tabindex="0" title="Go to cluster {other}{named}">'
            f"{swatch(shown_color(clustering, other))} {other}</a>"
        )
    return f"Like {' '.join(links)}" if links else "&nbsp;"


def _truth_words(truth: ClusterTruth | None) -> str:
    """What the ground truth says of a cluster; nothing without it."""
    if truth is None or truth.class_name is None or truth.purity is None:
        return ""
    return f"<br>truth <b>{html.escape(truth.class_name)}</b>, purity {percent(truth.purity)}"
