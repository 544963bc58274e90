"""Runs an embedder over a labelled set and counts clusters against classes, for several clusterings in one pass.

Images and masks are read ahead and pixels counted by threads while the network works on the images between; what waits
is bounded, so memory does not grow with the set.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits
from torch.nn import functional as F

from picie_core.data.image_file import read_image, resize_image
from picie_core.data.labelled_set import LabelledSet
from picie_core.errors import PicieError
from picie_core.evaluation.metrics import (
    centre_square,
    confusion,
    match_identity,
    match_many_to_one,
    match_one_to_one,
    score,
)
from picie_core.models.classifier_head import Head
from picie_core.models.embedder import FrozenEmbedder
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.segmentation.upsampling import upsample_argmax

__all__ = ["Head", "confusions", "matchings", "summary"]

In = TypeVar("In")
Out = TypeVar("Out")
BATCH = 8
"""Images of one shape that go through the network at once."""


class _Example(NamedTuple):
    image: np.ndarray
    """uint8 (H, W, 3), as the network sees it; once embedded, cells (h, w, D)."""
    mask: np.ndarray
    """uint8 (H, W) class ids of the same part of the picture, at its full size."""


def confusions(
    engine: FrozenEmbedder,
    size_px: int,
    truth: LabelledSet,
    heads: Sequence[Head | np.ndarray],
    whole: bool = False,
    report: Report = ignore_progress,
    threads: int | None = None,
) -> list[np.ndarray]:
    """Returns a (K, C) confusion over the whole set for each of `heads`: classifiers, or unit centroids (K, D).

    whole: count every pixel instead of the centre square that the paper evaluates; threads: that read and count, one a
    core when None. Raises PicieError for unreadable files, masks of another size and ids outside the list.
    """
    classifiers = [head if isinstance(head, Head) else Head.of_centroids(head) for head in heads]
    totals = [np.zeros((head.k, len(truth.class_names)), np.int64) for head in classifiers]
    meter = Meter("evaluate", len(truth.pairs), report)
    threads = threads or os.cpu_count() or 1
    pool = ThreadPoolExecutor(threads)
    try:
        with threadpool_limits(
            1, "blas"
        ):  # the pool keeps the cores busy, and figures are those of any number of cores
            examples = _ahead(pool, partial(_read, truth, size_px, whole), range(len(truth.pairs)), BATCH + threads)
            count = partial(_count, classifiers, len(truth.class_names))
            for counts in _ahead(pool, count, _embedded(engine, examples), 2 * threads):
                for total, one in zip(totals, counts, strict=True):
                    total += one
                meter.advance(1)
    finally:
        pool.shutdown(cancel_futures=True)
    return totals


def _ahead(pool: ThreadPoolExecutor, work: Callable[[In], Out], items: Iterable[In], ahead: int) -> Iterator[Out]:
    """Yields `work` of each item, in order, computed by the pool; at most `ahead` items are under way or wait."""
    waiting: deque[Future[Out]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _read(truth: LabelledSet, size_px: int, whole: bool, index: int) -> _Example:
    """Returns image and ground truth of pair `index`. Raises PicieError when their sizes differ."""
    name, mask_name = truth.pairs[index]
    image, mask = read_image(truth.images_root / name), truth.read_mask(index)
    if image.shape[:2] != mask.shape:
        raise PicieError(
            f"{mask_name} is {mask.shape[::-1]}, its image {name} is {image.shape[1::-1]}: sizes must agree"
        )
    small = resize_image(image, size_px)
    return _Example(small, mask) if whole else _Example(centre_square(small), centre_square(mask))


def _embedded(engine: FrozenEmbedder, examples: Iterable[_Example]) -> Iterator[_Example]:
    """Yields the examples with cells (h, w, D), unit norm, for images; neighbours of one shape share a pass."""
    batch: list[_Example] = []
    for example in examples:
        if batch and (len(batch) == BATCH or example.image.shape != batch[0].image.shape):
            yield from _embed(engine, batch)
            batch = []
        batch.append(example)
    if batch:
        yield from _embed(engine, batch)


def _embed(engine: FrozenEmbedder, batch: list[_Example]) -> Iterator[_Example]:
    feature_map = F.normalize(engine(np.stack([example.image for example in batch])).float(), dim=3).cpu().numpy()
    for one, example in zip(feature_map, batch, strict=True):
        yield _Example(one, example.mask)


def _count(heads: list[Head], classes: int, example: _Example) -> list[np.ndarray]:
    """Returns the (K, C) confusion of one image for each head."""
    feature_map, mask = example
    return [confusion(upsample_argmax(head.scores(feature_map), *mask.shape), mask, head.k, classes) for head in heads]


def summary(
    counts: np.ndarray, thing_classes: Collection[int] | None = None, rows_are_classes: bool = False
) -> dict[str, float]:
    """Returns accuracy and mIoU of a (K, C) confusion in percent: one-to-one, and many-to-one as `..._named`.

    thing_classes: adds the same as `..._things` and `..._stuff`, ground truth restricted after matching;
    rows_are_classes: row i is class i (supervised, probe), so nothing is matched and both figures are the same.
    """
    one, many = matchings(counts, rows_are_classes)
    found = _figures(counts, one, many)
    if thing_classes is not None:
        stuff = set(range(counts.shape[1])) - set(thing_classes)
        for name, only in (("things", thing_classes), ("stuff", stuff)):
            found |= {f"{figure}_{name}": value for figure, value in _figures(counts, one, many, only).items()}
    return found | {"miou_absent_zero": 100 * score(counts, one).mean_iou_absent_zero}


def matchings(counts: np.ndarray, rows_are_classes: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Returns the one-to-one and the many-to-one matching (K,) of a confusion; both its own where rows are classes."""
    if rows_are_classes:
        return match_identity(counts), match_identity(counts)
    return match_one_to_one(counts), match_many_to_one(counts)


def _figures(
    counts: np.ndarray, one: np.ndarray, many: np.ndarray, only: Collection[int] | None = None
) -> dict[str, float]:
    matched, named = score(counts, one, only), score(counts, many, only)
    return {
        "accuracy": 100 * matched.accuracy,
        "miou": 100 * matched.mean_iou,
        "accuracy_named": 100 * named.accuracy,
        "miou_named": 100 * named.mean_iou,
    }
