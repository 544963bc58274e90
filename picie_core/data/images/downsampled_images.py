"""Images at a fixed downsample, whatever their size, whole or in windows.

A pixel that the network sees stands for as many pixels of every image, as satellite and microscope images need it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from picie_core.data.images.image_file import MAX_PIXELS, ImageError
from picie_core.data.images.image_index import ImageRecord
from picie_core.data.images.image_pyramid import size_at
from picie_core.data.images.image_source import ImageSource
from picie_core.data.images.pyramid_cache import PyramidCache


def downsampled_size(downsample: int) -> Callable[[ImageRecord], tuple[int, int]]:
    """Returns the function that gives the (width, height) of an image at 1 / `downsample`, a power of two."""
    level = downsample.bit_length() - 1
    return lambda record: size_at(record.width, record.height, level)


class DownsampledImages(ImageSource):
    """Images at 1 / `downsample` of their size, asked for by id, whole or in windows.

    downsample: a power of two, the level of the pyramids is its logarithm.
    """

    def __init__(self, pyramids: PyramidCache, downsample: int):
        super().__init__(pyramids.records, 0)
        self.pyramids, self.level = pyramids, downsample.bit_length() - 1

    def get(self, image_id: int) -> np.ndarray:
        width, height = self.scaled_size(image_id)
        if width * height > MAX_PIXELS:
            raise ImageError(self.records[image_id].path, f"{width}x{height} pixels: read it in windows")
        return self.window(image_id, 0, 0, height, width)

    def scaled_size(self, image_id: int) -> tuple[int, int]:
        record = self.records[image_id]
        return size_at(record.width, record.height, self.level)

    def window(self, image_id: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        return self.pyramids.get(image_id).window(self.level, top, left, height, width)
