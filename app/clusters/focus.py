"""Which cluster is in focus, which are picked, and what naming does to both."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app.session.state import Key, Looking, session
from app.shared.notices import show_errors
from picie_core.data.class_names import IGNORE_NAME
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering

SHOW_ALL = "all"
"""The filter that hides no card."""


def looking_at(found: Clustering) -> Looking:
    """Returns where this tab is among the clusters, from the start when they are others than before."""
    record = session()
    if record.looking.clustering != found.key:
        record.looking = Looking(clustering=found.key)
    here = record.looking
    here.picked = {cluster for cluster in here.picked if cluster < found.k}
    here.visited = [cluster for cluster in here.visited if cluster < found.k]
    if here.focus is not None and here.focus >= found.k:
        here.focus = None
    return here


def stamp(found: Clustering) -> str:
    """Returns what changes whenever the name that is typed next is for something else, or one has arrived."""
    record = session()
    here = record.looking
    at = (sorted(here.picked) or here.focus, here.step, here.side) if here.clustering == found.key else None
    return hashlib.sha256(repr((found.digest, at, record.names_given)).encode()).hexdigest()[:16]


def by_area(found: Clustering) -> list[int]:
    """Returns all clusters, the largest first; ids are in that order only before splits."""
    return np.argsort(-found.counts, kind="stable").tolist()


def next_unnamed(found: Clustering, named: dict[int, int], after: int | None) -> int | None:
    """Returns the next cluster without a name, by area: from `after` on, then from the largest; None when all have."""
    order = by_area(found)
    start = order.index(after) + 1 if after is not None else 0
    return next((cluster for cluster in order[start:] + order[:start] if cluster not in named), None)


def go_to(found: Clustering, cluster: int | None) -> None:
    """Puts a cluster into focus and remembers the one before."""
    here = looking_at(found)
    if cluster is None or cluster == here.focus:
        return
    if here.focus is not None:
        here.visited = [*here.visited[-99:], here.focus]
    here.focus = cluster


def jump_to(found: Clustering, cluster: int) -> None:
    """Puts a cluster into focus that was clicked on; a filter that hides its card is taken off."""
    if cluster < found.k:
        go_to(found, cluster)
        if cluster not in looking_at(found).listed:
            st.session_state[Key.CLUSTER_FILTER] = SHOW_ALL


def go_next(workspace: Workspace, found: Clustering) -> None:
    """Puts the next cluster without a name into focus."""
    go_to(found, next_unnamed(found, workspace.label_map.classes_of(found.key), looking_at(found).focus))


def go_back(found: Clustering) -> None:
    """Puts the cluster into focus that was it before; without one, the next larger one."""
    here = looking_at(found)
    if here.visited:
        here.focus = here.visited.pop()
    elif here.focus is not None:
        order = by_area(found)
        here.focus = order[max(0, order.index(here.focus) - 1)]


def pick(found: Clustering, cluster: int, key: str) -> None:
    """Adds a cluster to those that are named together, or takes it out, as the checkbox `key` says."""
    picked = looking_at(found).picked
    if st.session_state[key]:
        picked.add(cluster)
    else:
        picked.discard(cluster)


def pick_none(found: Clustering) -> None:
    """Lets all picked clusters go."""
    here = looking_at(found)
    here.picked, here.unpicked = set(), here.unpicked + 1


def meant(found: Clustering) -> list[int]:
    """Returns the clusters that a name is for: the picked ones, else the one in focus."""
    here = looking_at(found)
    return sorted(here.picked) or ([here.focus] if here.focus is not None else [])


def name(workspace: Workspace, found: Clustering, typed: str) -> None:
    """Names the clusters that are meant, and goes on to the next without a name."""
    words, clusters, record = " ".join(typed.split()), meant(found), session()
    record.names_given += 1
    with show_errors():
        if words and clusters:
            workspace.label_map.name_clusters(found.key, clusters, words)
            if words.casefold() != IGNORE_NAME:
                record.last_name = words
            pick_none(found)
        go_next(workspace, found)


def name_as_last(workspace: Workspace, found: Clustering) -> None:
    """Gives the clusters that are meant the name that was given last."""
    name(workspace, found, session().last_name)


def ignore(workspace: Workspace, found: Clustering) -> None:
    """Leaves the clusters that are meant out of the masks."""
    name(workspace, found, IGNORE_NAME)


def name_group(workspace: Workspace, found: Clustering, clusters: list[int], typed: str | None) -> None:
    """Names some clusters together; nothing typed does nothing."""
    words = " ".join((typed or "").split())
    if words:
        with show_errors():
            workspace.label_map.name_clusters(found.key, clusters, words)
            session().last_name = words
