"""Runs an embedder over a labelled set and counts clusters against classes, for several clusterings in one pass.

Images and masks are read ahead and pixels counted by threads while the network works on the images between; the queue
is bounded, so memory does not grow with the set.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby, islice
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits
from torch.nn import functional as F

from picie_core.data.images.image_file import read_image, resize_image
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.errors import PicieError
from picie_core.evaluation.cluster_head import ClusterHead
from picie_core.evaluation.metrics import centre_square, confusion, summary
from picie_core.models.classifier_head import Head
from picie_core.models.inference import FrozenEmbedder
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.segmentation.upsampling import upsample_argmax

In = TypeVar("In")
Out = TypeVar("Out")
Example = tuple[np.ndarray, np.ndarray]
"""uint8 image (H, W, 3) as the network sees it, or its feature map (h, w, D), and the full-size mask (H, W)."""


def confusions(
    engine: FrozenEmbedder,
    size_px: int,
    truth: LabelledSet,
    heads: Sequence[Head | np.ndarray],
    whole: bool = False,
    report: Report = ignore_progress,
    *,
    batch: int = 8,
    threads: int | None = None,
) -> list[np.ndarray]:
    """Returns a (K, C) confusion over the whole set for each of `heads`: classifiers, or unit centroids (K, D).

    whole: count every pixel instead of the centre square that the paper evaluates; batch: images of one shape that go
    through the network at once; threads: that read and count, one a core when None. Raises PicieError for unreadable
    files, masks of another size and ids outside the list.
    """
    classifiers = [head if isinstance(head, Head) else ClusterHead.of_centroids(head) for head in heads]
    totals = [np.zeros((head.k, len(truth.class_names)), np.int64) for head in classifiers]

    def read(index: int) -> Example:
        name, mask_name = truth.pairs[index]
        image, mask = read_image(truth.images_root / name), truth.read_mask(index)
        if image.shape[:2] != mask.shape:
            sizes = f"{mask_name} is {mask.shape[::-1]}, its image {name} is {image.shape[1::-1]}"
            raise PicieError(f"{sizes}: sizes must agree")
        small = resize_image(image, size_px)
        return (small, mask) if whole else (centre_square(small), centre_square(mask))

    def count(example: Example) -> list[np.ndarray]:
        feature_map, mask = example
        labels = (upsample_argmax(head.scores(feature_map), *mask.shape) for head in classifiers)
        return [confusion(one, mask, *total.shape) for one, total in zip(labels, totals, strict=True)]

    meter = Meter("evaluate", len(truth.pairs), report)
    threads = threads or os.cpu_count() or 1
    pool = ThreadPoolExecutor(threads)
    try:
        with threadpool_limits(1, "blas"):  # the pool keeps the cores busy, and sums do not depend on their number
            examples = _ahead(pool, read, range(len(truth.pairs)), batch + threads)
            for counts in _ahead(pool, count, _embedded(engine, examples, batch), 2 * threads):
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


def _embedded(engine: FrozenEmbedder, examples: Iterable[Example], batch: int) -> Iterator[Example]:
    """Yields the examples with feature maps (h, w, D), unit norm, for images; neighbours of one shape share a pass."""
    for _, alike in groupby(examples, lambda example: example[0].shape):
        while group := list(islice(alike, batch)):
            embedded = engine(np.stack([image for image, _ in group]))  # (n, h, w, D)
            feature_maps = F.normalize(embedded.float(), dim=3).cpu().numpy()
            yield from zip(feature_maps, (mask for _, mask in group), strict=True)


def mean_metrics(
    engine: FrozenEmbedder,
    size_px: int,
    truth: LabelledSet,
    heads: Sequence[tuple[str, Head]],
    report: Report = ignore_progress,
) -> dict[str, dict[str, float]]:
    """Returns `summary` of each name, the mean over the heads that share it, all from one pass over `truth`.

    A head that knows its classes names them itself, the labels of any other are matched as clusters are.
    """
    found: dict[str, list[dict[str, float]]] = {}
    counts = confusions(engine, size_px, truth, [head for _, head in heads], report=report)
    for (name, head), one in zip(heads, counts, strict=True):
        if head.class_names:
            one = square_counts(one, head.class_names, truth.class_names)
        found.setdefault(name, []).append(summary(one, truth.thing_classes, bool(head.class_names)))
    return {
        name: {metric: float(np.mean([one[metric] for one in several])) for metric in several[0]}
        for name, several in found.items()
    }


def square_counts(counts: np.ndarray, learnt: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Returns a confusion (L, C) of learnt against measured classes with as many rows as columns.

    Training and measured masks may show different numbers of classes: one that was never learnt is never predicted,
    one that is not measured has no pixels. Raises PicieError when the classes have other names.
    """
    both = min(len(learnt), len(classes))
    if list(learnt[:both]) != list(classes[:both]):
        raise PicieError(
            f"the classifier learnt {', '.join(learnt)}, the ground truth has {', '.join(classes)}: give masks of the "
            "same classes, with the same classes.txt beside both"
        )
    side = max(counts.shape)
    return np.pad(counts, [(0, side - counts.shape[0]), (0, side - counts.shape[1])])
