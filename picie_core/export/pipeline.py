"""The pipeline of an export: images are read ahead of the network and masks written behind it, in flat memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_cache import ImageCache
from picie_core.data.images.image_file import ImageError, probe_image, read_resized
from picie_core.data.images.image_folder import file_stamp
from picie_core.export.confidence_maps import write_confidence
from picie_core.export.journal import Journal, JournalLine
from picie_core.export.legend import Legend
from picie_core.export.mask_format import Entry, Format, MaskClass, MaskedImage
from picie_core.progress import Meter, Report

BATCH = 8
READERS, WRITERS = 2, 2
ROWS = 1024
"""Rows of a large mask that are changed at once."""

FeatureSource = Callable[[np.ndarray], np.ndarray]
"""Resized images (B, H, W, 3) uint8 to their feature maps (B, h, w, D)."""
MaskSource = Callable[["ExportImage", bool], AbstractContextManager[tuple[np.ndarray, np.ndarray | None]]]
"""An image, and whether its confidence is wanted, to its mask (H, W), the class ids of the label map or cluster ids,
and its confidence (H, W) uint8, 255 for 1; both may be changed, and last as long as the block."""
AnnotationSource = Callable[[str], np.ndarray | None]
"""Path of an image to its annotation (H, W) uint8 of class ids, 255 where ignored; None where it has none."""


@dataclass(frozen=True)
class ExportImage:
    """One image to export."""

    index: int
    """Its number in the export, from 0."""
    path: str
    """Posix path below the folder of images."""
    source: Path
    split: str
    """`train` or `val`."""
    stems: dict[str, str]
    """Its name without suffix by format."""
    image_id: int | None = None
    """Its id in the workspace; None for images of another folder."""
    stamp: int = 0
    """`file_stamp` when it was listed."""


@dataclass(frozen=True)
class Target:
    """A format, where it is written, and the classes under the names that it can hold."""

    form: Format
    folder: Path
    classes: list[MaskClass]


class _Read(NamedTuple):
    """One image after reading."""

    image: ExportImage
    resized: np.ndarray | None
    """(H, W, 3) uint8, the input of the network; None where the mask is made otherwise."""
    size: tuple[int, int]
    """Width and height of the upright image at full size."""
    annotation: np.ndarray | None


@dataclass(frozen=True)
class Pipeline:
    """Reads images, computes each mask once and writes it in all formats."""

    cache: ImageCache | None
    """None where `whole_masks` makes the masks, as is `feature_source`."""
    feature_source: FeatureSource | None
    legend: Legend
    targets: Sequence[Target]
    image_files: str = "copy"
    """As of MaskedImage."""
    confidence: tuple[str, Path] | None = None
    """Kind of the confidence maps, png or npz, and their folder."""
    annotation: AnnotationSource = lambda path: None
    whole_masks: MaskSource | None = None
    """Makes the masks instead of feature maps and legend, where images are embedded in tiles."""
    finished: Callable[[str, np.ndarray], None] = lambda path, mask: None
    """Gets the path and the mask of each image that was written, from several threads."""

    def run(self, images: Sequence[ExportImage], journal: Journal, report: Report) -> None:
        """Writes the images that have no line in the journal yet, and appends their lines."""
        todo = [image for image in images if image.path not in journal.paths]
        meter = Meter("export", len(images), report, done=len(images) - len(todo))
        waiting: deque[tuple[ExportImage, Future[JournalLine]]] = deque()
        pool = ThreadPoolExecutor(WRITERS)

        def collect() -> None:
            image, future = waiting.popleft()
            try:
                line = future.result()
            except ImageError as error:
                line = JournalLine(image.path, image.split, problem=error.reason)
            journal.append(line)
            meter.advance(1)

        # Each writer multiplies by itself: two with a thread for each core would wait for each other.
        with threadpool_limits(1, "blas"):
            try:
                for read, feature_map in self._segmented(self._read_ahead(todo, journal, meter)):
                    waiting.append((read.image, pool.submit(self._write, read, feature_map)))
                    while len(waiting) > 2 * BATCH:
                        collect()
                while waiting:
                    collect()
            finally:
                pool.shutdown(cancel_futures=True)  # before the caller removes the folder that the threads write to

    def _read_ahead(self, images: Sequence[ExportImage], journal: Journal, meter: Meter) -> Iterator[_Read]:
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
                    journal.append(JournalLine(image.path, image.split, problem=error.reason))
                    meter.advance(1)
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, image: ExportImage) -> _Read:
        size = probe_image(image.source)
        annotation = self.annotation(image.path)
        if annotation is not None:
            if annotation.shape != size[::-1]:
                shape = f"{annotation.shape[1]}x{annotation.shape[0]}"
                raise ImageError(image.source, f"{size[0]}x{size[1]} pixels, its annotation {shape}: annotate it again")
            return _Read(image, None, size, annotation)
        if self.whole_masks is not None:
            return _Read(image, None, size, None)
        assert self.cache is not None
        if image.image_id is not None and file_stamp(os.stat(image.source)) == image.stamp:
            return _Read(image, self.cache.get(image.image_id), size, None)
        # of another folder, or written anew since it was cached: its mask is that of the file as it is now
        return _Read(image, read_resized(image.source, self.cache.size_px), size, None)

    def _segmented(self, read: Iterator[_Read]) -> Iterator[tuple[_Read, np.ndarray | None]]:
        """Yields each image with its feature map (h, w, D), and annotated images without one."""
        for batch in _batches(read):
            inputs = [one.resized for one in batch if one.resized is not None]
            if not inputs or self.feature_source is None:
                yield from ((one, None) for one in batch)
            else:
                yield from zip(batch, self.feature_source(np.stack(inputs)), strict=True)  # (B, h, w, D)

    def _write(self, read: _Read, feature_map: np.ndarray | None) -> JournalLine:
        """Computes the mask of an image and writes it in all formats."""
        image, entries = read.image, dict[str, Entry]()
        with self._masked(read, feature_map) as (mask, confidence):
            if self.confidence is not None and confidence is not None:
                kind, folder = self.confidence
                write_confidence(folder / image.stems["confidence"], confidence, kind)
            for target in self.targets:
                stem = image.stems[target.form.key]
                masked = MaskedImage(image.index, image.path, image.source, stem, image.split, mask, self.image_files)
                entries[target.form.key] = target.form.write_image(target.folder, masked, target.classes)
            self.finished(image.path, mask)
            value = self.legend.ignored_value
            rows = range(0, 0 if value is None else len(mask), ROWS)
            ignored = sum(int(np.count_nonzero(mask[first : first + ROWS] == value)) for first in rows)
        annotated = read.annotation is not None
        return JournalLine(image.path, image.split, read.size, ignored, annotated, image.stems, entries)

    @contextmanager
    def _masked(self, read: _Read, feature_map: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Gives the mask of an image with the values that are written, and its confidence if it is wanted."""
        width, height = read.size
        if read.annotation is not None:
            mask = self.legend.values[read.annotation]
            yield mask, (mask != IGNORE_ID).astype(np.float32)
        elif feature_map is None:
            assert self.whole_masks is not None
            with self.whole_masks(read.image, self.confidence is not None) as (mask, confidence):
                if mask.shape != (height, width):
                    raise ImageError(read.image.source, "changed since it was embedded: run `embed` again")
                if self.legend.classes_of is not None:
                    for first in range(0, height, ROWS):
                        mask[first : first + ROWS] = self.legend.values[mask[first : first + ROWS]]
                yield mask, confidence
        elif self.confidence is None:
            yield self.legend.mask(feature_map, height, width, read.resized), None
        else:
            yield self.legend.mask_and_confidence(feature_map, height, width, read.resized)


def _batches(read: Iterator[_Read]) -> Iterator[list[_Read]]:
    """Batches of images of equal shape; with many shapes the largest group goes before too many images wait."""
    groups: dict[tuple[int, ...], list[_Read]] = {}
    for one in read:
        if one.resized is None:
            yield [one]
            continue
        group = groups.setdefault(one.resized.shape, [])
        group.append(one)
        if len(group) == BATCH:
            yield groups.pop(one.resized.shape)
        elif sum(map(len, groups.values())) >= 4 * BATCH:
            yield groups.pop(max(groups, key=lambda shape: len(groups[shape])))
    yield from groups.values()
