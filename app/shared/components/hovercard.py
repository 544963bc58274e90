"""The card that follows the pointer over the map and shows the crop of the point under it.

`st.plotly_chart` reports only selections to Python. But the chart and a component of Streamlit are in one document,
where a Plotly chart has events for what is hovered, zoomed and switched off in its legend. So this component draws
only the card: it listens to the chart, asks Python for one crop at a time and keeps those that it has.
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
    """Mounts the card for the chart with `chart_key` and returns what the browser reports of it.

    chart: names the figure that is drawn, and comes back with what is reported of it; version: changes when crops that
    the browser kept are no longer right; crop: `at` (the point asked for), `picture` (PNG), `name` and `more`.

    The result has `at`, the point [x, y] under the pointer; `view`, the figure with its zoom and its hidden traces;
    once after a click `opened`, the point; and once `cleared`, when the selection was removed in the chart: Streamlit
    reports that only while the chart is the one in which it was drawn.
    """
    data = {"key": chart_key, "chart": chart, "of": version}
    if crop:
        picture = f"data:image/png;base64,{base64.b64encode(crop['picture']).decode()}"
        data |= {"at": crop["at"], "picture": picture, "name": crop["name"], "more": crop["more"]}
    return _mount(
        key=KEY,
        data=data,
        on_at_change=_heard,
        on_view_change=_heard,
        on_opened_change=_heard,
        on_cleared_change=_heard,
    )


def heard(name: str) -> Any:
    """Returns what the browser last reported under `name`, such as `at`; None before it reported anything."""
    return (st.session_state.get(KEY) or {}).get(name)


def _heard() -> None:
    """What the browser reports is read where it is used; Streamlit keeps only what has a callback."""
