"""Masks of large images in temporary files: computed window by window, handed on as mapped arrays, then deleted."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from picie_core.clustering.clustering import Clustering
from picie_core.data.images.downsampled_images import DownsampledImages
from picie_core.data.images.image_index import ImageRecord
from picie_core.data.images.image_source import ImageSource
from picie_core.data.images.pyramid_cache import PyramidCache
from picie_core.data.mapped_arrays import leave_memory, map_array
from picie_core.errors import PicieError
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.workspace.masks.image_masks import mask_windows
from picie_core.workspace.workspace import Run

if TYPE_CHECKING:
    from picie_core.models.inference import FrozenEmbedder

PYRAMIDS = ".pyramids"


class MappedMask(NamedTuple):
    """A mask in a file, and the confidence beside it."""

    mask: np.memmap
    """(H, W) uint8, above 255 cluster ids uint16."""
    confidence: np.memmap | None
    """(H, W) uint8, 255 for 1."""


class MaskFiles:
    """The full-size masks of a tiled run, one image at a time, whatever its size.

    folder: on the disk that holds what is written, such as the unfinished export; classes_of: cluster -> class id, None
    for cluster ids; others: a folder of images that are not of the workspace and their records, by whose ids images are
    meant then. Stored feature maps are used where there are any. Raises PicieError for a run that is not tiled.
    """

    def __init__(
        self,
        run: Run,
        clustering: Clustering,
        classes_of: Mapping[int, int] | None,
        post_processing: PostProcessing,
        folder: Path,
        *,
        others: tuple[Path, Sequence[ImageRecord]] | None = None,
        device: str = "auto",
    ):
        tiling = run.tiling
        if tiling is None:
            raise PicieError(f"run {run.name} embeds images at a --size: their masks are made from whole feature maps")
        self.run, self.clustering, self.classes_of = run, clustering, classes_of
        self.post_processing, self.folder = post_processing, Path(folder)
        self.dense = run.dense_features()
        self.images: ImageSource | None = None
        if others is not None:
            pyramids = PyramidCache(self.folder / PYRAMIDS, others[0], list(others[1]))
            self.images = DownsampledImages(pyramids, tiling.downsample)
        self._device = device
        self._engine: FrozenEmbedder | None = None
        self._one_at_a_time = threading.Lock()

    def know(self, image_id: int, size: tuple[int, int]) -> ImageRecord:
        """Returns the record of an image of the other folder, whose (width, height) is known now that it was opened."""
        assert self.images is not None
        record = replace(self.images.records[image_id], width=size[0], height=size[1])
        self.images.records[image_id] = record
        return record

    def _engine_for(self, image_id: int) -> FrozenEmbedder | None:
        """The network, loaded for the first image whose features are not stored."""
        if self.images is None and image_id in self.dense.index:
            return None
        self._engine = self._engine or self.run.engine(self._device)
        return self._engine

    @contextmanager
    def mask_of(self, image: ImageRecord, confidence: bool = False) -> Iterator[MappedMask]:
        """Gives the mask of an image for as long as the block lasts; its file is deleted then.

        Other threads wait meanwhile, so that memory and disk hold one large mask. Raises ImageError for an image that
        cannot be read, PicieError where the disk lacks room for a byte a pixel.
        """
        names = ["mask", "confidence"][: 1 + confidence]
        paths = [self.folder / f".{name}-{image.id}.npy" for name in names]
        with self._one_at_a_time:
            try:
                windows = mask_windows(
                    self.run,
                    self.clustering,
                    image,
                    self.classes_of,
                    self.post_processing,
                    dense=self.dense,
                    engine=self._engine_for(image.id),
                    images=self.images,
                )
                size = image.height, image.width
                types = [windows.dtype, np.uint8][: len(paths)]
                arrays = [map_array(path, size, one) for path, one in zip(paths, types, strict=True)]
                made = MappedMask(arrays[0], arrays[1] if confidence else None)
                windows.write(made.mask, made.confidence)
                yield made
                for array in arrays:
                    leave_memory(array)
            finally:
                for path in paths:
                    path.unlink(missing_ok=True)
                shutil.rmtree(self.folder / PYRAMIDS, ignore_errors=True)  # of the other folder, needed no more
