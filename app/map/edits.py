"""What can be done with a selection on the map: name or ignore its clusters, split it off as a new one."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from app.session.state import session
from app.shared.formatting import count, percent
from app.shared.naming import class_names
from app.shared.notices import show_errors
from picie_core.workspace.workspace import StoredClustering, Workspace

NAME_KEY, SPLIT_KEY = "map_name", "map_split_name"
SPLIT_HELP = (
    "Makes what is selected a cluster of its own: each cluster that has a large part in it is split in two, what is "
    "selected and the rest; one that is wholly inside goes over as it is. No other cluster changes."
)


def draw_map_edits(clustering: StoredClustering, checked: list[int], selected: np.ndarray) -> None:
    """Draws what can be done with the checked clusters, and with the selection itself."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.selectbox(
            "Name of the checked clusters",
            list(class_names(clustering.workspace).values()),
            index=None,
            key=NAME_KEY,
            accept_new_options=True,
            placeholder=f"Name {count(len(checked), 'cluster')}…" if checked else "Check a cluster to name it",
            disabled=not checked,
            label_visibility="collapsed",
            on_change=_name,
            args=(clustering.workspace, clustering.key, checked),
        )
        st.button(
            "Ignore",
            key="map_ignore",
            disabled=not checked,
            on_click=_give,
            args=(clustering.workspace, clustering.key, checked, "ignore"),
            help="Leaves the checked clusters out of every mask",
        )
        _split_off(clustering, selected)


def _split_off(clustering: StoredClustering, selected: np.ndarray) -> None:
    """Draws the button that makes the selected pixels a cluster of their own, with the name it gets."""
    with st.popover("Split off…", icon=":material/call_split:", help=SPLIT_HELP), st.form("map_split", border=False):
        st.selectbox(
            "Name of the new cluster",
            list(class_names(clustering.workspace).values()),
            index=None,
            key=SPLIT_KEY,
            accept_new_options=True,
            placeholder="Name…",
        )
        st.form_submit_button("Split off", type="primary", on_click=_do_split, args=(clustering, selected))


def _do_split(clustering: StoredClustering, selected: np.ndarray) -> None:
    session().map.wish = partial(_split_now, clustering, selected, st.session_state[SPLIT_KEY] or "")


def _split_now(clustering: StoredClustering, selected: np.ndarray, name: str) -> None:
    from picie_core.workspace.cluster_edits import split_off

    made = split_off(clustering, selected, name)
    taken = f", {len(made.whole)} taken whole" if made.whole else ""
    session().notice = (
        f"{count(len(made.parts), 'cluster')} split{taken}. The new ones hold {percent(made.caught)} of the selection, "
        f"which is {percent(made.pure)} of them. It can be undone in {count(made.edits, 'step')}."
    )


def _name(workspace: Workspace, clustering_key: str, clusters: list[int]) -> None:
    typed = " ".join((st.session_state[NAME_KEY] or "").split())
    st.session_state[NAME_KEY] = None
    if typed:
        _give(workspace, clustering_key, clusters, typed)


def _give(workspace: Workspace, clustering_key: str, clusters: list[int], name: str) -> None:
    session().map.wish = partial(_give_now, workspace, clustering_key, clusters, name)


def _give_now(workspace: Workspace, clustering_key: str, clusters: list[int], name: str) -> None:
    workspace.label_map.name_clusters(clustering_key, clusters, name)
    session().notice = f"{count(len(clusters), 'cluster')}: {name}"


def do_wish() -> None:
    """Does what a click asked for. A callback of a fragment has no place to say what went wrong; here there is one."""
    state = session().map
    wish, state.wish = state.wish, None
    if wish is not None:
        with show_errors():
            wish()
