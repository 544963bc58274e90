"""The card that follows the pointer over the map and shows the crop of the point under it.

`st.plotly_chart` tells Python of selections only. But the chart and a component of Streamlit live in one document,
and a Plotly chart tells everybody in it what is hovered, zoomed and switched off in its legend. So this component
draws nothing but the card: it listens to the chart, asks Python for one crop at a time and keeps those it has.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import streamlit as st

CARD_PX = 144
KEY = "map_hover_card"
NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
HTML = f'<div id="card"><img alt="" src="{NOTHING}"><div id="name"></div><div id="more"></div></div>\n'
_HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "picie_hover_card",
    html=HTML,
    css=(_HERE / "hovercard.css").read_text(encoding="utf-8"),
    js=(_HERE / "hovercard.js").read_text(encoding="utf-8"),
)


def hover_card(chart: str, chart_key: str, version: str, crop: dict[str, Any] | None) -> Any:
    """Mounts the card for the chart with `chart_key` and returns what the browser says of it.

    chart: says which figure is drawn, so that what comes back is known to be of it; version: changes when crops that
    the browser kept are no longer right; crop: `at` (the place asked for), `picture` (PNG), `name` and `more`.

    The result has `at`, the place [x, y] of the point under the pointer; `look`, the figure with its view and its
    hidden traces; once after a click `opened`, the place of the point; and once `cleared`, when the selection was
    taken away in the chart: Streamlit tells of that only while the chart is the one in which it was drawn.
    """
    data = {"key": chart_key, "chart": chart, "of": version}
    if crop:
        picture = f"data:image/png;base64,{base64.b64encode(crop['picture']).decode()}"
        data |= {"at": crop["at"], "picture": picture, "name": crop["name"], "more": crop["more"]}
    return _mount(
        key=KEY,
        data=data,
        on_at_change=_heard,
        on_look_change=_heard,
        on_opened_change=_heard,
        on_cleared_change=_heard,
    )


def heard(name: str) -> Any:
    """Returns what the browser last said under `name`, such as `at`; None before it said anything."""
    return (st.session_state.get(KEY) or {}).get(name)


def _heard() -> None:
    """What the browser says is read where it is used; Streamlit keeps only what has a callback."""
