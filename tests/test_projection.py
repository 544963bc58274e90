"""Maps of the sample: which points, PCA at once, UMAP stored and found again."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from picie_core.projection import Projection, _nearest, compute_umap, draw_points, load_projection
from picie_core.sample import load_sample


@pytest.fixture
def fake_umap(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """A UMAP that returns the first two columns and keeps its arguments: the real one compiles for many seconds."""
    calls: list[dict] = []

    class UMAP:
        def __init__(self, **options: object):
            calls.append(options)

        def fit_transform(self, rows: np.ndarray) -> np.ndarray:
            return rows[:, :2].astype(np.float64)

    module = ModuleType("umap")
    module.UMAP = UMAP
    monkeypatch.setitem(sys.modules, "umap", module)
    return calls


@pytest.mark.parametrize(("rows", "points"), [(1000, 100), (1000, 999), (7, 3)])
def test_points_are_spread_evenly(rows, points):
    """Sorted and distinct, one of each stretch of the sample: every image has its share."""
    index = draw_points(rows, points, seed=1)
    assert len(index) == points
    assert (np.diff(index) > 0).all()
    edges = np.linspace(0, rows, points + 1).astype(int)
    assert (index >= edges[:-1]).all() and (index < edges[1:]).all()
    np.testing.assert_array_equal(index, draw_points(rows, points, seed=1))


def test_a_small_sample_is_shown_whole():
    """No more points are wanted than there are."""
    np.testing.assert_array_equal(draw_points(5, 10), np.arange(5))


def test_pca_is_there_at_once(finished):
    """The PCA map needs no job: its points are rows of the sample with the stored axes."""
    run = finished.current_run()
    found = load_projection(finished, run, "pca", points=50)
    assert (found.index.shape, found.xy.shape, found.xy.dtype) == ((50,), (50, 2), np.float32)
    np.testing.assert_array_equal(found.xy, load_sample(finished, run).pca[found.index])


def test_umap_is_stored_and_found_again(finished_copy, fake_umap):
    """None before it was computed; then the same points and places, for that number of points and seed only."""
    run = finished_copy.current_run()
    assert load_projection(finished_copy, run, "umap", points=80) is None
    made = compute_umap(finished_copy, run, points=80, neighbors=5, min_dist=0.3, seed=2)
    found = load_projection(finished_copy, run, "umap", points=80, seed=2)
    assert isinstance(found, Projection)
    np.testing.assert_array_equal(found.index, made.index)
    np.testing.assert_array_equal(found.xy, made.xy)
    assert found.xy.dtype == np.float32
    assert load_projection(finished_copy, run, "umap", points=80, seed=0) is None
    assert (fake_umap[0]["n_neighbors"], fake_umap[0]["min_dist"], fake_umap[0]["random_state"]) == (5, 0.3, 2)


def test_neighbours_fit_a_small_sample(finished_copy, fake_umap):
    """More neighbours than points are cut down instead of failing."""
    compute_umap(finished_copy, finished_copy.current_run(), points=6, neighbors=50)
    assert fake_umap[0]["n_neighbors"] == 5


def test_neighbours_equal_scikit_learn():
    """The neighbours that UMAP gets are the exact ones by cosine, nearest first, each row its own first."""
    rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index, distance = _nearest(rows, 7)
    theirs, ids = NearestNeighbors(n_neighbors=7, metric="cosine").fit(rows).kneighbors(rows)
    np.testing.assert_array_equal(index, ids)
    np.testing.assert_allclose(distance, theirs, atol=1e-5)
    np.testing.assert_array_equal(index[:, 0], np.arange(200))


def test_the_command_runs_the_real_umap(finished_copy, say):
    """`project` on a few points gives finite places that the app can load."""
    run = finished_copy.current_run()
    said = say("project", "--workspace", finished_copy.root, "--points", 40, "--neighbors", 4)
    assert said.code == 0, said.err
    found = load_projection(finished_copy, run, "umap", points=40)
    assert np.isfinite(found.xy).all()
    assert found.xy.std() > 0
