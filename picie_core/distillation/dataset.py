"""What a student learns from: the images and masks of an index PNG export, divided into training and held-out ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import open_image, probe_image, read_resized, scaled_size
from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.data.labelled_sets.labelled_set import LabelledSet, read_mask
from picie_core.distillation.export_record import ExportRecord, LearntClass, read_export_record
from picie_core.errors import PicieError, SettingError
from picie_core.progress import Meter, Report, ignore_progress

FULL_CONFIDENCE = 255
"""Confidence maps hold round(255 * confidence)."""


@dataclass(frozen=True)
class Labelled:
    """One image of the export with its label."""

    stem: str
    image: Path
    mask: Path
    confidence: Path | None
    """Its confidence map, None where none was exported."""
    annotated: bool
    """Whether a person corrected the mask."""


@dataclass(frozen=True)
class Example:
    """One image as the student sees it, all three at the scaled size."""

    image: np.ndarray
    """(H, W, 3) uint8."""
    labels: np.ndarray
    """(H, W) uint8 class ids, 255 = ignored."""
    confidence: np.ndarray | None
    """(H, W) uint8, 255 = sure; None is sure everywhere."""
    annotated: bool = False


@dataclass(frozen=True)
class PseudoLabels:
    """An export to learn from."""

    root: Path
    classes: tuple[LearntClass, ...]
    """By id, 0 to C-1."""
    train: tuple[Labelled, ...]
    val: tuple[Labelled, ...]
    """Held out: never trained on."""

    @property
    def class_names(self) -> list[str]:
        """The names of the classes by id."""
        return [one.name for one in self.classes]


def open_export(root: Path, val_share: float, seed: int) -> PseudoLabels:
    """Returns what an index PNG export at `root` holds, nothing decoded yet.

    val_share, seed: which images are held out where the export has no val split. Raises PicieError when the folder is
    no such export, has one class or none, or leaves nothing to train on or to hold out.
    """
    record = read_export_record(root)
    pairs = open_labelled_set(root / "images", root / "masks", [one.name for one in record.classes])
    found = [_labelled(pairs, image, mask, record) for image, mask in pairs.pairs]
    train, val = _divide(root, found, record.splits, val_share, seed)
    return PseudoLabels(root, record.classes, tuple(train), tuple(val))


def _labelled(pairs: LabelledSet, image: str, mask: str, record: ExportRecord) -> Labelled:
    stem = str(PurePosixPath(mask).with_suffix(""))
    confidence = record.confidence_root / f"{stem}.png"
    return Labelled(
        stem,
        pairs.images_root / image,
        pairs.masks_root / mask,
        confidence if confidence.is_file() else None,
        stem in record.annotated,
    )


def _divide(
    root: Path, found: list[Labelled], splits: Mapping[str, Sequence[str]], share: float, seed: int
) -> tuple[list[Labelled], list[Labelled]]:
    """The training and the held-out images: those of the export's own splits, else by seed."""
    if splits:
        val_stems = set(splits["val"])
        named = val_stems | set(splits["train"])
        lost = sorted(named - {one.stem for one in found})
        if lost:
            raise PicieError(f"the splits of {root} list {lost[0]!r}, which has no image or no mask: export again")
        train = [one for one in found if one.stem in named and one.stem not in val_stems]
        val = [one for one in found if one.stem in val_stems]
    else:
        count = min(max(round(share * len(found)), 1), len(found) - 1)
        chosen = set(np.random.default_rng(seed).permutation(len(found))[:count].tolist())
        train = [one for i, one in enumerate(found) if i not in chosen]
        val = [one for i, one in enumerate(found) if i in chosen]
    if not train or not val:
        raise PicieError(
            f"{root} leaves {len(train)} images to train on and {len(val)} to hold out, of {len(found)}: both need at "
            "least one, export more images or with another split"
        )
    return train, val


def read_example(one: Labelled, size_px: int, classes: int) -> Example:
    """Returns an image with its label at the scaled size of the image; labels by nearest.

    Raises PicieError when a file cannot be read, sizes differ, or the mask has ids that are no class.
    """
    labels = read_mask(one.mask)
    size = probe_image(one.image)
    _check_size(one.mask, labels, size)
    if (unknown := labels[(labels != IGNORE_ID) & (labels >= classes)]).size:
        raise PicieError(
            f"{one.mask} has the id {unknown.max()}, export.json lists {classes} classes, 0 to {classes - 1}: mend the "
            "mask or export again"
        )
    confidence = None
    if one.confidence is not None and not one.annotated:
        confidence = _read_confidence(one.confidence)
        _check_size(one.confidence, confidence, size)
    small = scaled_size(*size, size_px)
    image = read_resized(one.image, size_px)
    return Example(
        image, nearest(labels, small), None if confidence is None else nearest(confidence, small), one.annotated
    )


def nearest(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns ids (H, W) uint8 at another (width, height), by nearest."""
    if ids.shape[::-1] == size:
        return ids
    return np.asarray(Image.fromarray(ids).resize(size, Image.Resampling.NEAREST))


def _check_size(path: Path, ids: np.ndarray, size: tuple[int, int]) -> None:
    if ids.shape[::-1] != size:
        raise PicieError(
            f"{path} is {ids.shape[1]}x{ids.shape[0]}, its image {size[0]}x{size[1]}: masks have the size "
            "of the upright image, export again"
        )


def _read_confidence(path: Path) -> np.ndarray:
    try:
        with open(path, "rb") as file, open_image(file) as image:
            if image.mode != "L":
                raise PicieError(f"{path} has mode {image.mode}: a confidence map is grey with 8 bit, export it again")
            return np.array(image)
    except OSError as error:
        raise PicieError(f"{path} cannot be read as a confidence map ({error}): export it again") from error


class Examples:
    """The examples of a list of images, decoded once and kept as far as the memory budget reaches."""

    def __init__(self, labelled: Sequence[Labelled], size_px: int, classes: int, memory_mb: int = 768):
        self.labelled, self.size_px, self.classes = tuple(labelled), size_px, classes
        self._kept: dict[int, Example] = {}
        self._left = memory_mb << 20

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, index: int) -> Example:
        if index in self._kept:
            return self._kept[index]
        example = read_example(self.labelled[index], self.size_px, self.classes)
        size = sum(one.nbytes for one in (example.image, example.labels, example.confidence) if one is not None)
        if size <= self._left:
            self._left -= size
            self._kept[index] = example
        return example

    def label_counts(
        self, weights_of: Callable[[Example], np.ndarray], report: Report = ignore_progress
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns (C,) pixels of each class over all examples at the scaled size, and (C,) sums of their weights.

        weights_of: the weights (H, W) of an example. Raises as `read_example`.
        """
        counts, mass, meter = np.zeros(256, np.int64), np.zeros(256), Meter("reading labels", len(self), report)
        for index in range(len(self)):
            example = self[index]
            labels = example.labels.ravel()
            counts += np.bincount(labels, minlength=256)
            mass += np.bincount(labels, weights_of(example).ravel(), minlength=256)
            meter.advance(1)
        return counts[: self.classes], mass[: self.classes]


def check_learnable(train: np.ndarray, val: np.ndarray, names: Sequence[str]) -> None:
    """Raises SettingError unless the labels show two classes to train on, and any among those that are held out.

    train, val: (C,) pixels of each class.
    """
    shown = [name for name, count in zip(names, train, strict=True) if count]
    if len(shown) < 2:
        raise SettingError(
            f"the masks show {shown[0] if shown else 'no class'} alone: a network needs two classes, name more "
            "clusters and export again"
        )
    if not val.any():
        raise SettingError(
            "every pixel of the held-out masks is ignored: hold out other images, with --seed or a split"
        )
