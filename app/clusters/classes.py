"""The classes: rename, recolour, merge and delete them, and the names that are offered while typing."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app.shared.formatting import count, literal, percent
from app.shared.layout import small, small_fit
from app.shared.naming import vocabulary
from app.shared.notices import show_errors
from app.shared.synced_fields import shown_key, typed
from picie_core.data.class_names import IGNORE_ID, MAX_NAME_LENGTH
from picie_core.labels.classes import Class
from picie_core.workspace.workspace import StoredClustering, Workspace


def draw_classes(clustering: StoredClustering) -> None:
    """Draws a row for each class, what is ignored and not named, and the vocabulary."""
    classes, owners = (
        clustering.label_map.classes(),
        clustering.classes_of(),
    )
    if not classes:
        st.caption("No class yet: the first name that you type makes one.")
    for item in classes:
        _row(clustering.workspace, classes, item, clusters_of(owners, item.id), share_of(clustering, owners, item.id))
    ignored = clusters_of(owners, IGNORE_ID)
    if ignored:
        small(
            f"Ignored: {count(ignored, 'cluster')}, "
            f"<b>{percent(share_of(clustering, owners, IGNORE_ID))}</b> of all pixels"
        )
    st.divider()
    draw_vocabulary(clustering.workspace)


def clusters_of(owners: dict[int, int], class_id: int) -> int:
    """Returns how many clusters a class has."""
    return sum(owner == class_id for owner in owners.values())


def share_of(clustering: StoredClustering, owners: dict[int, int], class_id: int) -> float:
    """Returns the share of all pixels that a class has, 0 to 1."""
    mine = np.array([owners.get(cluster) == class_id for cluster in range(clustering.k)])
    return float(clustering.counts[mine].sum() / max(1, clustering.counts.sum()))


def _row(workspace: Workspace, classes: list[Class], item: Class, clusters: int, share: float) -> None:
    color, name = shown_key(f"class_color_{item.id}", item.color), shown_key(f"class_name_{item.id}", item.name)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"class_{item.id}"):
        with st.container(width="content"):
            st.color_picker(
                f"Colour of {item.name}",
                item.color,
                key=color,
                label_visibility="collapsed",
                on_change=_recolor,
                args=(workspace, item.id, color),
            )
        st.text_input(
            f"Name of class {item.name}",
            item.name,
            key=name,
            max_chars=MAX_NAME_LENGTH,
            label_visibility="collapsed",
            on_change=_rename,
            args=(workspace, item.id, name),
            width=280,
        )
        with st.container(width=190):
            small_fit(f"{count(clusters, 'cluster')} · <b>{percent(share)}</b>")
        _merge_popover(workspace, classes, item)
        with st.popover("Delete", icon=":material/delete:", key=f"delete_{item.id}"):
            st.markdown(f"Delete **{literal(item.name)}**? Its clusters, of every K, have no name then.")
            st.button("Delete the class", key=f"delete_sure_{item.id}", on_click=_delete, args=(workspace, item.id))


def _merge_popover(workspace: Workspace, classes: list[Class], item: Class) -> None:
    others = {other.name: other.id for other in classes if other.id != item.id}
    with st.popover("Merge", icon=":material/merge:", disabled=not others, key=f"merge_{item.id}"):
        if others:
            into = st.selectbox("Into", list(others), key=f"merge_into_{item.id}")
            st.button(
                f"Merge {item.name}",
                key=f"merge_sure_{item.id}",
                on_click=_merge,
                args=(workspace, item.id, others.get(into, -1)),
            )


def _recolor(workspace: Workspace, class_id: int, key: str) -> None:
    if not typed(key):
        return
    with show_errors():
        workspace.label_map.recolor_class(class_id, st.session_state[key])


def _rename(workspace: Workspace, class_id: int, key: str) -> None:
    if not typed(key):
        return
    with show_errors():
        workspace.label_map.rename_class(class_id, st.session_state[key])


def _delete(workspace: Workspace, class_id: int) -> None:
    with show_errors():
        workspace.label_map.delete_class(class_id)


def _merge(workspace: Workspace, class_id: int, into: int) -> None:
    with show_errors():
        workspace.label_map.merge_class(class_id, into)


def draw_vocabulary(workspace: Workspace) -> None:
    """Draws how many names are offered while typing, and where to give a file of them."""
    names = vocabulary(workspace)
    offered = f"{count(len(names), 'name')} of the vocabulary are offered while you type" if names else "No vocabulary"
    small(f"<b>{offered}</b>. A text file with one name a line; it is kept as vocabulary.txt in the workspace.")
    file = st.file_uploader("Vocabulary", type=["txt"], key="vocabulary_file", label_visibility="collapsed", width=420)
    if file is not None and st.session_state.get("vocabulary_seen") != file.file_id:
        from picie_core.labels.vocabulary import set_vocabulary

        st.session_state["vocabulary_seen"] = file.file_id
        with show_errors():
            set_vocabulary(workspace.vocabulary_path, file.getvalue(), file.name)
            st.rerun(scope="fragment")
