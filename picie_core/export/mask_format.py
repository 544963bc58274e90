"""What a mask format is: functions that write an image with its mask, and the lists of the whole set.

A format knows images, masks and classes; it knows no clustering and no workspace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.colors import rgb_color
from picie_core.errors import SettingError


@dataclass(frozen=True)
class MaskClass:
    """One value of the masks: a class, or one cluster when the masks hold cluster ids."""

    id: int
    name: str
    color: str
    """`#rrggbb`."""
    clusters: list[int]
    """The clusters that have this value."""


Classes = Sequence[MaskClass]
"""The classes by id, which are 0 to C-1; pixels of none of them are 255."""


def class_colors(classes: Classes) -> np.ndarray:
    """Returns the colours of the classes by id, (C, 3) uint8."""
    return np.array([rgb_color(one.color) for one in classes], np.uint8)


@dataclass(frozen=True)
class ExportImage:
    """One image to export."""

    index: int
    """Its number in the export, from 0."""
    path: str
    """Posix path below the folder of images."""
    source: Path
    stem: str
    """Its name in the export without suffix; may hold folders."""
    image_id: int | None = None
    """Its id in the workspace; None for images of another folder."""


@dataclass(frozen=True)
class WrittenImage:
    """One image that was exported: its two files, relative to the export, and what its mask holds."""

    source: ExportImage
    image: Path
    mask: Path
    size: tuple[int, int]
    """Width and height in pixels."""
    ignored_pixels: int


@dataclass(frozen=True)
class TrainValSplit:
    """How the images are divided into a training and a validation set."""

    val_share: float = 0.2
    """Share of the validation set, 0 to 1."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.val_share <= 1:
            raise SettingError(
                f"val-share={self.val_share} must be from 0 to 1: 0.2 puts a fifth of the images into val"
            )

    def val_stems(self, stems: Sequence[str]) -> set[str]:
        """Returns the stems of the validation set; where both sets are wanted, two images suffice for both."""
        count = round(len(stems) * self.val_share)
        if len(stems) > 1 and 0 < self.val_share < 1:
            count = min(max(count, 1), len(stems) - 1)
        chosen = np.random.default_rng(self.seed).permutation(len(stems))[:count]
        return {stems[i] for i in chosen}


@dataclass(frozen=True)
class Format:
    """One mask format; its functions get the folder of the export."""

    key: str
    """Its name in options and in `export.json`."""
    title: str
    check_classes: Callable[[Classes], None]
    """Raises SettingError for a class name or a number of classes that the format cannot hold."""
    stems: Callable[[Sequence[str]], list[str]]
    """Returns a unique stem for each of the image paths."""
    write_image: Callable[[Path, ExportImage, np.ndarray, Classes], tuple[Path, Path]]
    """Writes an image and its mask (H, W); returns their paths below the folder. Raises ImageError."""
    write_set: Callable[[Path, Sequence[WrittenImage], Classes, TrainValSplit], dict[str, Any]]
    """Writes what belongs to the whole set, such as lists of images; returns what `export.json` says about it."""
