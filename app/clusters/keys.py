"""The keys of the Clusters screen, and the sheet that lists them."""

from __future__ import annotations

import streamlit as st

KEYS = (
    ("Enter", "type a name for the cluster in focus; Enter again names it and goes to the next without a name"),
    ("Esc", "leave the field, so that the letters below are keys again"),
    ("N", "next cluster without a name, the largest first"),
    ("P", "back to the cluster before"),
    ("L", "name it as the last one"),
    ("I", "ignore it: its pixels are left out of the masks"),
    ("X", "pick it: picked clusters are named together"),
    ("Ctrl Z", "undo, anywhere; Ctrl Shift Z redoes"),
    ("?", "these keys"),
)
WHILE_TYPING = (
    ("Tab", "complete the name"),
    ("↓ ↑", "choose among the names that are offered"),
    ("Alt N, P, L, I", "the same as the letters alone"),
)


def draw_key_sheet() -> None:
    """Draws the button that opens the list of keys."""
    with (
        st.container(key="key_sheet", width="content"),
        st.popover("", icon=":material/keyboard:", help="Keys (press ?)"),
    ):
        st.html(table("Keys", KEYS) + table("While you type", WHILE_TYPING))


def table(title: str, keys: tuple[tuple[str, str], ...]) -> str:
    """Returns keys and what they do as HTML."""
    rows = "".join(f"<tr><td><kbd>{key}</kbd></td><td>{what}</td></tr>" for key, what in keys)
    return f'<div class="picie-facts"><b>{title}</b></div><table class="picie-keys">{rows}</table>'
