"""The cards: one cluster each, with its crops, metrics, neighbours and name; and in which order they come."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from app.clusters import cluster_facts
from app.clusters.contact_sheets import SheetStyle, ask_sheets, fill, reserve, sheet_place
from app.clusters.focus import SHOW_ALL, go_to, pick
from app.clusters.record import ClustersRecord, record_of
from app.clusters.views.ground_truth import cluster_truths
from app.session.widget_keys import Key
from app.shared.formatting import count, percent
from app.shared.layout.elements import small, swatch
from app.shared.naming import class_names, cluster_names, cluster_title, name_field, shown_color
from picie_core.data.class_names import IGNORE_ID
from picie_core.workspace.workspace import StoredClustering, Workspace

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from picie_core.evaluation.sampled_truth import ClusterTruth

CARDS = 12
"""On one page."""
CARD_COLUMNS = 3
NEIGHBORS = 3
ORDERS = {
    "area": "Largest first",
    "uncertainty": "Next to review",
    "tightness": "Loosest first",
    "tree": "Look-alikes together",
}
ORDER_HELP = (
    "Next to review: the largest without a name, then named ones by pixels × uncertainty. Loosest: the ones that may "
    "need a split. Look-alikes together: in the order of the tree."
)
UNNAMED, NAMED = "not named", "named"


# -- which cards, and in which order


def filter_names(workspace: Workspace) -> dict[str, str]:
    """Returns the filters and what they are called: all, not named, named, and one for each class."""
    classes = {str(number): name for number, name in class_names(workspace).items() if number != IGNORE_ID}
    return {SHOW_ALL: "All", UNNAMED: "Not named", NAMED: "Named", **classes, str(IGNORE_ID): "Ignored"}


def cards_listed(clustering: StoredClustering, order: str, shown: str) -> list[int]:
    """Returns the cards to draw; naming moves none of them, until another order, filter or clustering is chosen."""
    here, made_for = record_of(clustering), (clustering.digest, order, shown)
    if here.listed_for != made_for:
        named = clustering.classes_of()
        here.listed = [one for one in _ordered(clustering, order, named) if _is_shown(one, named, shown)]
        here.listed_for = made_for
    return here.listed


def hidden_when_listed_anew(clustering: StoredClustering, shown: str) -> int:
    """Returns how many of the cards the filter would not show any more if the list were made anew."""
    named = clustering.classes_of()
    return sum(not _is_shown(cluster, named, shown) for cluster in record_of(clustering).listed)


def list_anew(clustering: StoredClustering) -> None:
    """Forgets the order of the cards, so that it is made from the names as they are now."""
    record_of(clustering).listed_for = ()


def _is_shown(cluster: int, named: dict[int, int], shown: str) -> bool:
    if shown in (SHOW_ALL, UNNAMED, NAMED):
        return shown == SHOW_ALL or (cluster in named) == (shown == NAMED)
    return str(named.get(cluster)) == shown


def _ordered(clustering: StoredClustering, order: str, named: dict[int, int]) -> list[int]:
    area = cluster_facts.by_area(clustering)
    if order == "uncertainty":
        from picie_core.clustering.uncertainty import next_clusters

        first = next_clusters(clustering, cluster_facts.uncertainty(clustering), named)
        return [*first, *(cluster for cluster in area if cluster not in set(first))]
    if order == "tightness":
        metrics = cluster_facts.cluster_metrics(clustering)
        return sorted(area, key=lambda cluster: (clustering.counts[cluster] == 0, metrics[cluster].tightness))
    return cluster_facts.tree(clustering, "average").order.tolist() if order == "tree" else area


# -- the cards of one page


def draw_cards(clustering: StoredClustering, clusters: list[int], style: SheetStyle) -> None:
    """Draws one page of cards; it turns to the cluster in focus."""
    here = record_of(clustering)
    pages = max(1, -(-len(clusters) // CARDS))
    page = _page_of(here, clusters, pages)
    shown = clusters[(page - 1) * CARDS : page * CARDS]
    colors = [shown_color(clustering, cluster) for cluster in shown]
    sheets = ask_sheets(clustering, shown, colors, style)
    reserve(style.size, "card")
    if here.focus in shown:
        ring = "outline: 2px solid #4d79da; outline-offset: -1px;"
        st.html(f"<style>.st-key-card_{here.focus} {{ {ring} }}</style>")
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
        fill(place, sheets[cluster], f"{style.kind.capitalize()} crops of {called}")


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


def _card(clustering: StoredClustering, cluster: int, color: str, truth: ClusterTruth | None) -> DeltaGenerator:
    """Draws all of a card but its crops, and returns the place for these."""
    here = record_of(clustering)
    with st.container(border=True, gap="xsmall", key=f"card_{cluster}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            label = f"{swatch(color)} <b>{cluster}</b>"
            st.html(_link(cluster, label, "Put it into focus"), width="content")
            name_field(clustering, cluster, place="card")
            key = f"pick_{clustering.key}_{cluster}" + (f"~{here.cleared}" if here.cleared else "")
            with st.container(width="content"):
                st.checkbox(
                    f"Pick cluster {cluster}",
                    value=cluster in here.picked,
                    key=key,
                    label_visibility="collapsed",
                    on_change=pick,
                    args=(clustering, cluster, key),
                )
        place = sheet_place(f"card_{cluster}")
        metrics = cluster_facts.cluster_metrics(clustering)[cluster]
        words = f"<b>{percent(metrics.share)}</b> of all pixels · {count(metrics.images, 'image')}"
        small(f"{words} · tightness {metrics.tightness:.2f}{_truth_words(truth)}")
        with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
            small(_neighbor_words(clustering, cluster))
            with st.container(horizontal=True, width="content", gap="xsmall", key=f"tools_{cluster}"):
                for dialog, label in (("more", "More…"), ("split", "Split…")):
                    key = f"{dialog}_{cluster}"
                    st.button(label, key=key, type="tertiary", on_click=_open, args=(clustering, dialog, cluster))
    return place


def _link(cluster: int, label: str, title: str) -> str:
    """What the naming field recognises as the way to a cluster, as HTML."""
    return f'<a class="picie-jump-{cluster} picie-id" role="button" tabindex="0" title="{title}">{label}</a>'


def _open(clustering: StoredClustering, dialog: str, cluster: int) -> None:
    """Opens a dialog about a cluster, which comes into focus."""
    go_to(clustering, cluster)
    record_of(clustering).dialog = (dialog, cluster)


def _neighbor_words(clustering: StoredClustering, cluster: int) -> str:
    """The clusters that look most like this one, as HTML to click on."""
    names = cluster_names(clustering)
    links = [
        _link(
            other,
            f"{swatch(shown_color(clustering, other))} {other}",
            html.escape(f"Go to {cluster_title(other, names)}"),
        )
        for other in cluster_facts.neighbors(clustering, NEIGHBORS)[cluster]
    ]
    return f"Like {' '.join(links)}" if links else "&nbsp;"


def _truth_words(truth: ClusterTruth | None) -> str:
    """What the ground truth says of a cluster; nothing without it."""
    if truth is None or truth.class_name is None or truth.purity is None:
        return ""
    return f"<br>truth <b>{html.escape(truth.class_name)}</b>, purity {percent(truth.purity)}"
