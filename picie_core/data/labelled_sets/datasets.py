"""Data sets with labels: any folders of images and masks, COCO-Stuff and Cityscapes, opened by one function."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.data.images.image_folder import find_images
from picie_core.data.labelled_sets.cityscapes import cityscapes_images, open_cityscapes
from picie_core.data.labelled_sets.coco_stuff import cocostuff_images, open_cocostuff
from picie_core.data.labelled_sets.dataset_layout import Part, pick_listed, pick_splits, read_lines, show_layout
from picie_core.data.labelled_sets.labelled_set import LabelledSet, read_mask
from picie_core.errors import PicieError, SettingError

DATASETS = ("folders", "cocostuff", "cityscapes")
FOLDERS_LAYOUT = [
    Part("images/*", "images, in subfolders if there are splits"),
    Part("masks/*", "masks: PNG of class ids, 255 = ignored, same relative stems"),
    Part("classes.txt", "optional: the names of the classes, a line each in the order of their ids"),
    Part("things.txt", "optional: the names of the classes that are things, a line each"),
]
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class TrainingImages:
    """The images of a data set to train on, with or without ground truth."""

    images_root: Path
    names: list[str]
    """Posix paths relative to `images_root`, sorted."""


@dataclass(frozen=True)
class DataChoice:
    """The images to train on, as the options of `embed` and `train` name them: a data set, a split, a list."""

    kind: str
    root: Path
    split: str | None = None
    list_file: Path | None = None

    def images(self) -> TrainingImages:
        """Returns the images to train on. Raises as `open_training_images`."""
        return open_training_images(self.kind, self.root, self.split, self.list_file)

    def truth(self) -> LabelledSet:
        """Returns their ground truth, for methods that learn from it; without a split that of the set's `train`."""
        usual = None if self.kind == "folders" else "train"
        return open_dataset(self.kind, self.root, self.split or usual, self.list_file)

    def record(self) -> dict[str, str | None]:
        """Returns the choice as a run stores it; `from_record` reads that."""
        list_file = None if self.list_file is None else str(self.list_file.absolute())
        return {"kind": self.kind, "root": str(self.root.absolute()), "split": self.split, "list_file": list_file}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> DataChoice:
        """Returns the choice whose `record` this is."""
        list_file = record["list_file"]
        return cls(record["kind"], Path(record["root"]), record["split"], Path(list_file) if list_file else None)


def open_dataset(kind: str, root: Path, split: str | None = None, list_file: Path | None = None) -> LabelledSet:
    """Returns the labelled images of a data set: `folders`, `cocostuff` or `cityscapes`, below `root`.

    split: such as `val` or `train+val`; None for the paper's (COCO-Stuff val, Cityscapes train+val), of folders all.
    list_file: a curated list, an image a line. Raises PicieError that shows the expected tree when a part is missing,
    SettingError for an unknown kind or split.
    """
    if kind == "cocostuff":
        return open_cocostuff(root, split, list_file)
    if kind == "cityscapes":
        return open_cityscapes(root, split, list_file)
    images, masks = _folders(kind, root, ("images", "masks"))
    return open_labelled_set(images, masks, split=split, list_file=list_file)


def open_training_images(
    kind: str, root: Path, split: str | None = None, list_file: Path | None = None
) -> TrainingImages:
    """Returns the images of a data set to train on; masks are not needed.

    split: None for the paper's (COCO-Stuff train, Cityscapes test+train_extra), folders: all. Raises as `open_dataset`.
    """
    if kind == "cocostuff":
        return TrainingImages(root / "images", cocostuff_images(root, split, list_file))
    if kind == "cityscapes":
        return TrainingImages(root / "leftImg8bit", cityscapes_images(root, split, list_file))
    (images,) = _folders(kind, root, ("images",))
    names = pick_listed(_of_splits(find_images(images), split), list_file)
    if not names:
        raise PicieError(f"no images under {images}: give another --root or --split")
    return TrainingImages(images, names)


def open_labelled_set(
    images_root: Path,
    masks_root: Path,
    class_names: list[str] | None = None,
    *,
    split: str | None = None,
    list_file: Path | None = None,
) -> LabelledSet:
    """Returns the pairs of images and masks with equal relative stems; `split` is the subfolder to take, None for all.

    Class names come from `class_names`, from classes.txt in or beside the masks (a name a line, in id order), or are
    the ids that the masks show; things.txt beside classes.txt says which are things. Raises PicieError when a folder
    is missing, no pair is found, or masks without names show no class.
    """
    for folder in (images_root, masks_root):
        if not folder.is_dir():
            raise PicieError(f"{folder} is not a folder: give --images DIR and --masks DIR with equal file names")
    masks = {_stem(path): path for path in find_images(masks_root) if path.lower().endswith(MASK_SUFFIXES)}
    images = pick_listed(_of_splits(find_images(images_root), split), list_file)
    pairs = [(path, masks[_stem(path)]) for path in images if _stem(path) in masks]
    if not pairs:
        raise PicieError(
            f"no mask under {masks_root} has the name of an image under {images_root}: "
            "masks are PNG files with the same relative path up to the suffix"
        )
    names = class_names or _lines_beside(masks_root, "classes.txt") or _shown_classes(masks_root, pairs)
    things = _lines_beside(masks_root, "things.txt")
    return LabelledSet(images_root, masks_root, pairs, names, None if things is None else _ids_of(things, names))


def _folders(kind: str, root: Path, names: tuple[str, ...]) -> list[Path]:
    """Returns the folders `names` of a data set of the kind `folders`. Raises for another kind or a missing folder."""
    if kind not in DATASETS:
        raise SettingError(f"dataset={kind!r} is unknown: choose one of {', '.join(DATASETS)}")
    missing = [name for name in names if not (root / name).is_dir()]
    if missing:
        tree = show_layout(root, "a data set of folders", FOLDERS_LAYOUT)
        raise PicieError(f"{root} has no folder {' and '.join(missing)}, which this needs.\n{tree}")
    return [root / name for name in names]


def _of_splits(names: list[str], split: str | None) -> list[str]:
    """Returns the names in the subfolders that `split` names, all of them when it is None."""
    if split is None:
        return names
    top = {name.split("/", 1)[0] for name in names if "/" in name}
    splits = pick_splits(split, sorted(top), split)
    return [name for name in names if name.split("/", 1)[0] in splits]


def _stem(path: str) -> str:
    return path.rsplit(".", 1)[0]


def _lines_beside(masks_root: Path, name: str) -> list[str] | None:
    paths = [folder / name for folder in (masks_root, masks_root.parent) if (folder / name).is_file()]
    return read_lines(paths[0]) if paths else None


def _shown_classes(masks_root: Path, pairs: list[tuple[str, str]]) -> list[str]:
    shown = {int(i) for _, mask in pairs for i in np.unique(read_mask(masks_root / mask))} - {255}
    if not shown:
        raise PicieError(
            f"the masks under {masks_root} show no class, every pixel is 255 (ignored): give masks with class ids"
        )
    return [f"class {i}" for i in range(max(shown) + 1)]


def _ids_of(things: list[str], names: list[str]) -> frozenset[int]:
    unknown = [name for name in things if name not in names]
    if unknown:
        raise PicieError(f"things.txt names {unknown[0]!r}, classes are {', '.join(names)}: give names of classes")
    return frozenset(names.index(name) for name in things)
