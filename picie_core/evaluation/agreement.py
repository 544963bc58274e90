"""Agreement of masks with corrected ones: accuracy and IoU of each class and image, and which pixels were changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from picie_core.data.class_names import IGNORE_ID
from picie_core.evaluation.metrics import score


@dataclass(frozen=True)
class ImageAgreement:
    """How far one predicted mask agrees with the corrected one."""

    path: str
    pixels: int
    labelled: int
    """Pixels with a class in the corrected mask; accuracy and IoU count these."""
    changed: int
    """Pixels that differ, also those that were given a class or lost it."""
    accuracy: float
    mean_iou: float
    """Mean over the classes of the corrected mask."""


@dataclass(frozen=True)
class ClassAgreement:
    """How far a class agrees, over all images."""

    name: str
    corrected: int
    """Pixels of it in the corrected masks."""
    predicted: int
    """Pixels of it in the predicted masks, where the corrected ones have any class."""
    iou: float | None
    """None for a class that the corrected masks never show."""
    accuracy: float | None
    """Share of its corrected pixels that were predicted so."""


class Agreement:
    """Counts pairs of predicted and corrected classes over images of class ids 0 to C-1, 255 where there is none."""

    def __init__(self, class_names: list[str]):
        self.class_names = class_names
        self.images: list[ImageAgreement] = []
        size = len(class_names) + 1
        self.counts = np.zeros((size, size), np.int64)
        """(C + 1, C + 1) pixels by predicted and corrected class; the last row and column are pixels without one."""

    def add(self, path: str, predicted: np.ndarray, corrected: np.ndarray) -> ImageAgreement:
        """Counts one image, both masks (H, W) uint8, and returns how far they agree."""
        counts = self._pairs(predicted, corrected)
        scores = score(counts[:, :-1], self._own_classes)
        labelled = int(counts[:, :-1].sum())
        changed = int(counts.sum() - counts.diagonal().sum())
        one = ImageAgreement(path, predicted.size, labelled, changed, scores.accuracy, scores.mean_iou)
        self.counts += counts
        self.images.append(one)
        return one

    def classes(self) -> list[ClassAgreement]:
        """Returns the agreement of each class that occurs in either mask, the one with most corrected pixels first."""
        labelled = self.counts[:, :-1]
        scores = score(labelled, self._own_classes)
        corrected, predicted = labelled.sum(0), labelled.sum(1)
        rows = [
            ClassAgreement(
                name,
                int(corrected[index]),
                int(predicted[index]),
                float(scores.class_iou[index]) if corrected[index] else None,
                float(scores.class_accuracy[index]) if corrected[index] else None,
            )
            for index, name in enumerate(self.class_names)
            if corrected[index] or predicted[index]
        ]
        return sorted(rows, key=lambda row: -row.corrected)

    @property
    def overall(self) -> tuple[float, float]:
        """Accuracy and mean IoU over all images together, shares."""
        scores = score(self.counts[:, :-1], self._own_classes)
        return scores.accuracy, scores.mean_iou

    @property
    def _own_classes(self) -> np.ndarray:
        """The matching of predicted to corrected classes: each to itself, pixels without a class to none."""
        return np.append(np.arange(len(self.class_names)), -1)

    def _pairs(self, predicted: np.ndarray, corrected: np.ndarray) -> np.ndarray:
        size = len(self.class_names) + 1
        index = np.full(IGNORE_ID + 1, size - 1, np.int64)
        index[: size - 1] = np.arange(size - 1)
        pairs = np.bincount((index * size)[predicted].ravel() + index[corrected].ravel(), minlength=size * size)
        return pairs.reshape(size, size)
