"""The cards of the mask formats: which tools read each, and how it is opened there; several may be chosen."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.shared.formatting import count
from picie_core.export.formats import FORMATS

FIRST = ("png", "voc", "coco")
"""Always in sight; the others are one click away."""
COLUMNS = 3


def choose_formats() -> tuple[str, ...]:
    """Draws the cards and returns the chosen formats in the order of the table."""
    shown = [key for key in FIRST if key in FORMATS]
    more = [key for key in FORMATS if key not in shown]
    _draw_cards(shown)
    if more:
        picked = [FORMATS[key].title for key in more if st.session_state.get(_key(key))]
        label = f"{count(len(more), 'more format')}{': ' if picked else ''}{', '.join(picked)}"
        with st.expander(label, expanded=False, key="more_formats"):
            _draw_cards(more)
    return tuple(key for key in FORMATS if st.session_state.get(_key(key)))


def _draw_cards(keys: Sequence[str]) -> None:
    for start in range(0, len(keys), COLUMNS):
        row = keys[start : start + COLUMNS]
        for column, key in zip(st.columns(COLUMNS), row, strict=False):
            form = FORMATS[key]
            with column.container(border=True, height="stretch", gap="xsmall"):
                st.checkbox(f"**{form.title}**", value=key == "png", key=_key(key), persist_state="session")
                st.caption(form.readers)
                st.caption(form.opening)


def _key(key: str) -> str:
    return f"format_{key}"
