"""The pieces that every screen is put together from: headline with the one way on, small print, pictures."""

from __future__ import annotations

import html
from typing import Literal

import streamlit as st

from app.shared.layout.pages import page_path


def headline(title: str, facts: str, go_on: tuple[str, str] | None = None, primary: bool = True) -> None:
    """Draws the title with one line of facts, and on the right the button that goes on: (label, screen)."""
    left, right = st.columns([5, 2], vertical_alignment="bottom")
    with left, st.container(gap=None):
        st.subheader(title, anchor=False)
        small(facts or "&nbsp;")
    if go_on:
        with right, st.container(horizontal=True, horizontal_alignment="right"):
            label, screen = go_on
            arrow = ":material/arrow_forward:"
            kind: Literal["primary", "secondary"] = "primary" if primary else "secondary"
            if st.button(label, type=kind, icon=arrow, icon_position="right", key=f"go_{screen}"):
                st.switch_page(page_path(screen))


def small(text: str) -> None:
    """Draws a line of small grey text; `text` is HTML, so what people typed has to be escaped."""
    st.html(f'<div class="picie-facts">{text}</div>')


def small_fit(text: str) -> None:
    """Draws the same, only as wide as it is."""
    st.html(f'<div class="picie-facts">{text}</div>', width="content")


def swatch(color: str) -> str:
    """Returns a small square of a colour, as HTML."""
    return f'<span class="picie-swatch" style="background:{html.escape(color)}"></span>'


def picture(key: str, data: bytes, alt: str, aspect: float) -> None:
    """Draws a PNG as wide as its place, which is reserved before the picture arrives. `aspect` is width / height."""
    st.html(f"<style>.st-key-{key} img {{ aspect-ratio: {aspect:.5f}; width: 100%; }}</style>")
    with st.container(key=key):
        show_png(data, alt)


def show_png(data: bytes, alt: str) -> None:
    """Draws a PNG as wide as its place, byte for byte: as a JPEG, which is the default, colours bleed."""
    st.image(data, width="stretch", output_format="PNG", alt=alt)


def show_jpeg(data: bytes, alt: str) -> None:
    """Draws a JPEG as wide as its place, byte for byte."""
    st.image(data, width="stretch", output_format="JPEG", alt=alt)
