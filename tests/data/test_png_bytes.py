"""PNG bytes of arrays: every pixel comes back."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from picie_core.data.images.image_file import png_bytes

ARRAYS = [
    ((3, 4), np.uint8, "L"),
    ((3, 4, 3), np.uint8, "RGB"),
    ((3, 4, 4), np.uint8, "RGBA"),
    ((3, 4), np.uint16, "I;16"),
]


@pytest.mark.parametrize("shape, dtype, mode", ARRAYS)
def test_png_bytes_come_back(shape, dtype, mode):
    """A PNG returns every pixel, in the mode of the array."""
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    with Image.open(io.BytesIO(png_bytes(array))) as image:
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image), array)
