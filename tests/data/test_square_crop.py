"""The square of an image: from the centre as the authors of the paper cut it, or anywhere along the longer side."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.data.images.square_crop import square_crop


@pytest.mark.parametrize(
    ("height", "width", "top", "left"), [(20, 31, 0, 6), (41, 20, 10, 0), (23, 20, 2, 0), (20, 20, 0, 0)]
)
def test_the_square_is_cut_from_the_centre(height, width, top, left):
    """Half of the margin lies on each side, rounded as the authors' code rounds it."""
    image = np.arange(height * width * 3).reshape(height, width, 3)
    np.testing.assert_array_equal(square_crop(image), image[top : top + 20, left : left + 20])
    np.testing.assert_array_equal(square_crop(image[..., 0]), image[top : top + 20, left : left + 20, 0])


@pytest.mark.parametrize(("height", "width"), [(20, 50), (50, 20), (20, 20)])
def test_square_crop_reaches_both_ends(height, width):
    """The square has the shorter side; share 0 is one end of the image, share just below 1 the other."""
    image = np.arange(height * width).reshape(height, width, 1)
    np.testing.assert_array_equal(square_crop(image, 0.0), image[:20, :20])
    np.testing.assert_array_equal(square_crop(image, 0.999999), image[-20:, -20:])
