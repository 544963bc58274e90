"""The pixels of each class in the masks of some images: what can be learnt from them, looked up before any training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from picie_core.data.images.image_index import ImageRecord
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.errors import PicieError
from picie_core.progress import Meter, Report, ignore_progress


@dataclass(frozen=True, eq=False)
class ClassPixels:
    """How many pixels of each class the masks show."""

    class_names: tuple[str, ...]
    pixels: np.ndarray
    """(C,) int64, ignored pixels left out."""

    @property
    def absent(self) -> list[int]:
        """The classes that no mask shows."""
        return np.flatnonzero(self.pixels == 0).tolist()

    @property
    def news(self) -> str:
        """What a person should know of them; empty when all classes are there."""
        names = ", ".join(self.class_names[one] for one in self.absent)
        return f"no mask shows {names}: the classifier never predicts it" if names else ""


def count_class_pixels(
    truth: LabelledSet, images: Sequence[ImageRecord], report: Report = ignore_progress
) -> ClassPixels:
    """Returns the pixels of each class in the masks of `images`, at least two classes; reads every mask once.

    Raises PicieError for a mask that cannot be read, has another size than its image or ids that are no classes, and
    when no image has a mask, all pixels are ignored, or only one class is there.
    """
    classes, masks = len(truth.class_names), 0
    pixels = np.zeros(classes, np.int64)
    meter = Meter("masks", len(images), report)

    def count(image: ImageRecord) -> np.ndarray | None:
        mask = truth.mask_for(image)
        return None if mask is None else np.bincount(mask.ravel(), minlength=256)[:classes]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for one in pool.map(count, images):
            if one is not None:
                masks, pixels = masks + 1, pixels + one
            meter.advance(1)
    if not masks:
        raise PicieError(
            f"none of the {len(images)} images has a mask under {truth.masks_root}: masks are PNG files with the same "
            "relative path up to the suffix"
        )
    shown = np.flatnonzero(pixels)
    if not len(shown):
        raise PicieError(
            f"all pixels of the {masks} masks under {truth.masks_root} are ignored (255): give masks with class ids"
        )
    if len(shown) == 1:
        raise PicieError(
            f"the {masks} masks under {truth.masks_root} show one class only ({truth.class_names[shown[0]]}): a "
            "classifier needs pixels of two"
        )
    return ClassPixels(tuple(truth.class_names), pixels)
