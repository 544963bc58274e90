"""Leaves Ctrl+Z to a text field while one types in it; everywhere else it is the shortcut of the button Undo."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

KEY = "undo_keys"
_mount = st.components.v2.component(
    "picie_undo_keys",
    html="<span></span>",
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def leave_undo_to_fields() -> None:
    """Draws nothing, but keeps the keys of undo and redo from the page while a text field has the focus."""
    st.html(f"<style>.st-key-{KEY} {{ display: none; }}</style>")
    _mount(key=KEY)
