"""Asks again for pictures that a run of the script took away before the browser had them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

KEY = "reload_pictures"
_mount = st.components.v2.component(
    "picie_reload_pictures",
    html="<span></span>",
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def reload_lost_pictures() -> None:
    """Draws nothing, but lets the browser ask again, a few times, for a picture that could not be loaded."""
    st.html(f"<style>.st-key-{KEY} {{ display: none; }}</style>")
    _mount(key=KEY)
