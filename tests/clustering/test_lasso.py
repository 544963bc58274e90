"""Lassos: the geometry, the clusters inside, the order of a contact sheet, and splitting a selection off."""

from __future__ import annotations

import time

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from picie_core.clustering.lasso import clusters_inside, inside_polygon, selected_rows, tell_apart, typical_first
from picie_core.clustering.split_proposals import split_between
from picie_core.errors import SettingError
from picie_core.workspace.cluster_edits import split_off


def star(seed: int, corners: int) -> np.ndarray:
    """A lasso as a hand draws it: not convex, (m, 2)."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    return (rng.uniform(0.3, 1, corners) * np.array([np.cos(angles), np.sin(angles)])).T


def slow_inside(point: np.ndarray, corners: np.ndarray) -> bool:
    """The winding number of the polygon around the point, by summing angles."""
    to = corners - point
    angles = np.arctan2(to[:, 1], to[:, 0])
    turns = np.diff(np.append(angles, angles[0]))
    return bool(abs(((turns + np.pi) % (2 * np.pi) - np.pi).sum()) > np.pi)


@pytest.mark.parametrize("seed", range(4))
def test_points_inside_a_lasso_are_those_that_it_winds_around(seed):
    """Counting crossings agrees with the winding number on a star-shaped lasso, convex or not."""
    corners = star(seed, 12)
    points = np.random.default_rng(seed).uniform(-1, 1, (400, 2))
    found = inside_polygon(points, corners[:, 0], corners[:, 1])
    assert found.tolist() == [slow_inside(point, corners) for point in points]
    assert 0 < found.sum() < 400


@pytest.mark.parametrize("seed", range(3))
def test_points_inside_a_lasso_are_those_of_matplotlib(seed):
    """20,000 float32 points and a lasso of 200 corners that crosses itself: the even-odd rule, as matplotlib has it."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=(200, 2)), axis=0)
    points = rng.uniform(walk.min(0), walk.max(0), (20_000, 2)).astype(np.float32)
    theirs = Outline(np.vstack([walk, walk[:1]])).contains_points(points)
    ours = inside_polygon(points, walk[:, 0], walk[:, 1])
    disagree = np.flatnonzero(ours != theirs)
    # matplotlib fills where a lasso winds around twice, by default; so compare where both count once
    assert ours.sum() > 1000
    assert all(_crossings(points[i], walk) % 2 == ours[i] for i in disagree)


def _crossings(point: np.ndarray, corners: np.ndarray) -> int:
    """Edges that a ray to the right crosses, one at a time."""
    count = 0
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if (y1 > point[1]) != (y2 > point[1]):
            count += point[0] < (x2 - x1) * (point[1] - y1) / (y2 - y1) + x1
    return int(count)


def test_a_lasso_of_many_corners_in_the_whole_sample_is_quick():
    """200,000 points and 300 corners take far less than the second that a person waits for the contact sheet."""
    corners = star(0, 300)
    points = np.random.default_rng(0).uniform(-1, 1, (200_000, 2)).astype(np.float32)
    start = time.process_time()
    found = inside_polygon(points, corners[:, 0], corners[:, 1])
    assert time.process_time() - start < 0.5
    assert 20_000 < found.sum() < 180_000


def test_level_edges_and_points_on_corners_count_once():
    """A square over a grid: each point belongs to exactly one of two squares that touch."""
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), -1).reshape(-1, 2)
    left = inside_polygon(grid, [0, 2, 2, 0], [0, 0, 4, 4])
    right = inside_polygon(grid, [2, 4, 4, 2], [0, 0, 4, 4])
    assert not (left & right).any()
    assert (left | right).sum() == 4 * 4


def test_box_and_lasso_are_joined_and_corners_may_come_in_any_order():
    """A selection is the union of its boxes and lassos; a box may be drawn from its lower right corner."""
    xy = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    drawn = {"box": [{"x": [1.5, 0.5], "y": [1.5, 0.5]}], "lasso": [{"x": [2.5, 3.5, 3], "y": [2.5, 2.5, 3.6]}]}
    assert selected_rows(xy, drawn).tolist() == [1, 3]
    assert selected_rows(xy, {"box": [], "lasso": []}).tolist() == []


def test_a_lasso_of_two_corners_holds_nothing():
    """A click that the chart takes for a lasso selects nothing."""
    assert not inside_polygon(np.zeros((3, 2)), [0, 1], [0, 1]).any()


def test_clusters_inside_have_both_shares():
    """By hand: of cluster 2 all four pixels are inside and make up two thirds; cluster 0 gives one of three."""
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2], np.uint16)
    found = clusters_inside(labels, 4, np.array([0, 3, 5, 6, 7, 8]))
    assert [(one.cluster, one.pixels) for one in found] == [(2, 4), (0, 1), (1, 1)]
    assert [(round(one.inside, 3), round(one.share, 3), one.mostly) for one in found] == [
        (1.0, 0.667, True),
        (0.333, 0.167, False),
        (0.5, 0.167, False),
    ]


def test_a_contact_sheet_shows_every_image_before_any_twice(finished):
    """All of the selection's images come first, the most typical of them at the front; nothing comes twice."""
    sample = finished.current_run().sample()
    selected = np.arange(0, len(sample.positions), 3)
    order = typical_first(sample, selected)
    images = sample.positions[order, 0]
    first = len(np.unique(images))
    assert first == 6 and len(np.unique(images[:first])) == first
    assert set(order) <= set(selected) and len(set(order)) == len(order)
    rows = np.asarray(sample.embeddings[selected], np.float32)
    assert order[0] == selected[(rows @ rows.mean(0)).argmax()]
    assert len(typical_first(sample, selected[:0])) == 0


def test_a_small_selection_is_told_apart_better_than_by_the_means():
    """A tenth of a cloud at one end of it: by hand, the plane between the means takes far more than was selected."""
    rng = np.random.default_rng(0)
    cloud = np.c_[np.full(2000, 3.0), rng.normal(size=(2000, 7))].astype(np.float32)
    cloud /= np.linalg.norm(cloud, axis=1, keepdims=True)
    taken = cloud[:, 1] > np.quantile(cloud[:, 1], 0.9)

    def overlap(prototypes: np.ndarray) -> float:
        new = (cloud @ prototypes.T).argmax(1) == 1
        return (new & taken).sum() / (new | taken).sum()

    ours = tell_apart(cloud[~taken], cloud[taken])
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    means = split_between(cloud[~taken], cloud[taken])
    np.testing.assert_allclose(np.linalg.norm(ours[1] - ours[0]), np.linalg.norm(means[1] - means[0]), atol=1e-5)
    assert overlap(ours) > overlap(means) + 0.15
    with pytest.raises(SettingError, match="needs pixels of both parts"):
        tell_apart(cloud, cloud[:0])


def test_a_selection_becomes_a_cluster_and_no_other_changes(finished_copy):
    """Half of one cluster and all of another: one split, one whole, one name; all other pixels stay where they are."""
    run = finished_copy.current_run()
    before = run.clustering()
    sample = run.sample()
    members = np.flatnonzero(before.labels == 0)
    along = np.asarray(sample.embeddings[members], np.float32)
    side = along @ np.linalg.svd(along - along.mean(0), full_matrices=False)[2][0]
    selected = np.sort(np.concatenate([members[side > np.median(side)], np.flatnonzero(before.labels == 1)]))
    made = split_off(before, selected, "stripes")
    after = run.clustering()
    assert (made.parts, made.whole, made.edits) == ([6], [1], 2)
    assert made.clustering.digest == after.digest and after.k == 7
    others = ~np.isin(before.labels, [0])
    np.testing.assert_array_equal(after.labels[others], before.labels[others])
    assert made.caught > 0.9
    classes = finished_copy.label_map.classes_of(after.key)
    assert set(classes) == {1, 6} and len(set(classes.values())) == 1
    for _ in range(made.edits):
        finished_copy.label_map.undo()
    assert run.clustering().digest == before.digest
    assert finished_copy.label_map.classes_of(before.key) == {}


@pytest.mark.parametrize(
    ("rows", "name", "message"),
    [(slice(0, 0), "sky", "no cluster makes up 5%"), (slice(0, 9), " ", "class name"), (slice(0, 9), "a\nb", "line")],
)
def test_what_cannot_be_split_off_changes_nothing(finished_copy, rows, name, message):
    """Nothing selected or an impossible name: a sentence, and not half an edit."""
    run = finished_copy.current_run()
    clustering = run.clustering()
    selected = np.flatnonzero(clustering.labels == 0)[rows]
    with pytest.raises(SettingError, match=message):
        split_off(clustering, selected, name)
    assert finished_copy.label_map.version() == 0
