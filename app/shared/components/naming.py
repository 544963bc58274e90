"""The field that names the cluster in focus; it also tells of clicks on tiles and on neighbours, wherever they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

HTML = """<form autocomplete="off"><span class="swatch"></span><span class="title"></span><span class="field">
<input type="text" role="combobox" aria-autocomplete="list" aria-expanded="false" spellcheck="false">
<ul role="listbox" hidden></ul></span></form>"""
_HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "picie_naming",
    html=HTML,
    css=(_HERE / "naming.css").read_text(encoding="utf-8"),
    js=(_HERE / "naming.js").read_text(encoding="utf-8"),
)


class Click(NamedTuple):
    """A click on a contact sheet: what the sheet is called, and where, as shares of its size from the upper left."""

    place: str
    x: float
    y: float


def naming_field(
    key: str,
    title: str,
    color: str,
    name: str,
    names: Sequence[str],
    stamp: Callable[[], str],
    card: str,
    on_name: Callable[[str], None],
    on_tile: Callable[[Click], None],
    on_jump: Callable[[int], None],
) -> None:
    """Draws the field. Enter reports what is typed; names are offered while typing, Tab completes.

    stamp: gives what changes whenever the field shall show `name` again, such as for another cluster; a name that is
    told with another one than that of the moment, as when the browser tells it twice, is for nobody. card: CSS selector
    of the card to bring into view. The functions run before the page is redrawn.
    """
    data = {
        "title": title,
        "label": f"Name of {title}" if title else "Name",
        "hint": "Name, then Enter" if title else "Every cluster has a name",
        "disabled": not title,
        "color": color,
        "name": name,
        "names": list(names),
        "stamp": stamp(),
        "card": card,
    }
    _mount(
        key=key,
        data=data,
        on_named_change=partial(_report_name, key, stamp, on_name),
        on_tile_change=partial(_report_click, key, on_tile),
        on_jump_change=partial(_report_jump, key, on_jump),
    )


def _report_name(key: str, stamp: Callable[[], str], on_name: Callable[[str], None]) -> None:
    typed = read_name(st.session_state[key].named, stamp())
    if typed is not None:
        on_name(typed)


def read_name(told: Any, stamp: str) -> str | None:
    """Returns the name that the browser told, None when it was typed for what is not in focus any more."""
    if isinstance(told, dict) and told.get("stamp") == stamp and isinstance(told.get("name"), str):
        return told["name"]
    return None


def _report_click(key: str, on_tile: Callable[[Click], None]) -> None:
    click = read_click(st.session_state[key].tile)
    if click is not None:
        on_tile(click)


def read_click(told: Any) -> Click | None:
    """Returns the click that the browser told, None when it is none."""
    try:
        click = Click(str(told["place"]), float(told["x"]), float(told["y"]))
    except (TypeError, KeyError, ValueError):
        return None
    return click if 0 <= click.x <= 1 and 0 <= click.y <= 1 else None


def _report_jump(key: str, on_jump: Callable[[int], None]) -> None:
    told = st.session_state[key].jump
    if isinstance(told, (int, float)) and not isinstance(told, bool) and told >= 0:
        on_jump(int(told))
