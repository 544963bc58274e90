"""Which cluster is in focus, which are picked, and what naming does to both."""

from __future__ import annotations

import streamlit as st

from app.clusters.cluster_facts import by_area, next_unnamed
from app.clusters.record import record_of
from app.session.record import session
from app.session.widget_keys import Key
from app.shared.layout.notices import show_errors
from app.shared.naming import remember_name
from picie_core.workspace.workspace import StoredClustering

SHOW_ALL = "all"
"""The filter that hides no card."""


def go_to(clustering: StoredClustering, cluster: int | None) -> None:
    """Puts a cluster into focus and remembers the one before."""
    here = record_of(clustering)
    if cluster is None or cluster == here.focus:
        return
    if here.focus is not None:
        here.visited = [*here.visited[-99:], here.focus]
    here.focus = cluster


def jump_to(clustering: StoredClustering, cluster: int) -> None:
    """Puts a cluster into focus that was clicked on; a filter that hides its card is removed."""
    if cluster < clustering.k:
        go_to(clustering, cluster)
        if cluster not in record_of(clustering).listed:
            st.session_state[Key.CLUSTER_FILTER] = SHOW_ALL


def go_next(clustering: StoredClustering) -> None:
    """Puts the next cluster without a name into focus."""
    go_to(clustering, next_unnamed(clustering, clustering.classes_of(), record_of(clustering).focus))


def go_back(clustering: StoredClustering) -> None:
    """Puts the cluster into focus that was it before; without one, the next larger one."""
    here = record_of(clustering)
    if here.visited:
        here.focus = here.visited.pop()
    elif here.focus is not None:
        order = by_area(clustering)
        here.focus = order[max(0, order.index(here.focus) - 1)]


def pick(clustering: StoredClustering, cluster: int, key: str) -> None:
    """Adds a cluster to those that are named together, or removes it, as the checkbox `key` says."""
    picked = record_of(clustering).picked
    if st.session_state[key]:
        picked.add(cluster)
    else:
        picked.discard(cluster)


def clear_picked(clustering: StoredClustering) -> None:
    """Picks no cluster any more."""
    here = record_of(clustering)
    here.picked, here.cleared = set(), here.cleared + 1


def to_name(clustering: StoredClustering) -> list[int]:
    """Returns the clusters that a name is for: the picked ones, else the one in focus."""
    here = record_of(clustering)
    return sorted(here.picked) or ([here.focus] if here.focus is not None else [])


def name(clustering: StoredClustering, typed: str) -> None:
    """Names the clusters that are picked or in focus, and goes on to the next without a name."""
    session().names_given += 1
    with show_errors():
        if name_together(clustering, to_name(clustering), typed):
            clear_picked(clustering)
        go_next(clustering)


def name_together(clustering: StoredClustering, clusters: list[int], typed: str) -> bool:
    """Names some clusters in one edit; returns whether there was anything to do. Raises PicieError as the label map."""
    words = " ".join(typed.split())
    if not words or not clusters:
        return False
    clustering.label_map.name_clusters(clustering.key, clusters, words)
    remember_name(words)
    return True
