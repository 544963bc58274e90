"""Tiles: they cover every position once, begin on the network's grid, and have room around what they are valid for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picie_core.data.feature_grid import STRIDE, feature_map_shape
from picie_core.data.tiling import TileGrid, spans
from picie_core.errors import SettingError
from picie_core.settings import TOTAL_STRIDE, TilingSettings


@settings(derandomize=True)
@given(st.integers(32, 6000), st.sampled_from([256, 512, 1280]), st.sampled_from([0, 32, 96, 128]))
def test_spans_cover_an_axis_once_with_context(length_px, tile_px, overlap_px):
    """Valid parts follow one another; each lies half an overlap inside its tile, but at the ends of the axis."""
    found = spans(length_px, tile_px, overlap_px)
    assert [one.first for one in found] == [0, *(one.last for one in found[:-1])]
    assert found[-1].last == -(-length_px // STRIDE)
    for one in found:
        assert one.start_px % TOTAL_STRIDE == 0 and one.size_px % TOTAL_STRIDE == 0
        assert one.size_px == found[0].size_px <= tile_px and one.first < one.last
        before, after = one.first * STRIDE - one.start_px, one.start_px + one.size_px - one.last * STRIDE
        assert before >= overlap_px // 2 or one is found[0]
        assert after >= overlap_px // 2 or one is found[-1]
    assert found[-1].start_px + found[-1].size_px - length_px in range(TOTAL_STRIDE)


def test_tiles_read_the_image_and_repeat_its_border():
    """A tile is a crop; what lies beyond the image is its last row and column."""
    image = np.random.default_rng(0).integers(0, 256, (330, 500, 3), dtype=np.uint8)
    grid = TileGrid(330, 500, TilingSettings(1, 256, 64))
    filled = np.pad(image, ((0, 352 - 330), (0, 512 - 500), (0, 0)), mode="edge")
    seen = np.zeros(grid.map_shape, int)
    for number in range(len(grid)):
        tile = grid[number]
        pixels = tile.read(lambda t, le, h, w: image[t : t + h, le : le + w], 330, 500)
        top, left = tile.rows.start_px, tile.columns.start_px
        np.testing.assert_array_equal(pixels, filled[top : top + 256, left : left + 256])
        seen[tile.rows.first : tile.rows.last, tile.columns.first : tile.columns.last] += 1
        assert np.zeros((64, 64))[tile.valid].shape == seen[tile.rows.first : tile.rows.last, : tile.columns.last][
            :, tile.columns.first :].shape  # fmt: skip
    assert (seen == 1).all() and grid.map_shape == feature_map_shape(330, 500)


def test_covering_names_the_tiles_of_a_window():
    """Exactly the tiles whose valid parts meet the window."""
    grid = TileGrid(1000, 1400, TilingSettings(1, 256, 64))
    owner = np.zeros(grid.map_shape, int)
    for number in range(len(grid)):
        tile = grid[number]
        owner[tile.rows.first : tile.rows.last, tile.columns.first : tile.columns.last] = number
    for rows, columns in [((0, 1), (0, 1)), ((40, 90), (100, 101)), ((0, 250), (0, 350)), ((249, 250), (3, 349))]:
        assert set(grid.covering(rows, columns)) == set(np.unique(owner[slice(*rows), slice(*columns)]).tolist())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((3, 1280, 256), "downsample=3 is unknown: choose one of 0, 1, 2, 4"),
        ((1, 1000, 256), "tile=1000 must be a multiple of 32: give 992 or 1024"),
        ((1, 1280, 100), "overlap=100 must be a multiple of 32: give 96 or 128"),
        ((1, 512, 288), "overlap=288 must be at most half of tile=512: lower it"),
        ((1, 128, 0), "tile=128 is too small: give at least 256"),
    ],
)
def test_tilings_that_cannot_be_are_refused(values, words):
    """The message names the option, its value and what to give."""
    with pytest.raises(SettingError, match=words):
        TilingSettings(*values)
