"""Clusters: pick K, look at crops of each cluster, and name them, by keys or on their cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.clusters.cards import (
    ORDER_HELP,
    ORDERS,
    cards_listed,
    draw_cards,
    filter_names,
    hidden_when_listed_anew,
    list_anew,
)
from app.clusters.contact_sheets import CARD_SIZES, SheetStyle
from app.clusters.dialogs import draw_dialog
from app.clusters.focus import SHOW_ALL
from app.clusters.naming_bar import draw_naming_bar
from app.clusters.record import record_of
from app.clusters.review.review_view import draw_review
from app.clusters.views.classes import draw_classes
from app.clusters.views.ground_truth import draw_truth, truth_words
from app.clusters.views.hierarchy import draw_similar_groups, draw_tree
from app.clusters.views.k_selection import draw_k_curve
from app.session.clustering import QUICK_K, find_ahead
from app.session.current import reading
from app.session.record import session
from app.session.widget_keys import Key
from app.shared.edit_history import split_notice
from app.shared.formatting import count
from app.shared.layout.elements import headline, small, small_fit
from app.shared.layout.empty_screens import need_clustering, need_run, need_workspace
from app.shared.layout.notices import show_errors
from app.shared.layout.sidebar import LARGEST_K, want_k
from app.shared.synced_fields import shown_key
from picie_core.workspace.workspace import StoredClustering, Workspace

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator


TITLE = "Clusters"
TRUTH = "truth"
VIEWS = {
    "cards": "Cards",
    "review": "Review queue",
    "similar": "Look alike",
    "tree": "Tree",
    "classes": "Classes",
    "k": "Choosing K",
}
KINDS = {"typical": "Typical", "border": "Border", "random": "Random", "one per image": "One per image"}
KIND_HELP = (
    "Typical: closest to the middle of the cluster. Border: almost in another cluster. Random: drawn evenly. "
    "One per image: the most typical of each image."
)


def choose_k(clustering: StoredClustering) -> None:
    """Draws the ways to change K: one click on a usual number, or any number."""
    usual = clustering.base_k if clustering.base_k in QUICK_K else None
    quick = shown_key(Key.K_QUICK, usual)
    with st.container(key="one_k_quick", width="content"):  # shows the newest field only, see style.py
        st.pills(
            "Clusters K",
            QUICK_K,
            default=usual,
            key=quick,
            on_change=want_k,
            args=(quick,),
            label_visibility="collapsed",
        )
    number = shown_key(Key.K_NUMBER, clustering.base_k)
    with st.container(key="one_k_number", width="content"):
        st.number_input(
            "Any K",
            2,
            LARGEST_K,
            clustering.base_k,
            step=1,
            key=number,
            on_change=want_k,
            args=(number,),
            width=104,
            label_visibility="collapsed",
        )


def choose_style() -> SheetStyle:
    """Draws which crops the cards show, and how, and returns it."""
    kind = st.segmented_control(
        "Crops",
        list(KINDS),
        default="typical",
        required=True,
        format_func=KINDS.__getitem__,
        key=Key.SHEET_KIND,
        help=KIND_HELP,
        bind="query-params",
    )
    size = st.segmented_control(
        "Size", list(CARD_SIZES), default="M", required=True, key=Key.SHEET_SIZE, bind="query-params"
    )
    with st.container(width="content", gap="xsmall"):
        outline = st.checkbox("Outline", value=True, key=Key.SHEET_OUTLINE, persist_state="session")
        context = st.checkbox(
            "Context", key=Key.SHEET_CONTEXT, persist_state="session", help="Shows more of the image around each crop."
        )
    return SheetStyle(kind or "typical", CARD_SIZES[size or "M"], outline, context)


def choose_cards(clustering: StoredClustering) -> list[int]:
    """Draws order and filter of the cards, and returns the clusters to draw."""
    order = st.selectbox(
        "Order", list(ORDERS), format_func=ORDERS.__getitem__, key=Key.CLUSTER_ORDER, help=ORDER_HELP, width=190
    )
    names = filter_names(clustering.workspace)
    if st.session_state.get(Key.CLUSTER_FILTER) not in names:
        st.session_state[Key.CLUSTER_FILTER] = SHOW_ALL
    shown = st.selectbox("Show", list(names), format_func=names.__getitem__, key=Key.CLUSTER_FILTER, width=160)
    clusters = cards_listed(clustering, order, shown)
    hidden = hidden_when_listed_anew(clustering, shown)
    if hidden:
        tip = "Lists the cards again: those that the filter does not show any more go."
        st.button(f"Hide {hidden}", key="list_anew", on_click=list_anew, args=(clustering,), help=tip)
    return clusters


def draw_card_view(clustering: StoredClustering) -> None:
    """Draws the naming bar, the controls of the cards and one page of them."""
    draw_naming_bar(clustering)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        style = choose_style()
        clusters = choose_cards(clustering)
    if clusters:
        draw_cards(clustering, clusters, style)
    else:
        st.caption("No cluster is shown by this filter.")
    draw_dialog(clustering, style)


def choose_view(workspace: Workspace) -> str:
    """Draws the choice of the view and returns it; ground truth is among them only where there is some."""
    from picie_core.workspace.ground_truth import has_truth

    views = VIEWS | ({TRUTH: "Ground truth"} if has_truth(workspace) else {})
    if st.session_state.get(Key.CLUSTER_VIEW, "cards") not in views:
        st.session_state[Key.CLUSTER_VIEW] = "cards"
    view = st.segmented_control(
        "View",
        list(views),
        format_func=views.__getitem__,
        default="cards",
        required=True,
        key=Key.CLUSTER_VIEW,
        label_visibility="collapsed",
        bind="query-params",
    )
    return view or "cards"


@st.fragment
def draw_work(clustering: StoredClustering) -> None:
    """Draws what naming changes, and nothing else: so a name is on its card at once."""
    if session().wanted_k is not None:
        st.rerun()  # all screens speak of the same clusters, so the whole page is drawn for another K
    version = clustering.label_map.version()
    with show_errors(), reading(clustering.workspace):
        draw_progress(clustering)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
                small_fit("<b>K</b>")
                choose_k(clustering)
            view = choose_view(clustering.workspace)
        with view_place(view):
            if view == "cards":
                draw_card_view(clustering)
            elif view == "review":
                draw_review(clustering)
            elif view == "similar":
                draw_similar_groups(clustering)
            elif view == "tree":
                draw_tree(clustering)
            elif view == "classes":
                draw_classes(clustering)
            elif view == "k":
                draw_k_curve(clustering)
            else:
                draw_truth(clustering)
    session().drawn_version = version


def view_place(view: str) -> DeltaGenerator:
    """Returns the place of a view. Each has one of its own, and the others are emptied before anything is computed.

    Its own place is not emptied even for a moment: what is typed there, and the focus, would be gone.
    """
    with st.container(gap=None):
        places = {name: st.container(key=f"view_{name}") if name == view else st.empty() for name in (*VIEWS, TRUTH)}
    return places[view]


def draw_progress(clustering: StoredClustering) -> None:
    """Draws how much is named, what the next names would cover and, with ground truth, how good the names are."""
    from picie_core.clustering.uncertainty import coverage_sentence

    named = clustering.classes_of()
    truth = truth_words(clustering)
    with st.container(key="named"):
        small(f"{coverage_sentence(clustering, named)} {truth}")


workspace = need_workspace(TITLE)
run = need_run(workspace, TITLE)
clustering = need_clustering(run, TITLE)
parts = clustering.k - clustering.base_k
headline(
    TITLE,
    f"<b>{clustering.k} clusters</b> of {count(len(clustering.labels), 'sampled pixel')}"
    + (f", {parts} of them by splits" if parts else ""),
    ("Look at the masks", "masks"),
    primary=clustering.named_share() > 0.5,
)
if session().arrived:
    record_of(clustering).dialog = ()  # what was open there before is not any more
with show_errors():
    with st.container():  # always there, so that what is below keeps its place
        split_notice(workspace, clustering)
    draw_work(clustering)
    find_ahead(run)
