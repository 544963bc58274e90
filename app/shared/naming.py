"""The field that names a cluster: what is typed is in the label map of the workspace at once."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.session.cache import cached
from app.session.record import session
from app.shared.layout.notices import show_errors
from app.shared.pictures.colors import class_colors, cluster_color
from app.shared.synced_fields import shown_key, typed
from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME, name_key
from picie_core.errors import SettingError
from picie_core.workspace.workspace import StoredClustering, Workspace

NO_NAME = "✕ remove the name"
"""What a field offers in place of a cross: a field that can be emptied reports itself empty while it is drawn."""


def class_names(workspace: Workspace) -> dict[int, str]:
    """Returns the name of each class by id, `ignore` last."""
    names = {item.id: item.name for item in workspace.label_map.classes() if item.id != IGNORE_ID}
    return names | {IGNORE_ID: IGNORE_NAME}


def class_of_name(workspace: Workspace, name: str) -> int | None:
    """Returns the id of the class with this name in whatever spelling, None where it would be a new one."""
    known = {name_key(known): class_id for class_id, known in class_names(workspace).items()}
    return known.get(name_key(name))


def cluster_names(clustering: StoredClustering) -> dict[int, str]:
    """Returns the name of each named cluster; the others are absent."""
    names = class_names(clustering.workspace)
    return {cluster: names[owner] for cluster, owner in clustering.classes_of().items() if owner in names}


def names_offered(workspace: Workspace) -> list[str]:
    """Returns the names to offer while typing: the classes in use, then the vocabulary, then `ignore`."""
    used = [name for name in class_names(workspace).values() if name != IGNORE_NAME]
    known = {name_key(name) for name in used}
    return [*used, *(name for name in vocabulary(workspace) if name_key(name) not in known), IGNORE_NAME]


def vocabulary(workspace: Workspace) -> list[str]:
    """Returns the names that the workspace offers, read again when the file changes."""
    path = workspace.vocabulary_path
    return _vocabulary(path, path.stat().st_mtime_ns) if path.exists() else []


@cached(4)
def _vocabulary(path: Path, stamp: int) -> list[str]:
    from picie_core.labels.vocabulary import names_in

    try:
        return names_in(path.read_bytes(), str(path))
    except SettingError:
        return []  # the Classes view says what is wrong with it


def cluster_title(cluster: int, names: dict[int, str]) -> str:
    """Returns `12 road`, or `cluster 12` before it has a name."""
    return f"{cluster} {names[cluster]}" if cluster in names else f"cluster {cluster}"


def shown_color(clustering: StoredClustering, cluster: int) -> str:
    """Returns the colour of the cluster's class, or its own before it has a name."""
    owner = clustering.classes_of().get(cluster)
    return cluster_color(cluster) if owner is None else class_colors(clustering.workspace)[owner]


def name_field(clustering: StoredClustering, cluster: int, place: str) -> None:
    """Draws the field; typing a new name makes a class, choosing one joins it, and the last entry removes it."""
    name = cluster_names(clustering).get(cluster)
    base = f"name_{place}_{clustering.key}_{cluster}"
    key, offered = shown_key(base, name), list(class_names(clustering.workspace).values())
    with st.container(key=f"one_{base}"):  # shows the newest field only, see style.py
        st.selectbox(
            f"Name of cluster {cluster}",
            offered if name is None else [*offered, NO_NAME],
            index=None if name is None else offered.index(name),
            key=key,
            accept_new_options=True,
            placeholder="Name…",
            label_visibility="collapsed",
            on_change=_name,
            args=(clustering.workspace, clustering.key, cluster, key),
        )


def _name(workspace: Workspace, clustering_key: str, cluster: int, key: str) -> None:
    if not typed(key):
        return
    text = st.session_state[key]
    name = " ".join(text.split()) if text and text != NO_NAME else None
    with show_errors():
        workspace.label_map.name_clusters(clustering_key, [cluster], name or None)
        if name:
            remember_name(name)


def remember_name(name: str) -> None:
    """Keeps the name that was given last, so that one key gives it again; `ignore` has a key of its own."""
    if name_key(name) != IGNORE_NAME:
        session().last_name = name
