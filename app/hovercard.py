"""The card that follows the pointer over the map and shows the crop of the point under it.

`st.plotly_chart` tells Python of selections only. But the chart and a component of Streamlit live in one document,
and a Plotly chart tells everybody in it what is hovered, zoomed and switched off in its legend. So this component
draws nothing but the card: it listens to the chart, asks Python for one crop at a time and keeps those it has.
"""

from __future__ import annotations

import base64
from typing import Any

import streamlit as st

CARD_PX = 144
KEY = "map_hover_card"
NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
HTML = f'<div id="card"><img alt="" src="{NOTHING}"><div id="name"></div><div id="more"></div></div>\n'
CSS = f"""
#card {{ position: fixed; z-index: 1000; display: none; width: {CARD_PX}px; padding: 6px; pointer-events: none;
  background: var(--st-background-color); color: var(--st-text-color); border: 1px solid var(--st-border-color);
  border-radius: 6px; box-shadow: 0 2px 10px rgba(0, 0, 0, .25); font: 12px/16px var(--st-font); }}
#card img {{ display: block; width: {CARD_PX}px; height: {CARD_PX}px; border-radius: 3px; }}
#name {{ font-weight: 600; margin-top: 4px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
#more {{ opacity: .65; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
"""
JS = """
const KEPT = 300, ASK_AFTER_MS = 60, GAP = 16

export default function (component) {
  const { data, parentElement } = component
  const find = name => parentElement.querySelector(name)
  const card = find("#card"), picture = find("#card img")
  const own = (parentElement.picie ??= { crops: new Map(), over: null })
  own.component = component

  const fill = () => {
    const crop = own.crops.get(own.over)
    picture.style.visibility = crop ? "visible" : "hidden"
    if (crop) picture.src = crop.picture
    find("#more").textContent = crop ? crop.more : "\\u00a0"
    if (crop?.name) find("#name").textContent = crop.name
  }
  if (data.at && !own.crops.has(String(data.at))) {
    if (own.crops.size > KEPT) own.crops.clear()
    own.crops.set(String(data.at), data)
  }
  if (own.of !== data.of) { own.crops.clear(); own.of = data.of }
  if (own.over) fill()

  own.hover = event => {
    const point = event.points[0], at = String([point.x, point.y])
    const { clientX: x, clientY: y } = event.event
    card.style.display = "block"
    card.style.left = `${x + GAP + card.offsetWidth > window.innerWidth ? x - GAP - card.offsetWidth : x + GAP}px`
    card.style.top = `${Math.max(4, Math.min(y - 40, window.innerHeight - card.offsetHeight - 4))}px`
    if (own.over === at) return
    own.over = at
    find("#name").textContent = point.text ?? point.data.meta
    fill()
    clearTimeout(own.asking)
    if (!own.crops.has(at))
      own.asking = setTimeout(() => own.component.setStateValue("at", [point.x, point.y]), ASK_AFTER_MS)
  }
  own.leave = () => { clearTimeout(own.asking); own.over = null; card.style.display = "none" }
  own.look = chart => {
    const { xaxis, yaxis } = chart.layout, view = [...xaxis.range, ...yaxis.range].map(Number)
    const hidden = chart.data.flatMap((trace, number) => trace.visible === "legendonly" ? [number] : [])
    const look = { of: own.component.data.chart, view: xaxis.autorange ? null : view, hidden }
    if (own.told !== JSON.stringify(look)) own.component.setStateValue("look", look)
    own.told = JSON.stringify(look)
  }
  // a chart that is drawn anew is another element, so it is met where the pointer enters it
  own.enter ??= event => {
    const chart = event.target.closest?.(".js-plotly-plot")
    if (!chart?.on || chart.picie === own || !chart.closest(`.st-key-${own.component.data.key}`)) return
    chart.picie = own
    chart.on("plotly_hover", event => own.hover?.(event))
    chart.on("plotly_unhover", () => own.leave?.())
    chart.on("plotly_click", event => own.component?.setTriggerValue("opened", [event.points[0].x, event.points[0].y]))
    chart.on("plotly_deselect", () => own.component?.setTriggerValue("cleared", true))
    chart.on("plotly_relayout", () => own.look?.(chart))
    chart.on("plotly_restyle", () => own.look?.(chart))
  }
  document.addEventListener("pointerover", own.enter)
  return () => {
    document.removeEventListener("pointerover", own.enter)
    own.leave()
    own.component = own.hover = own.leave = own.look = null
  }
}
"""


_mount = st.components.v2.component("picie_hover_card", html=HTML, css=CSS, js=JS)


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
