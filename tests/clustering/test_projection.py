"""Projections of the sample: the points that are drawn, PCA, UMAP, and what is stored."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from picie_core.clustering.projection import (
    EPOCHS,
    LEAST,
    Projection,
    UmapSettings,
    cosine_neighbors,
    draw_points,
    place_rest,
    shown_points,
)
from picie_core.errors import SettingError
from picie_core.workspace.projections import compute_umap, load_projection, stored_umaps
from tests.factories import unit


@pytest.fixture
def fake_umap(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """A UMAP that returns the first two columns and keeps its arguments: the real one compiles for many seconds."""
    calls: list[dict] = []

    class UMAP:
        def __init__(self, **options: object):
            calls.append(options)

        def fit_transform(self, rows: np.ndarray) -> np.ndarray:
            file = calls[-1]["tqdm_kwds"]["file"]
            for text in ("\r", "0", "\r", "120", "\r", "200", "\n"):
                file.write(text)
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


def test_small_clusters_are_seen_and_nothing_moves():
    """Every cluster shows LEAST points, or all it has; the evenly drawn ones stay, whatever the clusters are."""
    rng = np.random.default_rng(0)
    labels = rng.choice(50, 20_000, p=np.r_[np.full(10, 0.092), np.full(40, 0.002)]).astype(np.uint16)
    index = draw_points(len(labels), 1000)
    shown = shown_points(index, labels, 50)
    assert (np.diff(shown) > 0).all() and set(index) <= set(shown)
    counts, sizes = np.bincount(labels[shown], minlength=50), np.bincount(labels, minlength=50)
    assert (counts >= np.minimum(LEAST, sizes)).all()
    large = np.bincount(labels[index], minlength=50) >= LEAST
    np.testing.assert_array_equal(counts[large], np.bincount(labels[index], minlength=50)[large])
    np.testing.assert_array_equal(shown, shown_points(index, labels, 50))
    assert not np.array_equal(shown, shown_points(index, labels, 50, seed=1))


def test_pca_is_there_at_once(finished):
    """PCA needs no job: every sampled pixel has coordinates, some of them are drawn."""
    run = finished.current_run()
    found = load_projection(run)
    sample = run.sample()
    np.testing.assert_array_equal(found.xy, sample.pca)
    assert (found.name, found.index.max() < len(sample.pca)) == ("pca", True)


def test_umap_is_stored_and_found_again(finished_copy, fake_umap):
    """None before it was computed; then equal coordinates, for these settings only; without settings, the newest."""
    run = finished_copy.current_run()
    settings = UmapSettings(points=80, neighbors=5, min_dist=0.3, seed=2)
    assert load_projection(run, "umap") is None
    made = compute_umap(run, settings)
    found = load_projection(run, "umap", settings)
    assert isinstance(found, Projection) and found.settings == settings
    np.testing.assert_array_equal(found.index, made.index)
    np.testing.assert_array_equal(found.xy, made.xy)
    assert found.xy.dtype == np.float32 and found.xy.shape == run.sample().pca.shape
    assert load_projection(run, "umap", UmapSettings(points=80)) is None
    assert (fake_umap[0]["n_neighbors"], fake_umap[0]["min_dist"], fake_umap[0]["random_state"]) == (5, 0.3, 2)
    other = UmapSettings(points=80, neighbors=7, min_dist=0.05)
    compute_umap(run, other)
    assert stored_umaps(run) == [other, settings]
    assert load_projection(run, "umap").settings == other


def test_progress_counts_the_epochs_of_umap(finished_copy, fake_umap):
    """The job says what it does and how many epochs are done, as UMAP tells its own bar."""
    said = []
    compute_umap(finished_copy.current_run(), UmapSettings(points=80), said.append)
    phases = list(dict.fromkeys(step.phase for step in said))
    assert phases == ["neighbours", "preparing", "layout", "placing the rest"]
    layout = [(step.done, step.total) for step in said if step.phase == "layout"]
    assert layout[0] == (0, EPOCHS) and layout[-1] == (200, EPOCHS) and (120, EPOCHS) in layout


def test_neighbours_fit_a_small_sample(finished_copy, fake_umap):
    """More neighbours than points are cut down instead of failing."""
    compute_umap(finished_copy.current_run(), UmapSettings(points=6, neighbors=50))
    assert fake_umap[0]["n_neighbors"] == 5


@pytest.mark.parametrize(("name", "value"), [("points", 2), ("neighbors", 1), ("min_dist", 1.5), ("seed", -1)])
def test_impossible_parameters_are_refused(name, value):
    """The message names the parameter, its value and the bound."""
    with pytest.raises(SettingError, match=f"{name.replace('_', '-')}={value} is too"):
        UmapSettings(**{name: value})


def test_pixels_that_are_not_placed_go_where_their_neighbours_are():
    """Two groups far apart: every pixel lands inside the group that it is like, none in the void between."""
    rng = np.random.default_rng(0)
    centres = unit(rng.normal(size=(2, 16)))
    group = rng.integers(0, 2, 600)
    embeddings = unit(centres[group] + 0.1 * rng.normal(size=(600, 16)))
    index = np.sort(rng.choice(600, 200, replace=False))
    placed = np.where(group[index, None] == 0, -10.0, 10.0) + rng.normal(size=(200, 2))
    xy = place_rest(embeddings.astype(np.float16), index, embeddings[index], placed.astype(np.float32))
    np.testing.assert_array_equal(xy[index], placed.astype(np.float32))
    assert ((xy[:, 0] > 0) == (group == 1)).all()
    assert (np.abs(np.abs(xy) - 10) < 4).all()


def test_a_pixel_follows_the_half_of_its_neighbours_around_their_medoid():
    """By brute force: of the 8 nearest by cosine the most central one, and the mean of the 4 nearest to it."""
    rng = np.random.default_rng(1)
    embeddings = unit(rng.normal(size=(60, 6)))
    index = np.arange(0, 60, 2)
    placed = rng.normal(size=(30, 2)).astype(np.float32)
    xy = place_rest(embeddings, index, embeddings[index], placed)
    for row in range(1, 60, 2):
        near = placed[np.argsort(-(embeddings[index] @ embeddings[row]))[:8]]
        apart = np.linalg.norm(near[:, None] - near[None], axis=2)
        central = apart.sum(1).argmin()
        expected = near[np.argsort(apart[central], kind="stable")[:4]].mean(0)
        np.testing.assert_allclose(xy[row], expected, atol=1e-5)


def test_many_points_are_searched_in_lists_and_land_where_the_exact_search_puts_them():
    """With lists of neighbours instead of all of them, nearly every pixel keeps its place."""
    rng = np.random.default_rng(2)
    centres = unit(rng.normal(size=(20, 12)))
    embeddings = unit(centres[rng.integers(0, 20, 8000)] + 0.15 * rng.normal(size=(8000, 12)))
    index = np.arange(0, 8000, 1)[:6000]
    placed = (embeddings[index] @ rng.normal(size=(12, 2))).astype(np.float32)
    in_lists = place_rest(embeddings, index, embeddings[index], placed)
    exact = place_rest(embeddings, index, embeddings[index], placed, lists=1000)  # so that 6,000 rows are few
    away = np.linalg.norm(in_lists - exact, axis=1)[6000:]
    assert (away < 1e-6).mean() > 0.9 and away.max() < np.ptp(placed)


def test_neighbours_equal_scikit_learn():
    """The neighbours that UMAP gets are the exact ones by cosine, nearest first, each row its own first."""
    rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index, distance = cosine_neighbors(rows, 7)
    theirs, ids = NearestNeighbors(n_neighbors=7, metric="cosine").fit(rows).kneighbors(rows)
    np.testing.assert_array_equal(index, ids)
    np.testing.assert_allclose(distance, theirs, atol=1e-5)
    np.testing.assert_array_equal(index[:, 0], np.arange(200))


@pytest.mark.slow
def test_the_command_runs_the_real_umap(finished_copy, say):
    """`project` on a few points gives every sampled pixel finite coordinates that the app can load."""
    run, threads = finished_copy.current_run(), torch.get_num_threads()
    said = say("project", "--workspace", finished_copy.root, "--points", 40, "--neighbors", 4, "--min-dist", 0.2)
    assert said.code == 0, said.err
    found = load_projection(run, "umap", UmapSettings(points=40, neighbors=4, min_dist=0.2))
    assert np.isfinite(found.xy).all() and len(found.xy) == len(run.sample().pca)
    assert found.xy.std() > 0
    assert "umap-40-n4-d0.2-s0.npz" in said.out
    assert torch.get_num_threads() == threads  # which numba sets: what is computed later would differ by rounding
