"""Small-region removal by hand: what goes, what it becomes, and what stays."""

from __future__ import annotations

import numpy as np

from picie_core.segmentation.small_regions import remove_small_regions


def picture(*lines: str) -> np.ndarray:
    """A mask from its digits; `x` is 255."""
    return np.array([[255 if sign == "x" else int(sign) for sign in line] for line in lines], np.uint8)


def test_small_regions_by_hand():
    """A region of two pixels goes, one of three stays; touching at a corner is not being connected."""
    mask = picture("00000011", "01000010", "00100000", "00020002", "00000022")
    expected = picture("00000011", "00000010", "00000000", "00000002", "00000022")
    np.testing.assert_array_equal(remove_small_regions(mask, 3), expected)
    np.testing.assert_array_equal(remove_small_regions(mask, 1), mask)
    np.testing.assert_array_equal(remove_small_regions(mask, 0), mask)


def test_a_small_region_takes_the_label_of_the_nearest_pixel_that_stays():
    """Between two regions every pixel of a small one goes to the nearer one."""
    mask = picture("00034111", "00034111", "00034111")
    np.testing.assert_array_equal(remove_small_regions(mask, 4), picture("00001111", "00001111", "00001111"))


def test_ignored_pixels_stay_ignored():
    """A hole that is ignored stays ignored, however small; a small region amid ignored pixels becomes ignored."""
    mask = picture("0000xxxx", "0x00xx1x", "0000xxxx")
    np.testing.assert_array_equal(remove_small_regions(mask, 3), picture("0000xxxx", "0x00xxxx", "0000xxxx"))
    filled = remove_small_regions(mask, 3, ignored=None)  # where 255 is a cluster, it is one like any other
    np.testing.assert_array_equal(filled, picture("0000xxxx", "0000xxxx", "0000xxxx"))


def test_a_mask_of_small_regions_alone_stays():
    """There is nothing that they could become."""
    mask = picture("01", "10")
    np.testing.assert_array_equal(remove_small_regions(mask, 100), mask)
