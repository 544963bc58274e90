"""Charts of clusters: the tree, the curve over K and the confusion as Plotly figures, and clicks on their points."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from app.session.record import session
from app.shared.pictures.charts import LINE_COLORS

LABELLED_LEAVES = 70
"""With more leaves than this their names would lie over each other; hovering names them."""
PLAIN = {"displaylogo": False, "displayModeBar": False}


@dataclass
class Clicks:
    """How often each chart of this tab was clicked."""

    counts: dict[str, int] = field(default_factory=dict)


def clickable_chart(name: str, figure: go.Figure, alt: str) -> dict[str, Any] | None:
    """Draws a figure; returns the point that was clicked, once for each click, else None.

    After a click the chart has a new key, so nothing is selected in it, and a second click on the same point is
    another selection. Draw the page again after a click.
    """
    clicks = session().of(Clicks).counts
    with st.container(key=f"one_{name}"):  # shows the newest chart only, see style.py
        event = st.plotly_chart(
            figure,
            key=chart_key(name, clicks.get(name, 0)),
            on_select="rerun",
            selection_mode="points",
            width="stretch",
            config=PLAIN,
            alt=alt,
        )
    points = event["selection"]["points"] if event else []
    if not points:
        return None
    clicks[name] = clicks.get(name, 0) + 1
    return points[0]


def chart_key(name: str, clicks: int) -> str:
    """Returns the key of a chart after so many clicks."""
    return f"{name}_{clicks}"


def dendrogram_figure(
    x: np.ndarray, y: np.ndarray, *, titles: Sequence[str], colors: Sequence[str], named: Sequence[bool]
) -> go.Figure:
    """Returns the tree: x, y (K-1, 4) are its brackets; the rest is of the leaves, from left to right.

    Leaves without a name are hollow.
    """
    gaps = np.full((len(x), 1), np.nan)
    figure = go.Figure()
    figure.add_scatter(
        x=np.concatenate([x, gaps], axis=1).ravel(),
        y=np.concatenate([y, gaps], axis=1).ravel(),
        mode="lines",
        line={"width": 1.2, "color": LINE_COLORS[1]},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=np.arange(len(titles)),
        y=np.zeros(len(titles)),
        mode="markers",
        marker={
            "size": 11 if len(titles) <= 80 else 7,
            "color": list(colors),
            "symbol": ["square" if one else "square-open" for one in named],
            "line": {"width": 2, "color": list(colors)},
        },
        text=[html.escape(title) for title in titles],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    few = len(titles) <= LABELLED_LEAVES
    ticks = {
        "tickvals": np.arange(len(titles)),
        "ticktext": [html.escape(_short(one, 16)) for one in titles],
        "tickangle": -60,
    }
    figure.update_layout(
        height=420,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        hovermode="closest",
        xaxis={"range": [-0.7, len(titles) - 0.3], "zeroline": False, "showgrid": False, "fixedrange": True}
        | (ticks if few else {"showticklabels": False}),
        yaxis={"title": None, "rangemode": "tozero", "fixedrange": True, "nticks": 5, "zeroline": False},
    )
    return figure


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def k_figure(ks: Sequence[int], metrics: Mapping[str, Sequence[float | None]], chosen: int) -> go.Figure:
    """Returns small charts side by side, one a metric, over K on a logarithmic axis; the chosen K is marked."""
    shown = {name: values for name, values in metrics.items() if any(value is not None for value in values)}
    drawn = make_subplots(rows=1, cols=len(shown), subplot_titles=list(shown), horizontal_spacing=0.06)
    for column, (name, values) in enumerate(shown.items(), start=1):
        known = [(k, value) for k, value in zip(ks, values, strict=True) if value is not None]
        drawn.add_scatter(
            x=np.array([k for k, _ in known]),
            y=np.array([value for _, value in known], float),
            mode="lines+markers",
            line={"width": 2, "color": LINE_COLORS[0]},
            marker={"size": 7, "color": LINE_COLORS[0]},
            hovertemplate=f"K = %{{x}}: {name.lower()} %{{y:.3f}}<extra></extra>",
            showlegend=False,
            row=1,
            col=column,
        )
        drawn.add_vline(x=chosen, line={"width": 1, "dash": "dot", "color": LINE_COLORS[2]}, row=1, col=column)
    ticks = [k for k in (5, 10, 20, 50, 100, 200, 500) if min(ks) <= k <= max(ks)] or list(ks)
    drawn.update_xaxes(type="log", tickvals=ticks, ticktext=[str(k) for k in ticks], fixedrange=True, title=None)
    drawn.update_yaxes(fixedrange=True, nticks=4, title=None)
    drawn.update_annotations(font={"size": 13})
    drawn.update_layout(height=190, margin={"l": 8, "r": 8, "t": 28, "b": 8}, uirevision="k")
    return drawn


def confusion_figure(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> go.Figure:
    """Returns the confusion as a heat map: pixels (R, C) of names against the truth, as shares of each column."""
    totals = counts.sum(0, keepdims=True)
    shares = 100 * counts / np.maximum(totals, 1)
    seen = totals[0] > 0
    figure = go.Figure(
        go.Heatmap(
            z=shares[:, seen],
            x=[html.escape(name) for name, there in zip(columns, seen, strict=True) if there],
            y=[html.escape(_short(name, 24)) for name in rows],
            zmin=0,
            zmax=100,
            colorscale=[[0, "rgba(77, 121, 218, 0.06)"], [1, "rgba(77, 121, 218, 1)"]],
            showscale=False,
            xgap=1,
            ygap=1,
            texttemplate="%{z:.0f}",
            hovertemplate="%{z:.1f} % of %{x} is called %{y}<extra></extra>",
        )
    )
    figure.update_layout(
        height=90 + 26 * len(rows),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis={"fixedrange": True, "side": "top", "tickangle": -40, "title": None},
        yaxis={"fixedrange": True, "autorange": "reversed", "title": None},
    )
    return figure
