"""Masks: scores, upsampling and overlays against slow versions and by hand."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from picie_core.clustering.clustering import Clustering
from picie_core.data.feature_grid import positions_of_pixels
from picie_core.segmentation import masks
from picie_core.segmentation.masks import class_mask, class_scores, cluster_colors, cluster_mask, overlay, png_bytes
from picie_core.segmentation.upsampling import interpolate, upsample_argmax
from tests.hand_made import clustering_of, unit


def some_cells(height: int, width: int, k: int, seed: int = 0) -> tuple[np.ndarray, Clustering]:
    """Cells (h, w, 8) and a clustering of k random unit centroids."""
    rng = np.random.default_rng(seed)
    cells = rng.normal(size=(height, width, 8)).astype(np.float32)
    return cells, clustering_of(unit(rng.normal(size=(k, 8))))


def test_two_by_two_to_four_by_four_by_hand():
    """Channel 1 is 3 in a corner cell, channel 0 is 1 everywhere: 1 wins where its share is over 1/3."""
    scores = np.ones((2, 2, 2), np.float32)
    scores[1] = [[3, 0], [0, 0]]
    # shares of cell 0 along an axis of 4 pixels: 1, 3/4, 1/4, 0; their products times 3 are compared with 1
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(upsample_argmax(scores, 4, 4), expected)


def test_the_first_of_equal_channels_wins():
    """Ties are settled by the lower id, the same everywhere, so repeated exports are equal."""
    assert (upsample_argmax(np.full((3, 4, 5), 0.5, np.float32), 17, 23) == 0).all()


@pytest.mark.parametrize("channels, dtype", [(1, np.uint8), (27, np.uint8), (256, np.uint8), (300, np.uint16)])
def test_argmax_equals_torch(channels, dtype):
    """The tiled, pruned computation gives what torch's bilinear upsampling and argmax give."""
    scores = np.random.default_rng(channels).normal(size=(channels, 9, 14)).astype(np.float32)
    full = torch.nn.functional.interpolate(torch.from_numpy(scores)[None], size=(133, 201), mode="bilinear")[0]
    best = full.argmax(0).numpy()
    labels = upsample_argmax(scores, 133, 201)
    assert labels.dtype == dtype
    differ = labels != best  # only where rounding decides between equal scores
    first, second = (np.take_along_axis(full.numpy(), ids[None].astype(int), 0) for ids in (labels, best))
    assert differ.mean() < 1e-3 and (not differ.any() or np.abs(first - second).max() < 1e-5)


@pytest.mark.parametrize("tile_px", [1, 7, 64, 1000])
def test_tiles_equal_the_whole(tile_px):
    """However the picture is cut, every pixel is the same; smooth scores, so that neighbours nearly tie."""
    rng = np.random.default_rng(3)
    coarse = torch.from_numpy(rng.normal(size=(1, 12, 3, 4)).astype(np.float32))
    scores = torch.nn.functional.interpolate(coarse, size=(11, 17), mode="bilinear")[0].numpy()
    whole = upsample_argmax(scores, 83, 131, tile_px=10_000)
    np.testing.assert_array_equal(upsample_argmax(scores, 83, 131, tile_px=tile_px), whole)


@pytest.mark.parametrize(("height", "width"), [(50, 61), (90, 133), (9, 300)])
def test_leaving_out_channels_changes_no_pixel(height, width):
    """Bit by bit the argmax of all upsampled channels: smooth scores that nearly tie, and ties of equal channels."""
    rng = np.random.default_rng(height)
    coarse = torch.from_numpy(rng.normal(size=(1, 40, 4, 5)).astype(np.float32))
    scores = torch.nn.functional.interpolate(coarse, size=(12, 15), mode="bilinear")[0].numpy().copy()
    scores[7] = scores[3]
    scores[9] = np.nextafter(scores[4], np.float32(9))
    down, right = positions_of_pixels(height, 12), positions_of_pixels(width, 15)
    every = interpolate(interpolate(scores.transpose(1, 2, 0), down, axis=0), right, axis=1)
    labels = upsample_argmax(scores, height, width)
    np.testing.assert_array_equal(labels, every.argmax(-1))
    assert len(np.unique(labels)) > 10


def test_shrinking_works_too():
    """A picture with fewer pixels than cells still gets one label a pixel."""
    scores = np.zeros((2, 8, 8), np.float32)
    scores[1, :, 4:] = 1
    np.testing.assert_array_equal(upsample_argmax(scores, 2, 2), [[0, 1], [0, 1]])


def test_memory_is_bounded_for_wide_pictures():
    """A 20,000 px wide picture with 300 clusters stays under 256 MB, its mask included."""
    cells, clustering = some_cells(40, 640, 300)
    cells = cells[:1, :1] + 0.2 * cells  # as in pictures, most of the clusters are out of the question
    tracemalloc.start()
    mask = cluster_mask(cells, clustering, 600, 20_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mask.shape == (600, 20_000) and peak < 256e6


def test_rows_of_scores_equal_all_scores(monkeypatch):
    """Scores that are made a few rows at a time, to save memory, give the same mask as all at once."""
    cells, clustering = some_cells(40, 50, 20)
    whole = cluster_mask(cells, clustering, 333, 417)
    monkeypatch.setattr(masks, "SCORES_BYTES", 1000)
    np.testing.assert_array_equal(cluster_mask(cells, clustering, 333, 417), whole)


def test_scores_are_cosines_to_the_best_cluster_of_a_channel():
    """Against the definition, cell by cell; the length of a cell (int8 ones have any) does not matter."""
    cells, clustering = some_cells(5, 6, 7)
    groups = np.array([2, 0, 1, 0, 2, 2, 1])
    cosines = unit(cells) @ clustering.centroids.T
    for channel in range(3):
        expected = cosines[..., groups == channel].max(-1)
        np.testing.assert_allclose(class_scores(cells, clustering.centroids, groups)[channel], expected, atol=1e-6)
    scaled = class_scores(cells * np.linspace(1, 9, 6)[None, :, None], clustering.centroids, groups)
    np.testing.assert_allclose(scaled, class_scores(cells, clustering.centroids, groups), atol=1e-6)
    quantised = np.rint(cells / np.abs(cells).max(-1, keepdims=True) * 127).astype(np.int8)
    np.testing.assert_allclose(class_scores(quantised, clustering.centroids), cosines.transpose(2, 0, 1), atol=0.02)


def test_an_empty_cell_has_no_score():
    """A cell of zeros gives zeros, not NaN."""
    assert (class_scores(np.zeros((2, 2, 8), np.int8), some_cells(1, 1, 3)[1].centroids) == 0).all()


def test_cluster_masks_leave_255_free_up_to_255_clusters():
    """Raw ids are uint8 while 255 means nothing else, then uint16."""
    for k, dtype in ((255, np.uint8), (256, np.uint16), (300, np.uint16)):
        cells, clustering = some_cells(20, 20, k)
        mask = cluster_mask(cells, clustering, 40, 40)
        assert mask.dtype == dtype and mask.max() < k


def test_a_merge_never_swaps_ids():
    """With two clusters in one class no class takes another's id: names are a look-up of clusters."""
    cells, clustering = some_cells(12, 12, 6)
    raw = cluster_mask(cells, clustering, 12, 12)  # one pixel a cell: no interpolation
    merged = class_mask(cells, clustering, {0: 4, 1: 2, 2: 4, 3: 0, 4: 255}, 12, 12)
    expected = np.array([4, 2, 4, 0, 255, 255], np.uint8)[raw]
    np.testing.assert_array_equal(merged, expected)


def test_naming_every_cluster_apart_equals_the_clusters():
    """With one class a cluster the class mask is the cluster mask, whatever the ids, everywhere."""
    cells, clustering = some_cells(9, 9, 5)
    ids = {0: 3, 1: 0, 2: 4, 3: 1, 4: 2}
    raw = cluster_mask(cells, clustering, 70, 90)
    expected = np.array([ids[cluster] for cluster in range(5)], np.uint8)[raw]
    assert (class_mask(cells, clustering, ids, 70, 90) == expected).mean() > 0.9999


def test_nothing_named_is_all_ignored():
    """Without names there is no class to write."""
    cells, clustering = some_cells(4, 4, 3)
    assert (class_mask(cells, clustering, {}, 9, 9) == 255).all()


def test_overlay_by_hand():
    """Half opacity is the mean; hidden ids and ids without a colour leave the picture as it is."""
    image = np.full((1, 4, 3), 100, np.uint8)
    labels = np.array([[0, 1, 2, 255]], np.uint8)
    painted = overlay(image, labels, {0: (200, 0, 100), 1: (0, 0, 0), 255: (9, 9, 9)}, 0.5, hidden={1})
    assert painted.dtype == np.uint8
    np.testing.assert_array_equal(painted[0], [(150, 50, 100), (100,) * 3, (100,) * 3, (55,) * 3])
    np.testing.assert_array_equal(overlay(image, labels, {0: (1, 2, 3)}, 0.0), image)
    np.testing.assert_array_equal(image, 100)


def test_overlay_outline_is_in_full_colour():
    """Both sides of a border carry their own colour, the inside the mixed one; a hidden side has no line."""
    image, labels = np.zeros((3, 6, 3), np.uint8), np.repeat([[0, 0, 0, 1, 1, 1]], 3, axis=0)
    colors = np.array([[200, 0, 0], [0, 200, 0]])
    row = overlay(image, labels, colors, 0.5, outline=True)[1]
    assert row.tolist() == [[100, 0, 0]] * 2 + [[200, 0, 0], [0, 200, 0]] + [[0, 100, 0]] * 2
    row = overlay(image, labels, colors, 0.5, hidden=[1], outline=True)[1]
    assert row.tolist() == [[100, 0, 0]] * 2 + [[200, 0, 0]] + [[0, 0, 0]] * 3


def test_overlay_takes_cluster_ids_above_255():
    """Raw masks of many clusters are painted as well."""
    painted = overlay(np.zeros((1, 2, 3), np.uint8), np.array([[299, 7]], np.uint16), cluster_colors(300), 1.0)
    np.testing.assert_array_equal(painted[0], cluster_colors(300)[[299, 7]])


def test_cluster_colors_are_distinct_and_stay():
    """Every cluster of 500 has its own colour, the first ones are far apart, and K does not change them."""
    many = cluster_colors(500)
    assert len(np.unique(many, axis=0)) == 500
    np.testing.assert_array_equal(many[:27], cluster_colors(27))
    first = many[:20].astype(int)
    apart = np.abs(first[:, None] - first[None]).sum(-1) + 1000 * np.eye(20, dtype=int)
    assert apart.min() > 60
    assert np.ptp(many.astype(int), axis=1).min() > 40, "greys are for what has no colour"


PICTURES = [
    ((3, 4), np.uint8, "L"),
    ((3, 4, 3), np.uint8, "RGB"),
    ((3, 4, 4), np.uint8, "RGBA"),
    ((3, 4), np.uint16, "I;16"),
]


@pytest.mark.parametrize("shape, dtype, mode", PICTURES)
def test_png_bytes_come_back(shape, dtype, mode):
    """A PNG returns every pixel, in the mode of the array."""
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    with Image.open(io.BytesIO(png_bytes(array))) as image:
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image), array)
