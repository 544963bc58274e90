"""Upsampling of scores: by hand, against torch, and tiles and pruned channels against everything at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from picie_core.clustering.confidence import best_and_margin, confidence_of
from picie_core.data.feature_grid import positions_of_pixels
from picie_core.segmentation.upsampling import upsample, upsample_argmax, upsample_best_and_margin


def test_two_by_two_to_four_by_four_by_hand():
    """Channel 1 is 3 in a corner position, channel 0 is 1 everywhere: 1 wins where its share is over 1/3."""
    scores = np.ones((2, 2, 2), np.float32)
    scores[1] = [[3, 0], [0, 0]]
    # shares of position 0 along an axis of 4 pixels: 1, 3/4, 1/4, 0; their products times 3 are compared with 1
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
    every = upsample(scores, down, right)
    labels = upsample_argmax(scores, height, width)
    np.testing.assert_array_equal(labels, every.argmax(0))
    assert len(np.unique(labels)) > 10


def test_shrinking_works_too():
    """A picture with fewer pixels than positions still gets one label a pixel."""
    scores = np.zeros((2, 8, 8), np.float32)
    scores[1, :, 4:] = 1
    np.testing.assert_array_equal(upsample_argmax(scores, 2, 2), [[0, 1], [0, 1]])


# -- margins


def some_scores(channels: int, height: int = 9, width: int = 12, seed: int = 0) -> np.ndarray:
    """Smooth-ish random scores (C, h, w), many channels far below the best."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(channels, height, width)) * 0.2 + rng.normal(size=(channels, 1, 1))).astype(np.float32)


@pytest.mark.parametrize("channels, size", [(2, (36, 48)), (7, (150, 201)), (40, (77, 300)), (300, (80, 90))])
def test_labels_and_margins_are_those_of_all_channels(channels, size):
    """Only some channels are compared in a tile; the result is that of comparing all, and the labels those of masks."""
    scores = some_scores(channels)
    labels, margin = upsample_best_and_margin(scores, *size)
    full = torch.nn.functional.interpolate(
        torch.from_numpy(scores)[None], size=size, mode="bilinear", align_corners=False
    )[0]
    two = full.topk(2, dim=0).values.numpy()
    np.testing.assert_allclose(margin, two[0] - two[1], atol=4e-6)
    np.testing.assert_array_equal(labels, upsample_argmax(scores, *size))
    assert labels.dtype == (np.uint8 if channels <= 256 else np.uint16) and margin.dtype == np.float32


def test_ties_are_no_confidence_and_a_lone_channel_full_confidence():
    """The first of equal channels wins with confidence 0; where nothing else is possible, all is certain."""
    labels, margin = upsample_best_and_margin(np.full((3, 4, 5), 0.5, np.float32), 17, 23)
    assert (labels == 0).all() and (confidence_of(margin) == 0).all()
    labels, margin = upsample_best_and_margin(np.zeros((1, 4, 5), np.float32), 17, 23)
    assert (labels == 0).all() and (confidence_of(margin) == 1).all()


@pytest.mark.parametrize("tile_px", [1, 7, 64, 1000])
def test_margins_are_those_of_all_channels_bit_by_bit(tile_px):
    """However the picture is cut, and whatever channels are left out: the two best of all upsampled channels."""
    scores = some_scores(30)
    rows, columns = positions_of_pixels(61, 9), positions_of_pixels(83, 12)
    label, margin = best_and_margin(upsample(scores, rows, columns))
    found = upsample_best_and_margin(scores, 61, 83, tile_px)
    np.testing.assert_array_equal(found[0], label)
    np.testing.assert_array_equal(found[1], margin)
