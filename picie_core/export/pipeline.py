"""The pipeline of an export: images are read ahead of the network and masks written behind it, in flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from picie_core.data.images.image_cache import ImageCache
from picie_core.data.images.image_file import ImageError, probe_image, read_resized
from picie_core.data.images.image_folder import Problem
from picie_core.export.legend import Legend
from picie_core.export.mask_format import ExportImage, Format, WrittenImage
from picie_core.progress import Meter, Report

BATCH = 8
READERS, WRITERS = 2, 2

FeatureSource = Callable[[np.ndarray], np.ndarray]
"""Resized images (B, H, W, 3) uint8 to their feature maps (B, h, w, D)."""


class _Read(NamedTuple):
    """One image after reading."""

    image: ExportImage
    resized: np.ndarray
    """(H, W, 3) uint8, the input of the network."""
    size: tuple[int, int]
    """Width and height of the upright image at full size."""


class Pipeline:
    """Reads images, computes their masks and writes both; `problems` lists the images that could not be read."""

    def __init__(self, cache: ImageCache, feature_source: FeatureSource, form: Format, legend: Legend):
        self.cache, self.feature_source, self.form, self.legend = cache, feature_source, form, legend
        self.problems: list[Problem] = []

    def run(self, images: Sequence[ExportImage], folder: Path, report: Report) -> list[WrittenImage]:
        """Writes each image and its mask below `folder`; returns what was written, in the order of the images."""
        meter = Meter("export", len(images), report)
        written: list[WrittenImage] = []
        waiting: deque[tuple[ExportImage, Future[WrittenImage]]] = deque()
        pool = ThreadPoolExecutor(WRITERS)

        def collect() -> None:
            image, future = waiting.popleft()
            try:
                written.append(future.result())
            except ImageError as error:
                self.problems.append(Problem(image.path, error.reason))
            meter.advance(1)

        try:
            for batch in self._batches(self._read_ahead(images, meter)):
                feature_maps = self.feature_source(np.stack([one.resized for one in batch]))  # (B, h, w, D)
                for one, feature_map in zip(batch, feature_maps, strict=True):
                    waiting.append((one.image, pool.submit(self._write, one, feature_map, folder)))
                while len(waiting) > 2 * BATCH:
                    collect()
            while waiting:
                collect()
        finally:
            pool.shutdown(cancel_futures=True)  # before the caller removes the folder that the threads write to
        return sorted(written, key=lambda one: one.source.index)

    def _read_ahead(self, images: Sequence[ExportImage], meter: Meter) -> Iterator[_Read]:
        pool = ThreadPoolExecutor(READERS)
        waiting: deque[tuple[ExportImage, Future[_Read]]] = deque()
        remaining = iter(images)
        try:
            while True:
                while len(waiting) < 2 * BATCH and (image := next(remaining, None)) is not None:
                    waiting.append((image, pool.submit(self._read, image)))
                if not waiting:
                    return
                image, future = waiting.popleft()
                try:
                    yield future.result()
                except ImageError as error:
                    self.problems.append(Problem(image.path, error.reason))
                    meter.advance(1)
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, image: ExportImage) -> _Read:
        if image.image_id is not None:
            resized = self.cache.get(image.image_id)
        else:
            resized = read_resized(image.source, self.cache.size_px)
        return _Read(image, resized, probe_image(image.source))

    def _batches(self, read: Iterator[_Read]) -> Iterator[list[_Read]]:
        """Batches of images of equal shape; with many shapes the largest group goes before too many images wait."""
        groups: dict[tuple[int, ...], list[_Read]] = {}
        for one in read:
            group = groups.setdefault(one.resized.shape, [])
            group.append(one)
            if len(group) == BATCH:
                yield groups.pop(one.resized.shape)
            elif sum(map(len, groups.values())) >= 4 * BATCH:
                yield groups.pop(max(groups, key=lambda shape: len(groups[shape])))
        yield from groups.values()

    def _write(self, read: _Read, feature_map: np.ndarray, folder: Path) -> WrittenImage:
        width, height = read.size
        mask = self.legend.mask(feature_map, height, width, read.resized)
        image_path, mask_path = self.form.write_image(folder, read.image, mask, self.legend.classes)
        value = self.legend.ignored_value
        ignored = 0 if value is None else int(np.count_nonzero(mask == value))
        return WrittenImage(read.image, image_path, mask_path, read.size, ignored)
