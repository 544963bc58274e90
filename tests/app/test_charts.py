"""Figures: curves and the map."""

from __future__ import annotations

import numpy as np

from app.shared.pictures.charts import LEGEND_GROUPS, MapView, curve_figure, legend_parts, scatter_figure, shaded_figure


def test_the_map_draws_every_point_once_in_the_colour_of_its_group() -> None:
    """One trace a group that has points, WebGL, all points together, names as given."""
    xy, groups = np.arange(10.0).reshape(5, 2), np.array([0, 2, 2, 0, 2])
    parts = legend_parts(groups, [2, 1, 0])
    figure = scatter_figure(
        xy, groups, parts, names={0: "road", 1: "sky", 2: "tree"}, colors=dict.fromkeys(range(3), "#112233")
    )
    assert [(trace.type, trace.name, len(trace.x)) for trace in figure.data] == [
        ("scattergl", "tree", 3),
        ("scattergl", "road", 2),
    ]


def test_a_legend_of_500_clusters_stays_short_and_has_the_largest() -> None:
    """The largest have a line each, all others share one; no point is lost and each keeps name and colour."""
    groups = np.repeat(np.arange(500), np.arange(500, 0, -1))
    rng = np.random.default_rng(0)
    rng.shuffle(groups)
    parts = legend_parts(groups, list(range(500)))
    assert len(parts) == LEGEND_GROUPS and [len(part) for part in parts[:-1]] == [1] * (LEGEND_GROUPS - 1)
    assert [part[0] for part in parts[:-1]] == list(range(LEGEND_GROUPS - 1))
    names = {group: f"cluster {group}" for group in range(500)}
    colors = {group: f"#{group:06x}" for group in range(500)}
    figure = scatter_figure(np.zeros((len(groups), 2), np.float32), groups, parts, names=names, colors=colors)
    assert sum(len(trace.x) for trace in figure.data) == len(groups)
    rest = figure.data[-1]
    assert rest.name == f"{500 - LEGEND_GROUPS + 1} others"
    scale = [color for _, color in rest.marker.colorscale]
    assert [f"cluster {int(scale[number][1:], 16)}" for number in rest.marker.color] == list(rest.text)
    assert len(set(rest.text)) == 500 - LEGEND_GROUPS + 1


def test_a_map_that_is_drawn_anew_looks_as_it_was_left() -> None:
    """The view, the traces that were switched off, the dimmed points and the outline are part of the figure."""
    xy, groups = np.arange(8.0).reshape(4, 2), np.array([0, 1, 1, 0])
    view = MapView(
        zoom=(0, 1, 2, 3),
        hidden=frozenset({1}),
        drawn={"box": [{"x": [0, 2], "y": [0, 2]}], "lasso": [{"x": [0, 1, 1], "y": [0, 0, 1]}]},
    )
    selected = np.array([True, False, True, False])
    names, colors = {0: "a", 1: "b"}, {0: "#000000", 1: "#ffffff"}
    figure = scatter_figure(xy, groups, [(0,), (1,)], names=names, colors=colors, selected=selected, view=view)
    assert [trace.visible for trace in figure.data] == [True, "legendonly"]
    assert [list(trace.selectedpoints) for trace in figure.data] == [[0], [1]]
    assert (figure.layout.xaxis.range, figure.layout.yaxis.range) == ((0, 1), (2, 3))
    assert figure.layout.selections[0].type == "rect"
    assert figure.layout.selections[1].path == "M0,0L1,0L1,1Z"
    plain = scatter_figure(xy, groups, [(0,), (1,)], names=names, colors=colors)
    assert plain.data[0].selectedpoints is None and plain.layout.xaxis.range is None


def test_a_name_is_never_read_as_markup_and_fits_the_legend() -> None:
    """What people typed is escaped where Plotly reads HTML; a long name is cut, the card has all of it."""
    names = {0: "<b>road</b>", 1: "a very long name of an image.png"}
    figure = scatter_figure(
        np.zeros((2, 2)), np.array([0, 1]), [(0,), (1,)], names=names, colors={0: "#000", 1: "#000"}
    )
    assert figure.data[0].name == "&lt;b&gt;road&lt;/b&gt;"
    assert figure.data[1].name == "…f an image.png" and figure.data[1].meta == names[1]


def test_confidence_is_one_shaded_trace() -> None:
    """Numbers in the order of the points, with a scale beside them, and no legend to isolate with."""
    figure = shaded_figure(np.zeros((3, 2)), np.array([0.1, 0.5, 0.9], np.float32), "confidence")
    assert len(figure.data) == 1 and not figure.layout.showlegend
    np.testing.assert_allclose(figure.data[0].marker.color, [0.1, 0.5, 0.9], atol=1e-3)


def test_a_curve_keeps_whole_epochs_and_gaps() -> None:
    """An epoch without a figure is a gap, not a zero."""
    figure = curve_figure([1, 2, 3], {"total": [3.0, float("nan"), 2.0]}, "Loss")
    assert np.isnan(figure.data[0].y[1]) and figure.data[0].y[2] == 2.0
    assert float(figure.layout.xaxis.dtick) == 1
