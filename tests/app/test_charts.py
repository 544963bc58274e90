"""Figures and the geometry of a selection."""

from __future__ import annotations

import numpy as np
import pytest

from app.charts import curve_figure, inside_polygon, scatter_figure, selected_points


def slow_inside(point: np.ndarray, corners: np.ndarray) -> bool:
    """The winding number of the polygon around the point, by summing angles."""
    to = corners - point
    angles = np.arctan2(to[:, 1], to[:, 0])
    turns = np.diff(np.append(angles, angles[0]))
    return bool(abs(((turns + np.pi) % (2 * np.pi) - np.pi).sum()) > np.pi)


@pytest.mark.parametrize("seed", range(4))
def test_points_inside_a_lasso_are_those_that_it_winds_around(seed: int) -> None:
    """Counting crossings agrees with the winding number on a star-shaped lasso, convex or not."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
    corners = (rng.uniform(0.3, 1, 12) * np.array([np.cos(angles), np.sin(angles)])).T
    points = rng.uniform(-1, 1, (400, 2))
    found = inside_polygon(points, corners[:, 0], corners[:, 1])
    assert found.tolist() == [slow_inside(point, corners) for point in points]
    assert 0 < found.sum() < 400


def test_box_and_lasso_are_joined_and_corners_may_come_in_any_order() -> None:
    """A selection is the union of its boxes and lassos; a box may be drawn from its lower right corner."""
    xy = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    selection = {"box": [{"x": [1.5, 0.5], "y": [1.5, 0.5]}], "lasso": [{"x": [2.5, 3.5, 3], "y": [2.5, 2.5, 3.6]}]}
    assert selected_points(xy, selection).tolist() == [1, 3]
    assert selected_points(xy, {"box": [], "lasso": []}).tolist() == []


def test_a_lasso_of_two_corners_holds_nothing() -> None:
    """A click that is taken for a lasso selects nothing."""
    assert not inside_polygon(np.zeros((3, 2)), [0, 1], [0, 1]).any()


def test_the_map_draws_every_point_once_in_the_colour_of_its_group() -> None:
    """One trace a group that has points, WebGL, all points together, names as given."""
    xy, groups = np.arange(10.0).reshape(5, 2), np.array([0, 2, 2, 0, 2])
    figure = scatter_figure(xy, groups, {0: "road", 1: "sky", 2: "tree"}, dict.fromkeys(range(3), "#112233"), "r")
    assert [(trace.type, trace.name, len(trace.x)) for trace in figure.data] == [
        ("scattergl", "road", 2),
        ("scattergl", "tree", 3),
    ]


def test_a_curve_keeps_whole_epochs_and_gaps() -> None:
    """An epoch without a figure is a gap, not a zero."""
    figure = curve_figure([1, 2, 3], {"total": [3.0, float("nan"), 2.0]}, "Loss")
    assert np.isnan(figure.data[0].y[1]) and figure.data[0].y[2] == 2.0
    assert float(figure.layout.xaxis.dtick) == 1
