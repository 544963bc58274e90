"""Which cluster is in focus, which are picked, and what naming does to both."""

from __future__ import annotations

import hashlib

import numpy as np
import streamlit as st

from app.clusters.record import ClustersRecord
from app.session.record import session
from app.session.widget_keys import Key
from app.shared.notices import show_errors
from picie_core.data.class_names import IGNORE_NAME, name_key
from picie_core.workspace.workspace import StoredClustering

SHOW_ALL = "all"
"""The filter that hides no card."""


def looking_at(clustering: StoredClustering) -> ClustersRecord:
    """Returns where this tab is among the clusters, from the start when they are others than before."""
    record = session()
    if record.of(ClustersRecord).clustering != clustering.key:
        record.parts[ClustersRecord] = ClustersRecord(clustering=clustering.key)
    here = record.of(ClustersRecord)
    here.picked = {cluster for cluster in here.picked if cluster < clustering.k}
    here.visited = [cluster for cluster in here.visited if cluster < clustering.k]
    if here.focus is not None and here.focus >= clustering.k:
        here.focus = None
    return here


def stamp(clustering: StoredClustering) -> str:
    """Returns what changes whenever the name that is typed next is for something else, or one has arrived."""
    record = session()
    here = record.of(ClustersRecord)
    at = (sorted(here.picked) or here.focus, here.step, here.side) if here.clustering == clustering.key else None
    return hashlib.sha256(repr((clustering.digest, at, record.names_given)).encode()).hexdigest()[:16]


def by_area(clustering: StoredClustering) -> list[int]:
    """Returns all clusters, the largest first; ids are in that order only before splits."""
    return np.argsort(-clustering.counts, kind="stable").tolist()


def next_unnamed(clustering: StoredClustering, named: dict[int, int], after: int | None) -> int | None:
    """Returns the next cluster without a name, by area: from `after` on, then from the largest; None when all have."""
    order = by_area(clustering)
    start = order.index(after) + 1 if after is not None else 0
    return next((cluster for cluster in order[start:] + order[:start] if cluster not in named), None)


def go_to(clustering: StoredClustering, cluster: int | None) -> None:
    """Puts a cluster into focus and remembers the one before."""
    here = looking_at(clustering)
    if cluster is None or cluster == here.focus:
        return
    if here.focus is not None:
        here.visited = [*here.visited[-99:], here.focus]
    here.focus = cluster


def jump_to(clustering: StoredClustering, cluster: int) -> None:
    """Puts a cluster into focus that was clicked on; a filter that hides its card is taken off."""
    if cluster < clustering.k:
        go_to(clustering, cluster)
        if cluster not in looking_at(clustering).listed:
            st.session_state[Key.CLUSTER_FILTER] = SHOW_ALL


def go_next(clustering: StoredClustering) -> None:
    """Puts the next cluster without a name into focus."""
    go_to(
        clustering,
        next_unnamed(clustering, clustering.classes_of(), looking_at(clustering).focus),
    )


def go_back(clustering: StoredClustering) -> None:
    """Puts the cluster into focus that was it before; without one, the next larger one."""
    here = looking_at(clustering)
    if here.visited:
        here.focus = here.visited.pop()
    elif here.focus is not None:
        order = by_area(clustering)
        here.focus = order[max(0, order.index(here.focus) - 1)]


def pick(clustering: StoredClustering, cluster: int, key: str) -> None:
    """Adds a cluster to those that are named together, or takes it out, as the checkbox `key` says."""
    picked = looking_at(clustering).picked
    if st.session_state[key]:
        picked.add(cluster)
    else:
        picked.discard(cluster)


def pick_none(clustering: StoredClustering) -> None:
    """Lets all picked clusters go."""
    here = looking_at(clustering)
    here.picked, here.unpicked = set(), here.unpicked + 1


def meant(clustering: StoredClustering) -> list[int]:
    """Returns the clusters that a name is for: the picked ones, else the one in focus."""
    here = looking_at(clustering)
    return sorted(here.picked) or ([here.focus] if here.focus is not None else [])


def name(clustering: StoredClustering, typed: str) -> None:
    """Names the clusters that are meant, and goes on to the next without a name."""
    words, clusters, record = " ".join(typed.split()), meant(clustering), session()
    record.names_given += 1
    with show_errors():
        if words and clusters:
            clustering.label_map.name_clusters(clustering.key, clusters, words)
            if name_key(words) != IGNORE_NAME:
                record.last_name = words
            pick_none(clustering)
        go_next(clustering)


def name_as_last(clustering: StoredClustering) -> None:
    """Gives the clusters that are meant the name that was given last."""
    name(clustering, session().last_name)


def ignore(clustering: StoredClustering) -> None:
    """Leaves the clusters that are meant out of the masks."""
    name(clustering, IGNORE_NAME)


def name_group(clustering: StoredClustering, clusters: list[int], typed: str | None) -> None:
    """Names some clusters together; nothing typed does nothing."""
    words = " ".join((typed or "").split())
    if words:
        with show_errors():
            clustering.label_map.name_clusters(clustering.key, clusters, words)
            session().last_name = words
