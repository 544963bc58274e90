"""Cityscapes with 27 classes, not the usual 19: label ids 7 to 33, as in the paper.

Trained on `test` and `train_extra`, whose ground truth is not public, evaluated on `train` and `val`.

[1] Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.
"""

from __future__ import annotations

from pathlib import Path

from picie_core.data.labelled_sets.dataset_layout import Part, pair_with_masks, pick_listed, pick_splits, require_parts
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.errors import SettingError

NAME = "Cityscapes"
IMAGE_END, MASK_END = "_leftImg8bit.png", "_gtFine_labelIds.png"
LAYOUT = [
    Part(f"leftImg8bit/train/*/*{IMAGE_END}", "images to evaluate on (leftImg8bit_trainvaltest.zip)"),
    Part(f"leftImg8bit/val/*/*{IMAGE_END}", "images to evaluate on (leftImg8bit_trainvaltest.zip)"),
    Part(f"leftImg8bit/test/*/*{IMAGE_END}", "images to train on (leftImg8bit_trainvaltest.zip)"),
    Part(f"leftImg8bit/train_extra/*/*{IMAGE_END}", "images to train on, 20,000 (leftImg8bit_trainextra.zip)"),
    Part(f"gtFine/train/*/*{MASK_END}", "ground truth of train (gtFine_trainvaltest.zip)"),
    Part(f"gtFine/val/*/*{MASK_END}", "ground truth of val (gtFine_trainvaltest.zip)"),
]
SPLITS = ("train", "val", "test", "train_extra")
LABELLED = ("train", "val")
FIRST_ID = 7
CLASSES = [
    *("road", "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel"),
    *("pole", "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car"),
    *("truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle"),
]
THINGS = frozenset(range(CLASSES.index("person"), len(CLASSES)))
"""The humans and vehicles: what Cityscapes labels instance by instance."""


def class_of_id() -> tuple[int, ...]:
    """Returns the class of each stored id 0..255: 7..33 are 0..26; 0..6 and 255 are ignored, all others no ids (-1)."""
    classes = list(range(len(CLASSES)))
    return (*[255] * FIRST_ID, *classes, *[-1] * (255 - FIRST_ID - len(classes)), 255)


def open_cityscapes(root: Path, split: str | None = None, list_file: Path | None = None) -> LabelledSet:
    """Returns Cityscapes-27 of `split` (train, val or train+val; both when None), or what a list names of it.

    Raises SettingError for a split without public ground truth, PicieError that shows the tree when parts are missing.
    """
    splits = pick_splits(split, SPLITS, "+".join(LABELLED))
    for one in splits:
        if one not in LABELLED:
            raise SettingError(
                f"split={split!r}: {one} has no public ground truth, it is for training; give {', '.join(LABELLED)} or "
                f"{'+'.join(LABELLED)}"
            )
    masks_parts = _parts("gtFine", splits)
    require_parts(root, NAME, LAYOUT, [*_parts("leftImg8bit", splits), *masks_parts])
    masks = [path.removeprefix("gtFine/") for part in masks_parts for path in part.find(root)]
    images = cityscapes_images(root, "+".join(splits), list_file)
    remedy = "unpack all of gtFine_trainvaltest.zip"
    pairs = pair_with_masks(images, masks, lambda image: image.removesuffix(IMAGE_END) + MASK_END, remedy)
    return LabelledSet(root / "leftImg8bit", root / "gtFine", pairs, CLASSES, THINGS, class_of_id())


def cityscapes_images(root: Path, split: str | None = None, list_file: Path | None = None) -> list[str]:
    """Returns the images to train on, below leftImg8bit/: of `split` (test+train_extra when None), or of a list."""
    parts = _parts("leftImg8bit", pick_splits(split, SPLITS, "test+train_extra"))
    require_parts(root, NAME, LAYOUT, parts)
    images = sorted(path.removeprefix("leftImg8bit/") for part in parts for path in part.find(root))
    return pick_listed(images, list_file)


def _parts(folder: str, splits: list[str]) -> list[Part]:
    return [part for part in LAYOUT if part.folder in [f"{folder}/{one}" for one in splits]]
