"""What can be done with a selection on the map: name or ignore its clusters, split it off as a new one."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from app.map.record import map_record
from app.session.record import session
from app.shared.formatting import count, percent
from app.shared.layout.notices import show_errors
from app.shared.naming import class_names
from picie_core.workspace.workspace import StoredClustering, Workspace

NAME_KEY, SPLIT_KEY = "map_name", "map_split_name"
SPLIT_HELP = (
    "Makes the selection a cluster of its own: each cluster with a large part in it is split in two, the selected part "
    "and the rest; one that lies wholly inside stays whole. No other cluster changes."
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
        popover = st.popover("Split off…", icon=":material/call_split:", help=SPLIT_HELP)
    with popover, st.form("map_split", border=False):
        st.selectbox(
            "Name of the new cluster",
            list(class_names(clustering.workspace).values()),
            index=None,
            key=SPLIT_KEY,
            accept_new_options=True,
            placeholder="Name…",
        )
        st.form_submit_button("Split off", type="primary", on_click=_ask_split, args=(clustering, selected))


def _ask_split(clustering: StoredClustering, selected: np.ndarray) -> None:
    map_record().edit = partial(_split_now, clustering, selected, st.session_state[SPLIT_KEY] or "")


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
    map_record().edit = partial(_give_now, workspace, clustering_key, clusters, name)


def _give_now(workspace: Workspace, clustering_key: str, clusters: list[int], name: str) -> None:
    workspace.label_map.name_clusters(clustering_key, clusters, name)
    session().notice = f"{count(len(clusters), 'cluster')}: {name}"


def do_edit() -> None:
    """Makes the edit that a click asked for: a callback of a fragment has no place for an error, here there is one."""
    state = map_record()
    edit, state.edit = state.edit, None
    if edit is not None:
        with show_errors():
            edit()
