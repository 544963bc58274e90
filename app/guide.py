"""The guided way: where a person is in the order in which naming goes fastest, and what they do there.

The order is that of the clusters before any split, so it stands while a person names and splits; where they are is
kept in the workspace, so that they go on there another day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app import clusterfacts, loaders
from app.focus import looking_at
from app.notices import told
from app.state import session
from picie_core.classes import IGNORE_NAME
from picie_core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from picie_core.clusters import Clustering
    from picie_core.namingorder import Look


def looks_of(workspace: Workspace, run: str) -> list[Look]:
    """Returns what to look at, in order."""
    base = loaders.unsplit_clustering(workspace, run)
    return _looks(base.digest, workspace, run, base)


@st.cache_resource(max_entries=8, show_spinner="Looking for the best order")
def _looks(digest: str, _workspace: Workspace, _run: str, _base: Clustering) -> list[Look]:
    from picie_core.namingorder import naming_order

    tree = clusterfacts.tree(_workspace, _run, _base, "ward")
    return naming_order(tree, clusterfacts.doubt(_workspace, _run, _base))


def step_of(workspace: Workspace, found: Clustering, looks: list[Look]) -> int:
    """Returns where this tab is, 0 to len(looks): where it was left, or at the first group without a name."""
    here = looking_at(found)
    if here.step is None:
        stored = workspace.label_map.get_choice(_choice(found))
        here.step = int(stored) if stored and stored.isdecimal() else _open_from(workspace, found, looks, 0)
    here.step = min(here.step, len(looks))
    return here.step


def go_on(workspace: Workspace, found: Clustering, looks: list[Look]) -> None:
    """Goes to the next thing to look at, past groups that have names already."""
    _go(workspace, found, _open_from(workspace, found, looks, step_of(workspace, found, looks) + 1))


def go_back(workspace: Workspace, found: Clustering, looks: list[Look]) -> None:
    """Goes to the thing before."""
    _go(workspace, found, max(0, step_of(workspace, found, looks) - 1))


def start_anew(workspace: Workspace, found: Clustering) -> None:
    """Goes to the first thing to look at; names stay."""
    _go(workspace, found, 0)


def name(workspace: Workspace, run: str, found: Clustering, looks: list[Look], typed: str) -> None:
    """Gives the name to what is looked at: the group, the side, or what the picked crops show; an empty one goes on."""
    words, step, here, record = " ".join(typed.split()), step_of(workspace, found, looks), looking_at(found), session()
    record.names_given += 1
    if not words or step == len(looks):
        go_on(workspace, found, looks)
        return
    look = looks[step]
    with told():
        if look.kind == "inside" and here.crops:
            _sort_out(workspace, run, found, look.parts[0][0], words)
        else:
            clusters = look.parts[here.side if look.kind == "branches" else 0]
            workspace.label_map.name_clusters(found.key, clusters, words)
            go_on(workspace, found, looks)
        if words.casefold() != IGNORE_NAME:
            record.last_name = words


def _sort_out(workspace: Workspace, run: str, found: Clustering, cluster: int, words: str) -> None:
    from picie_core.sorting import sort_out

    here, source = looking_at(found), loaders.mosaic_source_of(workspace, run)
    crops = crops_of(workspace, run, found, cluster)
    sort_out(workspace, source.sample, found, cluster, crops, sorted(here.crops), words)
    here.crops = set()


def crops_of(workspace: Workspace, run: str, found: Clustering, cluster: int) -> np.ndarray:
    """Returns the crops of a cluster that are looked over, as rows of the sample."""
    from picie_core.sorting import crops_to_sort

    source = loaders.mosaic_source_of(workspace, run)
    return crops_to_sort(source.sample, found, cluster, source.dense.index)


def choose_side(found: Clustering, side: int) -> None:
    """Makes the left (0) or right (1) side the one that a name is for."""
    looking_at(found).side = side


def pick_crop(found: Clustering, number: int) -> None:
    """Picks a crop, or lets it go."""
    looking_at(found).crops ^= {number}


def _go(workspace: Workspace, found: Clustering, step: int) -> None:
    here = looking_at(found)
    here.step, here.side, here.crops = step, 1, set()
    with told():
        workspace.label_map.set_choice(_choice(found), str(step))


def _choice(found: Clustering) -> str:
    return f"guide {found.key}"


def _open_from(workspace: Workspace, found: Clustering, looks: list[Look], start: int) -> int:
    """The first step from `start` on that is not a group all of whose clusters have names."""
    named = workspace.label_map.classes_of(found.key)
    for step in range(start, len(looks)):
        if looks[step].kind != "group" or not all(cluster in named for cluster in looks[step].parts[0]):
            return step
    return len(looks)
