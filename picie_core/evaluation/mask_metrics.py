"""Metrics of masks in memory: clusters against ground truth, both as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from picie_core.data.class_names import IGNORE_ID, MAX_CLASSES
from picie_core.errors import SettingError
from picie_core.evaluation.metrics import Scores, confusion, match_majority, match_one_to_one, score


@dataclass(frozen=True)
class MaskMetrics:
    """Accuracy and IoU of clusters under both matchings of clusters to classes; never compare one with the other."""

    one_to_one: Scores
    """Hungarian matching: each class gets one cluster, pixels of the other clusters are errors."""
    oracle: Scores
    """Each cluster takes its majority class in these very images: the most that names of clusters can reach here."""
    confusion: np.ndarray
    """(K, C) int64 pixels of each cluster and class."""


def evaluate(
    masks: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    n_classes: int | None = None,
    ignore: int | None = IGNORE_ID,
) -> MaskMetrics:
    """Returns the metrics of cluster masks over all images together, as one confusion matrix.

    masks: (H, W) cluster ids of each image; every id counts as a cluster. truth: (H, W) class ids of each image,
    0 to n_classes - 1, and `ignore` where a pixel does not count. n_classes: by default as many as the truth shows.
    Raises SettingError where masks and truth do not belong together, for class ids out of range, and when every pixel
    is ignored.
    """
    if len(masks) != len(truth) or not len(masks):
        raise SettingError(f"got {len(masks)} masks and {len(truth)} of ground truth: give one of each for every image")
    pairs = []
    for index, (mask, true) in enumerate(zip(map(np.asarray, masks), map(np.asarray, truth), strict=True)):
        if mask.shape != true.shape:
            raise SettingError(
                f"mask {index} is {mask.shape}, its ground truth {true.shape}: give masks of the size of their images"
            )
        counted = np.full(true.shape, True) if ignore is None else true != ignore
        pairs.append((mask[counted], true[counted]))
    if not any(true.size for _, true in pairs):
        raise SettingError(f"every pixel of the truth is ignored ({ignore}): give pixels with class ids")
    shown = 1 + max(int(true.max()) for _, true in pairs if true.size)
    classes = shown if n_classes is None else n_classes
    lowest = min(int(min(mask.min(), true.min())) for mask, true in pairs if true.size)
    if lowest < 0 or shown > classes or not 1 <= classes <= MAX_CLASSES:
        raise SettingError(
            f"the ids run from {lowest} to {shown - 1}, n_classes is {classes}: give class ids from 0 to "
            f"n_classes - 1, at most {MAX_CLASSES} classes, and `ignore` for all other pixels"
        )
    k = 1 + max(int(mask.max()) for mask, _ in pairs if mask.size)
    counts = sum((confusion(mask, true, k, classes) for mask, true in pairs), np.zeros((k, classes), np.int64))
    return MaskMetrics(score(counts, match_one_to_one(counts)), score(counts, match_majority(counts)), counts)
