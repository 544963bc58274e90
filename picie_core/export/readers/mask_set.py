"""What a reader gives: masks of a file or folder, each read when it is asked for, and the classes that they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from picie_core.data.class_names import IGNORE_ID, MAX_CLASSES, name_key
from picie_core.data.images.image_folder import Problem
from picie_core.errors import PicieError, SettingError

IGNORED_KEY = "ignored"
"""What formats call the pixels of no class, besides `ignore`."""


class MaskError(PicieError):
    """One mask cannot be used; `reason` says why, without its name."""

    def __init__(self, name: str, reason: str):
        super().__init__(f"{name}: {reason}")
        self.reason = reason


class MaskSizeError(MaskError):
    """A mask is not of the size of its image; `size` is the (width, height) that it has."""

    def __init__(self, name: str, size: tuple[int, int], wanted: tuple[int, int]):
        super().__init__(
            name,
            f"it is {size[0]} x {size[1]} pixels, its image {wanted[0]} x {wanted[1]}: export it again at the size of "
            "the image, without resizing",
        )
        self.size = size


@dataclass(frozen=True)
class Reading:
    """One mask that was read."""

    mask: np.ndarray
    """(H, W) uint8 class ids of the set, 255 where nothing is labelled."""
    notes: tuple[str, ...] = ()
    """What the person has to know of it, such as polygons that were clipped."""


@dataclass(frozen=True)
class NamedMask:
    """One mask of a set, not read yet."""

    name: str
    """What the file calls its image: a path, or a stem where `is_stem`."""
    read: Callable[[tuple[int, int]], Reading]
    """Reads it for an image of this (width, height). Raises MaskError; MaskSizeError for a mask of another size."""
    is_stem: bool = False


@dataclass(frozen=True)
class MaskSet:
    """The masks of one file or folder."""

    form: str
    """Key of the format: png, voc, coco, cvat or label-studio."""
    title: str
    class_names: tuple[str, ...]
    """By id, 0 to C-1, as the file spells them."""
    masks: tuple[NamedMask, ...]
    problems: tuple[Problem, ...] = ()
    """What could not be used at all."""
    renamed: Mapping[str, str] | None = None
    """Image path -> stem where an export gave another one; None where no `export.json` says so."""


@dataclass
class ClassIds:
    """Dense ids for class names in the order in which they are met, one for all spellings of a name."""

    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = {name_key(name): index for index, name in enumerate(self.names)}

    def of(self, name: str) -> int:
        """Returns the id of a name; 255 for what is called ignored. Raises SettingError for a 255th class."""
        if is_ignored(name):
            return IGNORE_ID
        found = self._ids.setdefault(name_key(name), len(self.names))
        if found == len(self.names):
            if found == MAX_CLASSES:
                raise SettingError(f"the masks have more than {MAX_CLASSES} classes, a mask holds no more: merge some")
            self.names.append(name)
        return found


def is_ignored(name: str) -> bool:
    """Returns whether a class name stands for the pixels of no class."""
    return name_key(name) in (IGNORED_KEY, "ignore")
