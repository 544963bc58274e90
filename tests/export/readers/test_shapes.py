"""Run lengths and polygons become pixels: by hand, and against slow versions of the same rule."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.export.readers.mask_set import MaskError
from picie_core.export.readers.run_lengths import from_runs, unpack_counts
from picie_core.export.readers.shapes import BoxRuns, Polygon, Runs, paint_shapes
from tests.export.readers.small_files import pack_counts


def ring(*corners: tuple[float, float]) -> Polygon:
    return Polygon(1, (np.array(corners, np.float32),))


def painted(*shapes: object, size: tuple[int, int] = (6, 4)) -> np.ndarray:
    return paint_shapes("a.png", shapes, size).mask


# -- run lengths


@pytest.mark.parametrize(
    "text, counts",
    [("", []), ("0", [0]), ("61X13mN000`0", [6, 1, 40, 4, 5, 4, 5, 4, 21]), ("PP1", [1024]), ("o0", [31])],
)
def test_packed_runs_by_hand(text, counts):
    """The first one is the example that the sources of the COCO API carry."""
    assert unpack_counts(text).tolist() == counts


def test_packed_runs_are_those_that_were_packed():
    """Short, long, equal and falling runs, up to more pixels than any picture has."""
    rng = np.random.default_rng(0)
    for length in (1, 2, 3, 4, 5, 50, 1001):
        counts = rng.integers(0, 1 << rng.integers(1, 40), length).tolist()
        assert unpack_counts(pack_counts(counts)).tolist() == counts


@pytest.mark.parametrize("text", ["P", "0P", "0 0", "0~0", "0é", "Q" * 40 + "0"])
def test_what_is_no_run_length_is_refused(text):
    with pytest.raises(ValueError):
        unpack_counts(text)


def test_runs_have_to_fill_the_picture():
    assert from_runs(np.array([1, 2, 3]), 6).tolist() == [False, True, True, False, False, False]
    with pytest.raises(ValueError, match="6 pixels, not 7"):
        from_runs(np.array([1, 2, 3]), 7)
    with pytest.raises(ValueError, match="not 4"):
        from_runs(np.array([5, -1]), 4)


def test_coco_runs_go_down_the_columns():
    """Two zeros, then three ones: the last of column 0 and the first two of column 1."""
    expected = np.full((3, 2), 255, np.uint8)
    expected[2, 0] = expected[0, 1] = expected[1, 1] = 1
    for counts in (np.array([2, 3, 1]), pack_counts([2, 3, 1])):
        np.testing.assert_array_equal(painted(Runs(1, counts, (3, 2)), size=(2, 3)), expected)


def test_cvat_runs_go_along_the_rows_of_their_box():
    """One zero, then three ones in a box of 2 x 2 at column 3, row 1."""
    expected = np.full((4, 6), 255, np.uint8)
    expected[1, 4] = expected[2, 3] = expected[2, 4] = 1
    np.testing.assert_array_equal(painted(BoxRuns(1, "1, 3", (3, 1, 2, 2))), expected)


@pytest.mark.parametrize("left, top", [(-1, 0), (0, -1), (5, 0), (0, 3), (-1, -1), (5, 3), (9, 9), (-9, -9)])
def test_a_box_that_reaches_out_is_clipped_and_told(left, top):
    """What lies inside is painted where it belongs."""
    expected = np.full((24, 26), 255, np.uint8)
    expected[10 + top : 12 + top, 10 + left : 12 + left] = 1
    reading = paint_shapes("a.png", [BoxRuns(1, "0, 4", (left, top, 2, 2))], (6, 4))
    np.testing.assert_array_equal(reading.mask, expected[10:14, 10:16])
    assert reading.notes == ("1 shape reached out of the picture and was clipped",)


# -- polygons


def test_a_square_covers_the_pixels_between_its_corners():
    """From corner 1,1 to 4,3 there are three by two pixels; the outline adds none."""
    expected = np.full((4, 6), 255, np.uint8)
    expected[1:3, 1:4] = 1
    for corners in ([(1, 1), (4, 1), (4, 3), (1, 3)], [(1, 3), (4, 3), (4, 1), (1, 1)]):
        np.testing.assert_array_equal(painted(ring(*corners)), expected)


def test_two_polygons_side_by_side_share_no_pixel_and_leave_none():
    """A border through pixels belongs to one of both sides, wherever it lies."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        above, below = rng.uniform(0, 20, 2)
        left = Polygon(1, (np.array([(0, 0), (above, 0), (below, 15), (0, 15)]),))
        right = Polygon(2, (np.array([(above, 0), (20, 0), (20, 15), (below, 15)]),))
        both = painted(left, size=(20, 15)), painted(right, size=(20, 15))
        assert ((both[0] == 1) ^ (both[1] == 2)).all()


def test_polygons_are_those_of_the_rule_for_each_pixel():
    """Any polygon, also one that crosses itself and reaches out: a ray from each centre counts its edges."""
    rng = np.random.default_rng(2)
    for corners in (3, 4, 5, 9, 40):
        for _ in range(8):
            points = rng.uniform(-6, 26, (corners, 2)).astype(np.float32).astype(np.float64)
            expected = np.full((15, 20), 255, np.uint8)
            for row in range(15):
                for column in range(20):
                    x, y, inside = column + 0.5, row + 0.5, False
                    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, 0), strict=True):
                        if (y1 <= y) != (y2 <= y) and x1 + (y - y1) / (y2 - y1) * (x2 - x1) <= x:
                            inside = not inside
                    if inside:
                        expected[row, column] = 1
            np.testing.assert_array_equal(painted(Polygon(1, (points,)), size=(20, 15)), expected)


def test_a_polygon_that_reaches_out_is_clipped_and_told():
    expected = np.full((4, 6), 255, np.uint8)
    expected[:2, 4:] = 1
    reading = paint_shapes("a.png", [ring((4, -3), (99, -3), (99, 2), (4, 2))], (6, 4))
    np.testing.assert_array_equal(reading.mask, expected)
    assert reading.notes == ("1 shape reached out of the picture and was clipped",)
    reading = paint_shapes("a.png", [ring((40, 40), (50, 40), (50, 50))], (6, 4))
    assert (reading.mask == 255).all() and len(reading.notes) == 1


def test_later_shapes_lie_over_earlier_ones():
    lower, upper = ring((0, 0), (6, 0), (6, 4), (0, 4)), BoxRuns(2, "0,1", (2, 2, 1, 1))
    mask = painted(lower, upper)
    assert mask[2, 2] == 2 and (np.delete(mask.ravel(), 2 * 6 + 2) == 1).all()
    assert (painted(upper, lower) == 1).all()


@pytest.mark.parametrize(
    "shape",
    [
        ring((0, 0), (1, 1)),
        ring((0, 0), (np.nan, 1), (2, 2)),
        ring((0, 0), (np.inf, 1), (2, 2)),
        Runs(1, "61", (4, 6)),
        Runs(1, np.array([24]), (6, 4)),
        BoxRuns(1, "1,x", (0, 0, 1, 1)),
        BoxRuns(1, "1,1", (0, 0, -1, -2)),
        BoxRuns(1, "1", (0, 0, 1 << 40, 1 << 40)),
    ],
)
def test_a_damaged_shape_is_named(shape):
    with pytest.raises(MaskError, match=r"a\.png: shape 2 is damaged \(.*\): export it again"):
        painted(ring((0, 0), (1, 0), (1, 1)), shape)
