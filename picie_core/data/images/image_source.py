"""Where the network gets its images from: a cache on disk, or arrays and files that a program hands over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from picie_core.data.images.image_file import (
    MAX_PIXELS,
    MIN_SIDE_PX,
    ImageError,
    probe_image,
    read_resized,
    resize_image,
    scaled_size,
)
from picie_core.data.images.image_index import ImageRecord
from picie_core.errors import PicieError, SettingError


class ImageSource:
    """Images at shorter side `size_px`, asked for by id; safe to use from several threads."""

    def __init__(self, records: list[ImageRecord], size_px: int):
        self.records, self.size_px = records, size_px

    def get(self, image_id: int) -> np.ndarray:
        """Returns image `image_id` at its scaled size: uint8 RGB (h, w, 3).

        Raises ImageError (a PicieError) with file and reason when the image cannot be decoded.
        """
        raise NotImplementedError

    def scaled_size(self, image_id: int) -> tuple[int, int]:
        """Returns the (width, height) that image `image_id` has here, without opening its file."""
        record = self.records[image_id]
        return scaled_size(record.width, record.height, self.size_px)

    def window(self, image_id: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Returns a window that lies inside the image at its scaled size: uint8 RGB (height, width, 3).

        Raises ImageError as `get`.
        """
        return self.get(image_id)[top : top + height, left : left + width]

    def iterate(
        self, ids: Iterable[int], threads: int = 2, ahead: int = 32
    ) -> Iterator[tuple[int, np.ndarray | PicieError]]:
        """Yields (id, image or its error) in the order of `ids`; at most `ahead` are decoded early."""
        pool = ThreadPoolExecutor(threads)
        waiting: deque[tuple[int, Future[np.ndarray]]] = deque()
        try:
            for image_id in ids:
                waiting.append((image_id, pool.submit(self.get, image_id)))
                if len(waiting) >= ahead:
                    yield _result(*waiting.popleft())
            while waiting:
                yield _result(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def flush(self) -> None:
        """Makes what was stored since the last time visible to others, in a source that stores."""

    def refresh(self) -> None:
        """Takes in what another process has stored since, in a source that stores."""


def _result(image_id: int, future: Future[np.ndarray]) -> tuple[int, np.ndarray | PicieError]:
    try:
        return image_id, future.result()
    except PicieError as error:
        return image_id, error


class GivenImages(ImageSource):
    """Arrays and image files, in their order; each is scaled when it is asked for, nothing is stored.

    images: uint8 RGB arrays (H, W, 3), or paths of files. Raises SettingError for an array of another kind,
    ImageError for a file that is no image.
    """

    def __init__(self, images: Sequence[np.ndarray | Path], size_px: int):
        self.images = images
        super().__init__([_record(index, image) for index, image in enumerate(images)], size_px)

    def get(self, image_id: int) -> np.ndarray:
        image = self.images[image_id]
        if isinstance(image, np.ndarray):  # torch warns of arrays that may not be written to
            return np.require(resize_image(image, self.size_px), requirements=["C", "W"])
        return read_resized(image, self.size_px)


def _record(index: int, image: np.ndarray | Path) -> ImageRecord:
    if not isinstance(image, np.ndarray):
        return ImageRecord(index, str(image), *probe_image(image), stamp=0)
    name = f"image {index}"
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise SettingError(f"{name} is {image.dtype} of shape {image.shape}: give uint8 RGB arrays (H, W, 3)")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE_PX or height * width > MAX_PIXELS:
        raise ImageError(name, f"{width}x{height} pixels: give a shorter side of at least {MIN_SIDE_PX} and at most "
                               f"{MAX_PIXELS // 1_000_000} million pixels")  # fmt: skip
    return ImageRecord(index, name, width, height, stamp=0)
