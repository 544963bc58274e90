"""The flow of an export: reading ahead, the network in batches, writing behind it; memory stays flat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from picie_core.data.image_cache import ImageCache
from picie_core.data.image_file import ImageError, probe_image, read_resized
from picie_core.data.image_folder import Problem
from picie_core.export.mask_format import Format, Item, Legend, Written
from picie_core.progress import Meter, Report
from picie_core.segmentation.post_processing import ignored_id

BATCH = 8
READERS, WRITERS = 2, 2

FeatureSource = Callable[[np.ndarray], np.ndarray]
"""Resized images (B, H, W, 3) uint8 to their feature maps (B, h, w, D)."""


class Pipeline:
    """Takes items through reading, network and writing, and remembers which could not be read."""

    def __init__(self, cache: ImageCache, feature_source: FeatureSource, form: Format, legend: Legend):
        self.cache, self.feature_source, self.form, self.legend = cache, feature_source, form, legend
        self.problems: list[Problem] = []

    def run(self, items: Sequence[Item], folder: Path, report: Report) -> list[Written]:
        """Writes image and mask of each item below `folder`; returns what was written, in the order of the items."""
        meter = Meter("export", len(items), report)
        written: list[Written] = []
        waiting: deque[tuple[Item, Future[Written]]] = deque()
        pool = ThreadPoolExecutor(WRITERS)
        try:
            for batch in self._batches(self._read_ahead(items, meter)):
                feature_map = self.feature_source(np.stack([image for _, image, _ in batch]))  # (B, h, w, D)
                for (item, image, size), own in zip(batch, feature_map, strict=True):
                    waiting.append((item, pool.submit(self._write, item, own, image, size, folder)))
                while len(waiting) > 2 * BATCH:
                    self._collect(*waiting.popleft(), written, meter)
            while waiting:
                self._collect(*waiting.popleft(), written, meter)
        finally:
            pool.shutdown(cancel_futures=True)  # before the folder goes, so that nothing is written into it afterwards
        return sorted(written, key=lambda one: one.item.index)

    def _read(self, item: Item) -> tuple[np.ndarray, tuple[int, int]]:
        """The resized image (h, w, 3), and the (width, height) of the upright full one."""
        if item.image_id is not None:
            return self.cache.get(item.image_id), probe_image(item.source)
        return read_resized(item.source, self.cache.size_px), probe_image(item.source)

    def _read_ahead(self, items: Sequence[Item], meter: Meter) -> Iterator[tuple[Item, np.ndarray, tuple[int, int]]]:
        pool = ThreadPoolExecutor(READERS)
        waiting: deque[tuple[Item, Future[tuple[np.ndarray, tuple[int, int]]]]] = deque()
        remaining = iter(items)
        try:
            while True:
                while len(waiting) < 2 * BATCH and (item := next(remaining, None)) is not None:
                    waiting.append((item, pool.submit(self._read, item)))
                if not waiting:
                    return
                item, future = waiting.popleft()
                try:
                    yield item, *future.result()
                except ImageError as error:
                    self._leave_out(item, error, meter)
        finally:
            pool.shutdown(cancel_futures=True)

    def _batches(
        self, read: Iterator[tuple[Item, np.ndarray, tuple[int, int]]]
    ) -> Iterator[list[tuple[Item, np.ndarray, tuple[int, int]]]]:
        """Groups of images of equal shape; with many shapes the largest group goes before too many wait."""
        groups: dict[tuple[int, ...], list[tuple[Item, np.ndarray, tuple[int, int]]]] = {}
        for item, image, size in read:
            group = groups.setdefault(image.shape, [])
            group.append((item, image, size))
            if len(group) == BATCH:
                yield groups.pop(image.shape)
            elif sum(map(len, groups.values())) >= 4 * BATCH:
                yield groups.pop(max(groups, key=lambda shape: len(groups[shape])))
        yield from groups.values()

    def _write(
        self, item: Item, feature_map: np.ndarray, resized: np.ndarray, size: tuple[int, int], folder: Path
    ) -> Written:
        mask = self.legend.mask(feature_map, size[1], size[0], resized)
        image, mask_path = self.form.write(folder, item, mask, self.legend)
        value = ignored_id(self.legend.post_processing, self.legend.raw)
        ignored = 0 if value is None else int(np.count_nonzero(mask == value))
        return Written(item, image, mask_path, size, ignored)

    def _collect(self, item: Item, future: Future[Written], written: list[Written], meter: Meter) -> None:
        try:
            written.append(future.result())
            meter.advance(1)
        except ImageError as error:
            self._leave_out(item, error, meter)

    def _leave_out(self, item: Item, error: ImageError, meter: Meter) -> None:
        self.problems.append(Problem(item.path, error.reason))
        meter.advance(1)
