"""The field that names the cluster in focus; it also reports clicks on contact sheets and neighbours of the page."""

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

    sheet: str
    x: float
    y: float


def naming_field(
    key: str,
    *,
    title: str,
    color: str,
    name: str,
    names: Sequence[str],
    stamp: Callable[[], str],
    card: str,
    on_name: Callable[[str], None],
    on_sheet: Callable[[Click], None],
    on_jump: Callable[[int], None],
) -> None:
    """Draws the field. Enter reports what is typed; names are offered while typing, Tab completes.

    title, color, name: of what is named; names: those that are offered. stamp: returns what changes whenever the
    field has to show `name` again, such as for another cluster; a name with an old stamp, as when the browser sends it
    twice, is dropped. card: CSS selector of the card to bring into view. on_name, on_sheet and
    on_jump run before the page is redrawn: with the name, with a click on a contact sheet, with a clicked cluster.
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
        on_sheet_change=partial(_report_click, key, on_sheet),
        on_jump_change=partial(_report_jump, key, on_jump),
    )


def _report_name(key: str, stamp: Callable[[], str], on_name: Callable[[str], None]) -> None:
    typed = read_name(st.session_state[key].named, stamp())
    if typed is not None:
        on_name(typed)


def read_name(message: Any, stamp: str) -> str | None:
    """Returns the name in a message of the browser, None when it was typed for what is not in focus any more."""
    if isinstance(message, dict) and message.get("stamp") == stamp and isinstance(message.get("name"), str):
        return message["name"]
    return None


def _report_click(key: str, on_sheet: Callable[[Click], None]) -> None:
    click = read_click(st.session_state[key].sheet)
    if click is not None:
        on_sheet(click)


def read_click(message: Any) -> Click | None:
    """Returns the click in a message of the browser, None when there is none in it."""
    try:
        click = Click(str(message["sheet"]), float(message["x"]), float(message["y"]))
    except (TypeError, KeyError, ValueError):
        return None
    return click if 0 <= click.x <= 1 and 0 <= click.y <= 1 else None


def _report_jump(key: str, on_jump: Callable[[int], None]) -> None:
    cluster = st.session_state[key].jump
    if isinstance(cluster, (int, float)) and not isinstance(cluster, bool) and cluster >= 0:
        on_jump(int(cluster))
