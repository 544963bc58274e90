"""Metrics against ground truth: confusion, matching of clusters to classes, accuracy and IoU.

Clusters get classes in three ways, which are never mixed up:
- one-to-one: each class gets one cluster (Hungarian), as papers do;
- named: each cluster has the class that a person who sees the workspace's own images gives it, see naming.py;
- oracle: each cluster takes the majority class of the measured images, which a person who names has not seen.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from picie_core.data.class_names import IGNORE_ID
from picie_core.errors import PicieError


@dataclass(frozen=True)
class Scores:
    """Accuracy and IoU of one confusion matrix under one matching; shares, not percent."""

    accuracy: float
    """Matched pixels / counted pixels."""
    mean_iou: float
    """Mean over the classes that occur in the ground truth."""
    class_iou: np.ndarray
    """(C,) IoU, NaN for a class that the ground truth never shows."""
    class_accuracy: np.ndarray
    """(C,) share of the pixels of each class that are right, NaN likewise."""
    matching: np.ndarray
    """(K,) class of each cluster, -1 for an unmatched one."""
    mean_iou_absent_zero: float
    """As `mean_iou`, but a class that the ground truth never shows counts as 0 where counted pixels were given to it.

    This is the mean of the authors' code: matched to a cluster with pixels such a class is 0 / n, to one without 0 / 0,
    which it leaves out.
    """


def confusion(labels: np.ndarray, truth: np.ndarray, k: int, classes: int) -> np.ndarray:
    """Returns (K, C) int64 pixel counts of cluster `labels` against class ids `truth`, ignored pixels left out.

    labels, truth: integer ids of one shape. Raises PicieError for other shapes, and class ids outside 0..C-1 and 255.
    """
    if labels.shape != truth.shape:
        raise PicieError(
            f"labels are {labels.shape}, the mask is {truth.shape}: give masks of the size of their images"
        )
    counted = truth != IGNORE_ID
    if counted.any() and int(truth[counted].max()) >= classes:
        raise PicieError(
            f"the mask has class id {int(truth[counted].max())}, known are 0 to {classes - 1} and {IGNORE_ID}"
        )
    pairs = labels[counted].astype(np.int64) * classes + truth[counted]
    return np.bincount(pairs, minlength=k * classes).reshape(k, classes)


def match_one_to_one(counts: np.ndarray) -> np.ndarray:
    """Returns (K,) the class of each cluster by Hungarian matching; clusters beyond the classes get -1."""
    from scipy.optimize import linear_sum_assignment

    matching = np.full(len(counts), -1)
    clusters, classes = linear_sum_assignment(counts, maximize=True)
    matching[clusters] = classes
    return matching


def match_majority(counts: np.ndarray) -> np.ndarray:
    """Returns (K,) the class that most pixels of each cluster have; -1 for a cluster without any.

    Of the workspace's own images this is how a person names; of the images that are measured it is the oracle.
    """
    return np.where(counts.sum(1) > 0, counts.argmax(1), -1)


def match_identity(counts: np.ndarray) -> np.ndarray:
    """Returns (K,) each row's own number: for a classifier whose row i is class i, so nothing is left to match."""
    return np.arange(len(counts))


def score(counts: np.ndarray, matching: np.ndarray, only: Collection[int] | None = None) -> Scores:
    """Returns the scores of a (K, C) confusion under a matching; pixels of unmatched clusters are errors.

    matching: (K,); it may hold classes from C on, which the ground truth does not know: their pixels are errors too.
    only: classes to restrict the ground truth to, such as the things. Then pixels of other classes count nowhere, not
    even against a class that was predicted there; the matching stays the one over all classes.
    """
    classes = counts.shape[1]
    counted = np.arange(classes) if only is None else np.array(sorted(only), dtype=np.intp)
    is_counted = np.isin(np.arange(classes), counted)
    counts = np.where(is_counted, counts, 0)
    by_class = np.zeros((classes, classes), np.int64)  # predicted class, true class
    named = (matching >= 0) & (matching < classes)
    np.add.at(by_class, matching[named], counts[named])
    right, predicted, true = by_class.diagonal(), by_class.sum(1), counts.sum(0)
    union = true + predicted - right
    shown = true > 0
    iou = np.where(shown, right / np.maximum(union, 1), np.nan)
    wrongly_seen = ~shown & (predicted > 0) & is_counted
    mean = float(iou[shown].mean()) if shown.any() else 0.0
    return Scores(
        accuracy=float(right.sum() / max(true.sum(), 1)),
        mean_iou=mean,
        class_iou=iou,
        class_accuracy=np.where(shown, right / np.maximum(true, 1), np.nan),
        matching=matching,
        mean_iou_absent_zero=float(iou[shown].sum() / max(shown.sum() + wrongly_seen.sum(), 1)),
    )


def summary(
    counts: np.ndarray,
    thing_classes: Collection[int] | None = None,
    *,
    naming: np.ndarray | None = None,
    rows_are_classes: bool = False,
) -> dict[str, float]:
    """Returns accuracy and mIoU of a (K, C) confusion in percent, under each of its `matchings`, by their endings.

    thing_classes: adds the same as `..._things` and `..._stuff`, ground truth restricted after matching.
    """
    parts: dict[str, Collection[int] | None] = {"": None}
    if thing_classes is not None:
        parts |= {"_things": thing_classes, "_stuff": set(range(counts.shape[1])) - set(thing_classes)}
    ways = matchings(counts, naming, rows_are_classes)
    found = {}
    for part, only in parts.items():
        for way, matching in ways.items():
            scores = score(counts, matching, only)
            found[f"accuracy{way}{part}"] = 100 * scores.accuracy
            found[f"miou{way}{part}"] = 100 * scores.mean_iou
    return found | {"miou_absent_zero": 100 * score(counts, ways[""]).mean_iou_absent_zero}


def matchings(
    counts: np.ndarray, naming: np.ndarray | None = None, rows_are_classes: bool = False
) -> dict[str, np.ndarray]:
    """Returns the matchings (K,) that a (K, C) confusion is scored under, by the ending of their metrics' names.

    One-to-one has none, the oracle `_oracle`, and a given `naming` `_named`. rows_are_classes: row i is class i
    (supervised, probe), so nothing is matched, and the names are those that were learnt.
    """
    if rows_are_classes:
        return dict.fromkeys(("", "_named"), match_identity(counts))
    named = {} if naming is None else {"_named": naming}
    return {"": match_one_to_one(counts), **named, "_oracle": match_majority(counts)}
