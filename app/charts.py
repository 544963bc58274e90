"""Data to Plotly figures. Nothing here knows of Streamlit; colours of lines come from the theme of the page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

LEGEND_GROUPS = 30
"""With more groups than this the legend would be longer than the map; hovering names them."""
LINE_COLORS = ("#4d79da", "#8f8f8a", "#c98a3c", "#5aa27c")
"""Seen on white and on dark grey alike."""
DASHES = ("solid", "dash", "dot", "dashdot")
LABELLED_LEAVES = 70
"""With more leaves than this their names would lie over each other; hovering names them."""
MARGIN = {"l": 8, "r": 8, "t": 28, "b": 8}


def curve_figure(
    epochs: Sequence[int],
    curves: Mapping[str, Sequence[float]],
    title: str,
    height: int = 200,
    from_zero: bool = False,
) -> go.Figure:
    """Returns one line a curve over the epochs; the axis keeps whole epochs and the legend has a fixed place."""
    figure = go.Figure()
    for (name, values), color, dash in zip(curves.items(), LINE_COLORS, DASHES, strict=False):
        figure.add_scatter(
            x=np.asarray(epochs),
            y=np.asarray(values, float),
            name=name,
            mode="lines+markers",
            line={"width": 2 if dash == "solid" else 1.5, "dash": dash, "color": color},
            marker={"size": 5, "color": color},
            hovertemplate=f"{name} %{{y:.3g}}<extra>epoch %{{x}}</extra>",
        )
    last = max(epochs, default=1)
    figure.update_layout(
        title={"text": title, "font": {"size": 13}, "x": 0, "xanchor": "left", "y": 0.98},
        height=height,
        margin=MARGIN,
        hovermode="x",
        uirevision=title,
        showlegend=len(curves) > 1,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        xaxis={"range": [0.7, max(last, 2) + 0.3], "dtick": max(1, last // 8), "title": None, "fixedrange": True},
        yaxis={"fixedrange": True, "nticks": 5, "title": None, "rangemode": "tozero" if from_zero else "normal"},
    )
    return figure


def dendrogram_figure(
    x: np.ndarray, y: np.ndarray, titles: Sequence[str], colors: Sequence[str], named: Sequence[bool], height: int = 420
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
        "ticktext": [html.escape(_short(one)) for one in titles],
        "tickangle": -60,
    }
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        hovermode="closest",
        xaxis={"range": [-0.7, len(titles) - 0.3], "zeroline": False, "showgrid": False, "fixedrange": True}
        | (ticks if few else {"showticklabels": False}),
        yaxis={"title": None, "rangemode": "tozero", "fixedrange": True, "nticks": 5, "zeroline": False},
    )
    return figure


def _short(text: str, most: int = 16) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def k_figure(
    ks: Sequence[int], figures: Mapping[str, Sequence[float | None]], chosen: int, height: int = 190
) -> go.Figure:
    """Returns small charts side by side, one a figure, over K on a logarithmic axis; the chosen K is marked."""
    shown = {name: values for name, values in figures.items() if any(value is not None for value in values)}
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
    drawn.update_layout(height=height, margin={"l": 8, "r": 8, "t": 28, "b": 8}, uirevision="k")
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


def scatter_figure(
    xy: np.ndarray, groups: np.ndarray, names: dict[int, str], colors: dict[int, str], revision: str, height: int = 580
) -> go.Figure:
    """Returns the map: one WebGL trace a group, so that the legend switches groups on and off.

    xy: (n, 2) float32; groups: (n,) int, the key of names and colors; `revision` keeps zoom while it stays the same.
    """
    figure = go.Figure()
    for group in names:
        chosen = groups == group
        if not chosen.any():
            continue
        figure.add_scattergl(
            x=xy[chosen, 0],
            y=xy[chosen, 1],
            mode="markers",
            name=html.escape(names[group]),
            hoverinfo="name",
            marker={"size": 4, "color": colors[group], "opacity": 0.75},
            selected={"marker": {"opacity": 1.0}},
            unselected={"marker": {"opacity": 0.12}},
        )
    axis: dict[str, Any] = {"visible": False, "showgrid": False, "zeroline": False}
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        dragmode="lasso",
        uirevision=revision,
        xaxis=axis,
        yaxis={**axis, "scaleanchor": "x"},
        hoverlabel={"namelength": -1},
        legend={"itemsizing": "constant", "font": {"size": 12}, "title": None, "tracegroupgap": 0, "y": 1, "x": 1.0},
        showlegend=len(names) <= LEGEND_GROUPS,
        newselection={"line": {"width": 1.5, "dash": "solid"}},
    )
    return figure


def inside_polygon(xy: np.ndarray, polygon_x: Sequence[float], polygon_y: Sequence[float]) -> np.ndarray:
    """Returns which of the points lie inside a closed polygon, by counting the edges that a ray to the right crosses.

    xy: (n, 2); polygon: m corners, the last joined to the first. Returns (n,) bool.
    """
    x, y = np.asarray(polygon_x, float), np.asarray(polygon_y, float)
    inside = np.zeros(len(xy), bool)
    if len(x) < 3:
        return inside
    near = (xy[:, 0] >= x.min()) & (xy[:, 0] <= x.max()) & (xy[:, 1] >= y.min()) & (xy[:, 1] <= y.max())
    points = xy[near].astype(float)
    within = np.zeros(len(points), bool)
    for x1, y1, x2, y2 in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True):
        spans = (y1 > points[:, 1]) != (y2 > points[:, 1])
        if y1 != y2:
            within ^= spans & (points[:, 0] < (x2 - x1) * (points[:, 1] - y1) / (y2 - y1) + x1)
    inside[near] = within
    return inside


def selected_points(xy: np.ndarray, selection: dict[str, Any]) -> np.ndarray:
    """Returns the indices of the points inside the boxes and lassos of a Plotly selection, in order: (n,) int64."""
    inside = np.zeros(len(xy), bool)
    for box in selection.get("box", []):
        (x1, x2), (y1, y2) = sorted(box["x"]), sorted(box["y"])
        inside |= (xy[:, 0] >= x1) & (xy[:, 0] <= x2) & (xy[:, 1] >= y1) & (xy[:, 1] <= y2)
    for lasso in selection.get("lasso", []):
        inside |= inside_polygon(xy, lasso["x"], lasso["y"])
    return np.flatnonzero(inside)
