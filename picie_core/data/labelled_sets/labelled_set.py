"""A labelled set: images with ground truth; a mask is read when it is asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import open_image
from picie_core.data.images.image_index import ImageRecord
from picie_core.errors import PicieError


@dataclass(frozen=True)
class LabelledSet:
    """Images with ground truth; names are relative to their folders."""

    images_root: Path
    masks_root: Path
    pairs: list[tuple[str, str]]
    """(image, mask) in the order of the image names."""
    class_names: list[str]
    thing_classes: frozenset[int] | None = None
    """The classes that are things, all others being stuff; None where that is unknown."""
    classes_of_ids: tuple[int, ...] | None = None
    """The class of each id 0..255 that the files hold, 255 = ignored, -1 = no such id; None where ids are classes."""

    def read_mask(self, index: int) -> np.ndarray:
        """Returns the ground truth of pair `index`: (H, W) uint8 class ids, 255 = ignored.

        Raises PicieError for a file that is no mask and for ids outside the list, with their numbers.
        """
        path = self.masks_root / self.pairs[index][1]
        mask = read_mask(path)
        shown = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        unknown = shown[self._table[shown] < 0].tolist()
        if unknown:
            known = _ranges(np.flatnonzero(self._table >= 0).tolist())
            raise PicieError(
                f"{path} has the ids {_ranges(unknown)}, known are {known}: mend the mask or give its classes"
            )
        return mask if self.classes_of_ids is None else self._table.astype(np.uint8)[mask]

    def mask_of(self, image: str | Path) -> np.ndarray | None:
        """Returns the ground truth (H, W) uint8 of an image, None for an image without.

        image: its name in `pairs`, or its path when that is absolute. Raises PicieError as `read_mask`.
        """
        path = Path(image)
        if path.is_absolute():
            root = self.images_root.resolve()
            path = path.resolve()
            if not path.is_relative_to(root):
                return None
            path = path.relative_to(root)
        index = self._indices.get(path.as_posix())
        return None if index is None else self.read_mask(index)

    def has_mask(self, image: str) -> bool:
        """Whether an image, by its name in `pairs`, has ground truth; reads nothing."""
        return image in self._indices

    def mask_for(self, image: ImageRecord) -> np.ndarray | None:
        """Returns the ground truth (H, W) uint8 of an image of a workspace, None for an image without.

        Raises PicieError as `read_mask`, and for a mask of another size than its image.
        """
        mask = self.mask_of(image.path)
        if mask is not None and mask.shape != (image.height, image.width):
            raise PicieError(
                f"the mask of {image.path} is {mask.shape[1]} x {mask.shape[0]}, the image {image.width} x "
                f"{image.height}: give masks of the size of their images"
            )
        return mask

    @cached_property
    def _table(self) -> np.ndarray:
        """(256,) int16: the class of each stored id, 255 = ignored, -1 = no such id."""
        if self.classes_of_ids is not None:
            return np.array(self.classes_of_ids, np.int16)
        table = np.full(256, -1, np.int16)
        table[: len(self.class_names)] = np.arange(len(self.class_names))
        table[IGNORE_ID] = IGNORE_ID
        return table

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {image: index for index, (image, _) in enumerate(self.pairs)}


def read_mask(path: Path) -> np.ndarray:
    """Returns the ids (H, W) uint8 of a mask file of mode L, P or 1. Raises PicieError for anything else."""
    try:
        with open(path, "rb") as file, open_image(file) as image:
            if image.mode not in ("L", "P", "1"):
                raise PicieError(f"{path} has mode {image.mode}: a mask needs one channel of class ids (mode L or P)")
            return np.array(image, dtype=np.uint8)
    except OSError as error:
        raise PicieError(f"{path} cannot be read as a mask ({error}): save it again as PNG of mode L") from error


def _ranges(ids: Collection[int]) -> str:
    """Returns sorted ids in words: `0 to 10, 255`."""
    runs: list[list[int]] = []
    for one in sorted(ids):
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
