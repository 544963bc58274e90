"""The feature map of one image, read in windows: from memory, from disk, or from whatever makes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from picie_core.data.embedding_sample import DenseFeatures


class FeatureWindows(ABC):
    """A feature map of `shape` (h, w), of which windows are asked for."""

    def __init__(self, shape: tuple[int, int]):
        self.shape = shape

    @abstractmethod
    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        """Returns positions [first, last) of rows and columns: (r, c, D) float or int8, of any length."""


class MapInMemory(FeatureWindows):
    """A whole feature map (h, w, D)."""

    def __init__(self, feature_map: np.ndarray):
        super().__init__(feature_map.shape[:2])
        self.feature_map = feature_map

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        return self.feature_map[slice(*rows), slice(*columns)]


class StoredMap(FeatureWindows):
    """A feature map among the dense features of a run."""

    def __init__(self, dense: DenseFeatures, image_id: int):
        super().__init__(dense.shape(image_id))
        self.dense, self.image_id = dense, image_id

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        return self.dense.window(self.image_id, rows, columns)
