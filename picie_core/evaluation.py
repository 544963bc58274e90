"""Runs an embedder over a labelled set and counts clusters against classes, for several clusterings in one pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from picie_core.datasets import LabelledSet
from picie_core.embedder import FrozenEmbedder, embed_image
from picie_core.errors import PicieError
from picie_core.evaluate import centre_square, confusion, match_many_to_one, match_one_to_one, score
from picie_core.images import read_image, resize_image
from picie_core.masks import class_scores, upsample_argmax
from picie_core.progress import Meter, Report, ignore_progress


def confusions(
    engine: FrozenEmbedder,
    size_px: int,
    truth: LabelledSet,
    centroids: list[np.ndarray],
    whole: bool = False,
    report: Report = ignore_progress,
) -> list[np.ndarray]:
    """Returns a (K, C) confusion over the whole set for each of `centroids` ((K, D), unit norm).

    whole: count every pixel instead of the centre square that the paper evaluates.
    """
    classes = len(truth.class_names)
    totals = [np.zeros((len(one), classes), np.int64) for one in centroids]
    meter = Meter("evaluate", len(truth.pairs), report)
    for cells, mask in _cells_and_masks(engine, size_px, truth, whole):
        for total, one in zip(totals, centroids, strict=True):
            labels = upsample_argmax(class_scores(cells, one), *mask.shape)
            total += confusion(labels, mask, len(one), classes)
        meter.advance(1)
    return totals


def _cells_and_masks(
    engine: FrozenEmbedder, size_px: int, truth: LabelledSet, whole: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the cells (h, w, D) and the ground truth (H, W) of each pair."""
    for index, (name, mask_name) in enumerate(truth.pairs):
        image, mask = read_image(truth.images_root / name), truth.read_mask(index)
        if image.shape[:2] != mask.shape:
            raise PicieError(
                f"{mask_name} is {mask.shape[::-1]}, its image {name} is {image.shape[1::-1]}: sizes must agree"
            )
        small = resize_image(image, size_px)
        if not whole:
            small, mask = centre_square(small), centre_square(mask)
        yield embed_image(engine, small), mask


def summary(counts: np.ndarray) -> dict[str, float]:
    """Returns accuracy and mIoU of a confusion, one-to-one and many-to-one, in percent."""
    one, many = score(counts, match_one_to_one(counts)), score(counts, match_many_to_one(counts))
    return {
        "accuracy": 100 * one.accuracy,
        "miou": 100 * one.mean_iou,
        "miou_absent_zero": 100 * one.mean_iou_absent_zero,
        "accuracy_named": 100 * many.accuracy,
        "miou_named": 100 * many.mean_iou,
    }
