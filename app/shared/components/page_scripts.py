"""Scripts of the whole page: Ctrl+Z in a text field belongs to the field, and lost pictures are asked for again."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

NAMES = ("undo_keys", "reload_pictures")
"""The scripts, each in a file of this name; everywhere but in a field Ctrl+Z is the shortcut of the button Undo."""
_mounts = {
    name: st.components.v2.component(
        f"picie_{name}",
        html="<span></span>",
        js=Path(__file__).with_name(f"{name}.js").read_text(encoding="utf-8"),
    )
    for name in NAMES
}


def run_page_scripts() -> None:
    """Draws nothing, but lets the browser run the scripts."""
    for name, mount in _mounts.items():
        st.html(f"<style>.st-key-{name} {{ display: none; }}</style>")
        mount(key=name)
