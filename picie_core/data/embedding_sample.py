"""The embedding sample and the dense features of a run: clusterings, contact sheets, maps and overlays use them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from picie_core.errors import PicieError


@dataclass(frozen=True)
class EmbeddingSample:
    """N sampled pixels and their positions; memory-mapped, so opening costs nothing."""

    embeddings: np.ndarray
    """(N, D) float16, unit norm."""
    positions: np.ndarray
    """(N, 3) int32: image id, row and column on the feature map."""
    pca: np.ndarray
    """(N, 2) float32, the two widest axes."""


def load_sample(folder: Path) -> EmbeddingSample:
    """Returns the embedding sample stored in `folder`, memory-mapped. Raises PicieError when there is none."""
    try:
        return EmbeddingSample(
            *(np.load(folder / f"{part}.npy", mmap_mode="r") for part in ("embeddings", "places", "pca"))
        )
    except FileNotFoundError:
        raise PicieError(
            f"run {folder.parent.name} has no embedding sample in {folder}: run `embed` or `train` again"
        ) from None


class DenseFeatures:
    """The int8 feature maps of the images that the disk budget holds; read with pread, so that memory stays flat."""

    def __init__(self, folder: Path):
        self.folder, self.index = folder, {}
        self.file = -1
        if (folder / "index.npz").exists():
            stored = np.load(folder / "index.npz")
            self.dim = int(stored["dim"])
            rows = zip(stored["ids"].tolist(), stored["offsets"].tolist(), stored["shapes"].tolist(), strict=True)
            self.index = {image_id: (offset, tuple(shape)) for image_id, offset, shape in rows}
            self.file = os.open(folder / "cells.i8", os.O_RDONLY)

    def __del__(self) -> None:
        if self.file >= 0:
            os.close(self.file)

    @property
    def ids(self) -> np.ndarray:
        """Ids of the stored images, ascending."""
        return np.array(sorted(self.index), dtype=np.int64)

    def get(self, image_id: int) -> np.ndarray | None:
        """Returns the feature map (h, w, D) int8 of an image, not of unit norm; None when the budget left it out."""
        if image_id not in self.index:
            return None
        offset, (height, width) = self.index[image_id]
        block = os.pread(self.file, height * width * self.dim, offset)
        return np.frombuffer(block, np.int8).reshape(height, width, self.dim)

    def shape(self, image_id: int) -> tuple[int, int]:
        """Returns the (h, w) of a stored feature map."""
        return self.index[image_id][1]

    def window(self, image_id: int, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        """Returns positions [first, last) of rows and columns of a stored feature map: (r, c, D) int8.

        Reads no more than this, so memory does not grow with the image.
        """
        offset, (_, width) = self.index[image_id]
        (top, bottom), (left, right) = rows, columns
        if right - left == width:
            block = os.pread(self.file, (bottom - top) * width * self.dim, offset + top * width * self.dim)
        else:
            starts = (offset + (row * width + left) * self.dim for row in range(top, bottom))
            block = b"".join(os.pread(self.file, (right - left) * self.dim, start) for start in starts)
        return np.frombuffer(block, np.int8).reshape(bottom - top, right - left, self.dim)
