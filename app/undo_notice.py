"""A line that says what was just done for the person, with the button that takes it back."""

from __future__ import annotations

import streamlit as st

from app.notices import told
from app.state import session
from picie_core.workspace import Workspace


def draw_undo_notice(workspace: Workspace) -> None:
    """Draws the line, as long as that edit is the one that would be undone."""
    record = session()
    if not record.told:
        return
    last = workspace.label_map.can_undo()
    if last is None or last.id != record.told_edit:
        record.told = ""
        return
    with (
        st.container(border=True, key="undo_notice"),
        st.container(horizontal=True, vertical_alignment="center", gap="small"),
    ):
        st.markdown(record.told, width="stretch")
        st.button("Undo", icon=":material/undo:", key="undo_told", on_click=_undo, args=(workspace,))
        st.button("", icon=":material/close:", key="close_told", type="tertiary", help="Keep it", on_click=_close)


def _undo(workspace: Workspace) -> None:
    record = session()
    with told():
        workspace.label_map.undo(record.told_edit)
    record.told = ""


def _close() -> None:
    session().told = ""
