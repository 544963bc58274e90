"""Feature-map geometry: against torch, by hand, there and back, and against the network itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from picie_core.data.feature_grid import centre_px, feature_map_shape, pixels_at_positions, positions_of_pixels
from picie_core.models.embedder import Embedder
from picie_core.settings import EmbedderSettings


@pytest.mark.parametrize(("size_px", "shape"), [((64, 96), (16, 24)), ((66, 99), (17, 25)), ((1, 4), (1, 1))])
def test_a_feature_map_has_a_quarter_of_the_side_rounded_up(size_px, shape):
    """By hand, and as the network gives it."""
    assert feature_map_shape(*size_px) == shape
    if min(size_px) > 32:
        network = Embedder(EmbedderSettings(weights="none", dim=4)).eval()
        assert network(torch.zeros(1, 3, *size_px)).shape[2:] == shape


def test_positions_are_those_of_torch_interpolate():
    """A ramp over positions, upsampled, has each pixel's position: torch's `align_corners=False`."""
    for length, full in ((7, 29), (80, 320), (5, 3), (1, 9)):
        ramp = torch.arange(length, dtype=torch.float64)[None, None]
        expected = torch.nn.functional.interpolate(ramp, size=full, mode="linear", align_corners=False)
        np.testing.assert_allclose(positions_of_pixels(full, length), expected[0, 0].numpy(), atol=1e-12)


def test_positions_of_some_pixels_are_those_of_all():
    """Asking for a piece of an axis gives what that piece has in the whole."""
    np.testing.assert_array_equal(positions_of_pixels(90, 23)[30:50], positions_of_pixels(90, 23, np.arange(30, 50)))


@pytest.mark.parametrize("size_px", [(64, 96), (320, 480), (331, 77)])
def test_the_pixel_at_a_position_lies_at_that_position(size_px):
    """There and back: the pixel that holds the centre of a position is at most half a pixel from it."""
    positions = np.stack(np.meshgrid(np.arange(16), np.arange(24), indexing="ij"), -1).reshape(-1, 2)
    pixels = pixels_at_positions(positions, (16, 24), size_px)
    assert (pixels >= 0).all() and (pixels < size_px).all()
    for axis, length in enumerate((16, 24)):
        back = positions_of_pixels(size_px[axis], length, pixels[:, axis])
        assert np.abs(back - positions[:, axis]).max() <= 0.5 * length / size_px[axis] + 1e-9


def test_the_centre_of_a_position_is_between_its_two_middle_pixels():
    """Position 3 holds pixels 12 to 15, so its centre is 13.5; there the pixels' own positions agree."""
    assert centre_px(3) == 13.5
    np.testing.assert_array_equal(centre_px(np.array([0, 3])), [1.5, 13.5])
    assert positions_of_pixels(64, 16, np.array([13.5])) == 3
