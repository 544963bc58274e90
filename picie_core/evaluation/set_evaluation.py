"""Runs an embedder over a labelled set and counts clusters against classes, for several clusterings in one pass.

Every pixel of the images counts, or, as in the paper [1], those of the centre square at 320 px.

Images and masks are read ahead and pixels counted by threads while the network works on the images between; the queue
is bounded, so memory does not grow with the set.

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021, section 4: shorter side to 320, centre crop, no CRF.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby, islice
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits
from torch.nn import functional as F

from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import probe_image, read_image, resize_image, scaled_size
from picie_core.data.images.square_crop import square_crop
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.errors import PicieError
from picie_core.evaluation.cluster_head import ClusterHead
from picie_core.evaluation.metrics import confusion
from picie_core.models.classifier_head import Head
from picie_core.models.inference import FrozenEmbedder
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.segmentation.upsampling import upsample_argmax

In = TypeVar("In")
Out = TypeVar("Out")
StoredFeatures = Callable[[str], np.ndarray | None]
"""The name of an image to its feature map (h, w, D), of any type and length; None where there is none."""
PAPER_SIZE_PX = 320
"""Shorter side of images and masks in the paper's protocol."""
NO_PIXELS = np.empty((0, 0, 3), np.uint8)


class Example(NamedTuple):
    """An image on its way through the network."""

    image: np.ndarray
    """uint8 (H, W, 3) as the network sees it; without pixels where the feature map was stored."""
    feature_map: np.ndarray | None
    """(h, w, D)."""
    mask: np.ndarray
    """(H', W') uint8 class ids, 255 = ignored, at the size in which pixels are counted."""


def confusions(
    engine: FrozenEmbedder,
    size_px: int,
    truth: LabelledSet,
    heads: Sequence[Head | np.ndarray],
    centre_square: bool = False,
    report: Report = ignore_progress,
    *,
    stored: StoredFeatures | None = None,
    batch: int = 8,
    threads: int | None = None,
    phase: str = "evaluate",
) -> list[np.ndarray]:
    """Returns a (K, C) confusion over the whole set for each of `heads`: classifiers, or unit centroids (K, D).

    Every pixel of the masks counts. centre_square: the paper's protocol instead, images and masks at 320 px and of
    these the centre square, whatever `size_px` is. stored: gives feature maps that need no network. batch: images of
    one shape that go through the network at once; threads: that read and count, one a core when None. Raises PicieError
    for unreadable files, masks of another size, ids outside the list, and when no pixel counts.
    """
    classifiers = [head if isinstance(head, Head) else ClusterHead.of_centroids(head) for head in heads]
    totals = [np.zeros((head.k, len(truth.class_names)), np.int64) for head in classifiers]

    def read(index: int) -> Example:
        name, mask_name = truth.pairs[index]
        path, mask = truth.images_root / name, truth.read_mask(index)
        feature_map = stored(name) if stored is not None and not centre_square else None
        image = read_image(path) if feature_map is None else None
        width, height = probe_image(path) if image is None else image.shape[1::-1]
        if mask.shape != (height, width):
            sizes = f"{mask_name} is {mask.shape[::-1]}, its image {name} is {(width, height)}"
            raise PicieError(f"{sizes}: sizes must agree, give masks of the size of their images")
        if image is None:
            return Example(NO_PIXELS, feature_map, mask)
        if centre_square:
            image, mask = _at_paper_size(image, mask)
        return Example(image if centre_square else resize_image(image, size_px), None, mask)

    def count(example: Example) -> list[np.ndarray]:
        assert example.feature_map is not None
        labels = (upsample_argmax(head.scores(example.feature_map), *example.mask.shape) for head in classifiers)
        return [confusion(one, example.mask, *total.shape) for one, total in zip(labels, totals, strict=True)]

    meter = Meter(phase, len(truth.pairs), report)
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
    if not all(total.any() for total in totals):
        raise PicieError(
            f"no pixel of the {len(truth.pairs)} masks under {truth.masks_root} has a class, all are {IGNORE_ID} "
            "(ignored): give masks with class ids"
        )
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
    """Yields the examples with feature maps, those of the network at unit length; equal shapes share a pass."""
    for shape, alike in groupby(examples, lambda example: example.image.shape):
        while group := list(islice(alike, batch)):
            if shape == NO_PIXELS.shape:
                yield from group
                continue
            embedded = engine(np.stack([example.image for example in group]))  # (n, h, w, D)
            feature_maps = F.normalize(embedded.float(), dim=3).cpu().numpy()
            for example, feature_map in zip(group, feature_maps, strict=True):
                yield example._replace(feature_map=feature_map)


def _at_paper_size(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The centre squares of an image and its mask, their shorter side 320 px; masks by the nearest pixel."""
    width, height = scaled_size(image.shape[1], image.shape[0], PAPER_SIZE_PX)
    small = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    return square_crop(resize_image(image, PAPER_SIZE_PX)), square_crop(np.array(small))
