"""The classes: rename, recolour, merge and delete them, and the names that are offered while typing."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.clusters.cluster_facts import pixel_share
from app.shared.formatting import count, literal, percent
from app.shared.layout.elements import small, small_fit
from app.shared.layout.notices import attempt, show_errors
from app.shared.naming import vocabulary
from app.shared.synced_fields import shown_key, typed
from picie_core.data.class_names import IGNORE_ID, MAX_NAME_LENGTH
from picie_core.labels.classes import Class
from picie_core.workspace.workspace import StoredClustering, Workspace


def draw_classes(clustering: StoredClustering) -> None:
    """Draws a row for each class, what is ignored, and the vocabulary."""
    classes, owners = clustering.label_map.classes(), clustering.classes_of()
    clusters_of = {
        class_id: [one for one, owner in owners.items() if owner == class_id] for class_id in owners.values()
    }
    if not classes:
        st.caption("No class yet: the first name that you type makes one.")
    for item in classes:
        _draw_class(clustering, classes, item, clusters_of.get(item.id, []))
    ignored = clusters_of.get(IGNORE_ID, [])
    if ignored:
        share = percent(pixel_share(clustering, ignored))
        small(f"Ignored: {count(len(ignored), 'cluster')}, <b>{share}</b> of all pixels")
    st.divider()
    draw_vocabulary(clustering.workspace)


def _draw_class(clustering: StoredClustering, classes: list[Class], item: Class, clusters: list[int]) -> None:
    label_map = clustering.label_map
    color, name = shown_key(f"class_color_{item.id}", item.color), shown_key(f"class_name_{item.id}", item.name)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"class_{item.id}"):
        with st.container(width="content"):
            st.color_picker(
                f"Colour of {item.name}",
                item.color,
                key=color,
                label_visibility="collapsed",
                on_change=_give,
                args=(label_map.recolor_class, item.id, color),
            )
        st.text_input(
            f"Name of class {item.name}",
            item.name,
            key=name,
            max_chars=MAX_NAME_LENGTH,
            label_visibility="collapsed",
            on_change=_give,
            args=(label_map.rename_class, item.id, name),
            width=280,
        )
        with st.container(width=190):
            small_fit(f"{count(len(clusters), 'cluster')} · <b>{percent(pixel_share(clustering, clusters))}</b>")
        others = {other.name: other.id for other in classes if other.id != item.id}
        with st.popover("Merge", icon=":material/merge:", disabled=not others, key=f"merge_{item.id}"):
            if others:
                into = st.selectbox("Into", list(others), key=f"merge_into_{item.id}")
                st.button(
                    f"Merge {item.name}",
                    key=f"merge_sure_{item.id}",
                    on_click=attempt,
                    args=(label_map.merge_class, item.id, others.get(into, -1)),
                )
        with st.popover("Delete", icon=":material/delete:", key=f"delete_{item.id}"):
            st.markdown(f"Delete **{literal(item.name)}**? Its clusters, of every K, lose their name.")
            st.button(
                "Delete the class",
                key=f"delete_sure_{item.id}",
                on_click=attempt,
                args=(label_map.delete_class, item.id),
            )


def _give(edit: Callable[[int, str], object], class_id: int, key: str) -> None:
    """Gives a class the colour or name that was put into its field."""
    if typed(key):
        attempt(edit, class_id, st.session_state[key])


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
