"""Labelled sets: a folder of images beside a folder of masks with the same relative stems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from picie_core.errors import PicieError
from picie_core.images import find_images


@dataclass(frozen=True)
class LabelledSet:
    """Images with ground truth; names are relative to their folders."""

    images_root: Path
    masks_root: Path
    pairs: list[tuple[str, str]]
    """(image, mask) in the order of the image names."""
    class_names: list[str]

    def read_mask(self, index: int) -> np.ndarray:
        """Returns the ground truth of pair `index`: (H, W) uint8 class ids, 255 = ignored."""
        return read_mask(self.masks_root / self.pairs[index][1])


def open_labelled_set(images_root: Path, masks_root: Path, class_names: list[str] | None = None) -> LabelledSet:
    """Returns the pairs of images and masks with equal relative stems.

    Class names come from `class_names`, from classes.txt in or beside the masks (a name a line, in id order), or are
    the ids that the masks show. Raises PicieError when a folder is missing or no pair is found.
    """
    for folder in (images_root, masks_root):
        if not folder.is_dir():
            raise PicieError(f"{folder} is not a folder: give --images DIR and --masks DIR with equal file names")
    masks = {
        _stem(path): path
        for path in find_images(masks_root)
        if path.lower().endswith((".png", ".bmp", ".tif", ".tiff"))
    }
    pairs = [(path, masks[_stem(path)]) for path in find_images(images_root) if _stem(path) in masks]
    if not pairs:
        raise PicieError(
            f"no mask under {masks_root} has the name of an image under {images_root}: "
            "masks are PNG files with the same relative path up to the suffix"
        )
    names = class_names or _names_beside(masks_root)
    if names is None:
        shown = {int(i) for _, mask in pairs for i in np.unique(read_mask(masks_root / mask))} - {255}
        names = [f"class {i}" for i in range(max(shown, default=-1) + 1)]
    return LabelledSet(images_root, masks_root, pairs, names)


def read_mask(path: Path) -> np.ndarray:
    """Returns the class ids (H, W) uint8 of a mask file of mode L, P or 1. Raises PicieError for anything else."""
    try:
        with Image.open(path) as file:
            if file.mode not in ("L", "P", "1"):
                raise PicieError(f"{path} has mode {file.mode}: a mask needs one channel of class ids (mode L or P)")
            return np.array(file, dtype=np.uint8)
    except OSError as error:
        raise PicieError(f"{path} cannot be read as a mask ({error}): save it again as PNG of mode L") from error


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _names_beside(masks_root: Path) -> list[str] | None:
    for folder in (masks_root, masks_root.parent):
        if (folder / "classes.txt").is_file():
            return [line.strip() for line in (folder / "classes.txt").read_text().splitlines() if line.strip()]
    return None
