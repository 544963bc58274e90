"""Data to Plotly figures. Nothing here knows of Streamlit; colours of lines come from the theme of the page."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

LEGEND_GROUPS = 28
"""With more groups than this the legend would be longer than the map; hovering names the others."""
LEGEND_PX, LEGEND_LETTERS = 150, 15
MAP_HEIGHT = 600
OUTLINE = {"line": {"width": 1.5, "dash": "solid"}}
LINE_COLORS = ("#4d79da", "#8f8f8a", "#c98a3c", "#5aa27c")
"""Seen on white and on dark grey alike."""
DASHES = ("solid", "dash", "dot", "dashdot")
MARGIN = {"l": 8, "r": 8, "t": 28, "b": 8}


def curve_figure(
    epochs: Sequence[int],
    curves: Mapping[str, Sequence[float]],
    title: str,
    *,
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


@dataclass(frozen=True)
class MapView:
    """How a person left the map: its zoom, legend and outlines, so that it can be drawn anew with other colours."""

    zoom: tuple[float, float, float, float] | None = None
    """The part that is shown: from x to x, from y to y; None for all of it."""
    hidden: frozenset[int] = frozenset()
    """Traces that were switched off in the legend."""
    drawn: Mapping[str, Any] = field(default_factory=dict)
    """Boxes and lassos in the words of Plotly's selection: lists `box` and `lasso` of {"x", "y"}."""


def legend_parts(groups: np.ndarray, order: Sequence[int]) -> list[tuple[int, ...]]:
    """Returns the groups of each trace of the map, in the order given: one each, or one trace for all that are small.

    With more than LEGEND_GROUPS groups the largest have a place in the legend and the last one is "the others".
    groups: (n,) int, the group of each point; those without points are left out.
    """
    found, counts = np.unique(groups, return_counts=True)
    sizes = dict(zip(found.tolist(), counts.tolist(), strict=True))
    present = [group for group in order if group in sizes]
    if len(present) <= LEGEND_GROUPS:
        return [(group,) for group in present]
    largest = set(sorted(present, key=lambda group: -sizes[group])[: LEGEND_GROUPS - 1])
    return [(group,) for group in present if group in largest] + [
        tuple(group for group in present if group not in largest)
    ]


def scatter_figure(
    xy: np.ndarray,
    groups: np.ndarray,
    parts: Sequence[tuple[int, ...]],
    *,
    names: Mapping[int, str],
    colors: Mapping[int, str],
    selected: np.ndarray | None = None,
    view: MapView | None = None,
    height: int = MAP_HEIGHT,
) -> go.Figure:
    """Returns the map: one WebGL trace a part, so that the legend switches it on and off.

    xy: (n, 2) float32; groups: (n,) int, the key of names and colors; selected: (n,) bool, the others are pale.
    """
    figure, view = go.Figure(), view or MapView()
    for number, part in enumerate(parts):
        chosen = np.isin(groups, part)
        points = _points(xy[chosen], None if selected is None else selected[chosen])
        if len(part) == 1:
            name, kind = html.escape(_short(names[part[0]])), {"color": colors[part[0]]}
        else:
            name, kind = f"{len(part):,} others", _many_colors(groups[chosen], part, colors)
            points["text"] = np.array([names[group] for group in groups[chosen].tolist()])
        figure.add_scattergl(
            **points,
            name=name,
            meta=names[part[0]],
            marker={"size": 4, "opacity": 0.75, **kind},
            visible="legendonly" if number in view.hidden else True,
        )
    figure.update_layout(showlegend=True, height=height)
    return _laid_out(figure, view)


def shaded_figure(
    xy: np.ndarray,
    values: np.ndarray,
    title: str,
    *,
    selected: np.ndarray | None = None,
    view: MapView | None = None,
    height: int = MAP_HEIGHT,
) -> go.Figure:
    """Returns the map with each point shaded by a number: xy (n, 2), values (n,)."""
    figure = go.Figure()
    low, high = np.percentile(values, (1, 99)).round(2).tolist() if len(values) else (0, 1)
    bar = {
        "title": {"text": title, "font": {"size": 12}},
        "thickness": 12,
        "len": 0.5,
        "y": 1,
        "yanchor": "top",
        "x": 1.02,
    }
    shades = {"colorscale": "Viridis", "cmin": low, "cmax": high, "colorbar": bar}
    figure.add_scattergl(
        **_points(xy, selected),
        meta=title,
        marker={"size": 4, "opacity": 0.75, "color": values.astype(np.float32).round(3), **shades},
    )
    figure.update_layout(showlegend=False, height=height)
    return _laid_out(figure, view or MapView())


def _many_colors(groups: np.ndarray, part: Sequence[int], colors: Mapping[int, str]) -> dict[str, Any]:
    """The marker of a trace of many groups: numbers and a scale with a step for each, as Plotly checks every string."""
    ordered = np.sort(part)
    last = len(ordered) - 1
    scale = [[rank / last, colors[group]] for rank, group in enumerate(ordered.tolist())]
    number = np.searchsorted(ordered, groups).astype(np.int32)
    return {"color": number, "colorscale": scale, "cmin": 0, "cmax": last, "showscale": False}


def _short(name: str) -> str:
    """A name that fits the legend; of the name of a file the end tells most."""
    return name if len(name) <= LEGEND_LETTERS else f"…{name[-LEGEND_LETTERS + 1 :]}"


def _points(xy: np.ndarray, selected: np.ndarray | None) -> dict[str, Any]:
    """What all traces of the map share. Their label is drawn by the card that shows the crop, so Plotly's is off."""
    return {
        "x": xy[:, 0],
        "y": xy[:, 1],
        "mode": "markers",
        "hoverinfo": "none",
        "selectedpoints": None if selected is None else np.flatnonzero(selected).astype(np.int32),
        "selected": {"marker": {"opacity": 1.0}},
        "unselected": {"marker": {"opacity": 0.12}},
    }


def _laid_out(figure: go.Figure, view: MapView) -> go.Figure:
    axis: dict[str, Any] = {"visible": False, "showgrid": False, "zeroline": False}
    across, down = ({"range": view.zoom[:2]}, {"range": view.zoom[2:]}) if view.zoom else ({}, {})
    return figure.update_layout(
        margin={"l": 0, "r": LEGEND_PX, "t": 28, "b": 0},  # the same for all colourings: nothing moves
        dragmode="lasso",
        xaxis={**axis, **across},
        yaxis={**axis, **down, "scaleanchor": "x"},
        legend={"itemsizing": "constant", "font": {"size": 12}, "title": None, "tracegroupgap": 0, "y": 1, "x": 1.0},
        newselection=OUTLINE,
        modebar={"orientation": "h"},
        selections=[*_outlines(view.drawn)],
    )


def _outlines(drawn: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The shapes of a selection, as Plotly draws those that it is given."""
    for box in drawn.get("box") or ():
        (x0, x1), (y0, y1) = box["x"], box["y"]
        yield {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1, **OUTLINE}
    for lasso in drawn.get("lasso") or ():
        corners = "L".join(f"{x},{y}" for x, y in zip(lasso["x"], lasso["y"], strict=True))
        yield {"type": "path", "path": f"M{corners}Z", **OUTLINE}
