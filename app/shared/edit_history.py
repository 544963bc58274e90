"""Undo and redo, the history of edits, snapshots, and the notices of label transfers and splits."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from app.session.record import session
from app.session.widget_keys import Key
from app.shared.formatting import count, literal, when
from app.shared.layout.elements import small
from app.shared.layout.notices import attempt, show_errors
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.labels.undo_log import Event

SHOWN_EDITS = 20
NOTICED = ("carry", "split")
"""Edits that the page speaks of until the next one."""
UNDO_KEYS, REDO_KEYS = "Ctrl+Z", "Ctrl+Shift+Z"


def draw_edits(workspace: Workspace, clustering: Clustering | None) -> None:
    """Draws undo, redo and the history in one row; a tooltip says what would be undone."""
    label_map = workspace.label_map
    steps = (("Undo", UNDO_KEYS, label_map.can_undo(), undo), ("Redo", REDO_KEYS, label_map.can_redo(), redo))
    with st.container(horizontal=True, gap="xsmall", wrap=False, key="edits"):
        for label, keys, event, step in steps:
            words = f"Nothing to {label.lower()}"
            if event is not None:
                here = clustering is None or event.payload.get("clustering", clustering.key) == clustering.key
                words = f"{label}: {literal(event.words)}{'' if here else ', at another K'} ({keys})"
            st.button(
                label,
                key=label.lower(),
                width="stretch",
                shortcut=keys,
                disabled=event is None,
                help=words,
                on_click=step,
                args=(workspace, event),
            )
        history = st.popover("History", key=Key.HISTORY, on_change="rerun", width="stretch")
    if history.open:
        with history, show_errors():
            draw_history(workspace)
            draw_snapshots(workspace)


def undo(workspace: Workspace, meant: Event | None) -> None:
    """Takes the edit back that the button spoke of; says so, or why not."""
    with show_errors():
        done = workspace.label_map.undo(meant.id if meant else None)
        if done:
            session().notice = f"Undid: {literal(done.words)}"


def redo(workspace: Workspace, meant: Event | None) -> None:
    """Makes the edit again that the button spoke of; says so, or why not."""
    with show_errors():
        done = workspace.label_map.redo(meant.id if meant else None)
        if done:
            session().notice = f"Redid: {literal(done.words)}"


def draw_history(workspace: Workspace) -> None:
    """Draws the last edits of anyone with their time, the newest first."""
    events = workspace.label_map.history(SHOWN_EDITS)
    st.markdown("**Edits**")
    if not events:
        st.caption("Nothing was edited yet. Every name, split and colour will be listed here, and can be undone.")
        return
    rows = (f"<tr><td>{when(event.at)}</td><td>{html.escape(event.words)}</td></tr>" for event in events)
    with st.container(height=200 if len(events) > 8 else "content", border=False):
        st.html(f'<table class="picie-edits">{"".join(rows)}</table>')


def draw_snapshots(workspace: Workspace) -> None:
    """Draws the field that saves a snapshot, and each snapshot with the buttons that return to it and delete it."""
    st.markdown("**Snapshots**")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        st.text_input(
            "Name of the snapshot", key=Key.SNAPSHOT, placeholder="Name…", max_chars=60, label_visibility="collapsed"
        )
        st.button("Save", key="save_snapshot", on_click=_save, args=(workspace,), help="Keep all names as they are now")
    label_map = workspace.label_map
    for snapshot in label_map.snapshots():
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False):
            with st.container(gap=None):
                st.markdown(literal(snapshot.name))
                small(f"{when(snapshot.at)} · {count(snapshot.clusters, 'named cluster')}")
            st.button(
                "Return",
                key=f"return_{snapshot.name}",
                on_click=attempt,
                args=(label_map.restore_snapshot, snapshot.name),
            )
            st.button(
                ":material/delete:",
                key=f"forget_{snapshot.name}",
                type="tertiary",
                help=f"Delete the snapshot {literal(snapshot.name)}",
                on_click=attempt,
                args=(label_map.delete_snapshot, snapshot.name),
            )


def _save(workspace: Workspace) -> None:
    with show_errors():
        workspace.label_map.save_snapshot(st.session_state[Key.SNAPSHOT])
        st.session_state[Key.SNAPSHOT] = ""


def transfer_notice(workspace: Workspace, clustering: Clustering | None) -> None:
    """Says how many names were transferred to the clusters on the page, with the button that undoes it.

    It stands until the next edit, in every tab and after a reload.
    """
    event = workspace.label_map.can_undo()
    if event is None or clustering is None or event.kind != "carry" or event.payload["clustering"] != clustering.key:
        return
    transferred = len(event.payload["classes"])
    names = f"{count(transferred, 'name')} {'was' if transferred == 1 else 'were'}"
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="label_transfer"):
        st.markdown(
            f":material/move_down: **{names} transferred from {literal(event.payload['source'])}**, to each cluster "
            "of which one class has at least half of the pixels."
        )
        st.button("Undo", key="undo_transfer", icon=":material/undo:", on_click=undo, args=(workspace, event))


def split_notice(workspace: Workspace, clustering: Clustering | None) -> None:
    """Says which cluster on the page was just split, with the button that undoes it; it stands until the next edit.

    Of one that gave a name it says nothing: the crops that were split off are seen where they were picked, and nothing
    may move there.
    """
    event = workspace.label_map.can_undo()
    if event is None or clustering is None or event.kind != "split" or "names" in event.payload:
        return
    if event.payload["clustering"] == clustering.key:
        *parts, last = map(str, event.payload["parts"])
        with st.container(border=True, horizontal=True, vertical_alignment="center", key="was_split"):
            st.markdown(
                f":material/call_split: **Cluster {event.payload['cluster']} is split into {', '.join(parts)} and "
                f"{last}.** Its parts keep its name until you change it."
            )
            st.button("Undo", key="undo_split", icon=":material/undo:", on_click=undo, args=(workspace, event))
