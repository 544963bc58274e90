"""What a mask format is: a class that writes images with their masks, and what belongs to the whole set.

A format knows image files, masks and classes; it knows no clustering and no workspace.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from picie_core.colors import next_color, rgb_color
from picie_core.data.class_names import IGNORE_ID, name_key
from picie_core.errors import SettingError
from picie_core.export.image_files import folder_stems

Entry = dict[str, Any]
"""What a format remembers of one image, as JSON holds it: `image` and `mask`, the paths of its files below the folder
of the export (None where there is no such file), and whatever `write_set` needs."""


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
    return np.array([rgb_color(one.color) for one in classes], np.uint8).reshape(-1, 3)


def distinct_colors(classes: Classes, reserved: Sequence[str] = ("#000000",)) -> np.ndarray:
    """Returns a colour of its own for each class by id, (C, 3) uint8, none of `reserved`.

    Tools that know a class by its colour need that; black stands for the pixels without a class. A class keeps its
    colour unless it is reserved or a class before has it.
    """
    wanted = [one.color.lower() for one in classes]
    taken = set(reserved)
    for i, color in enumerate(wanted):
        if color in taken:
            wanted[i] = next_color(taken | set(wanted))
        taken.add(wanted[i])
    return np.array([rgb_color(color) for color in wanted], np.uint8).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class MaskedImage:
    """One image and its mask, as the writer of a format gets them."""

    index: int
    """Its number in the export, from 0."""
    path: str
    """Posix path below the folder of images."""
    source: Path
    """The file."""
    stem: str
    """Its name in this format without suffix; may hold folders."""
    split: str
    """`train` or `val`."""
    mask: np.ndarray
    """(H, W) class ids, 255 where ignored: uint8; cluster ids of more than 255 clusters: uint16."""
    image_files: str = "copy"
    """Whether image files are written: copy, link (hard links where the file can stay as it is) or none."""


@dataclass(frozen=True)
class WrittenImage:
    """What one format wrote of one image."""

    path: str
    """Posix path below the folder of images."""
    stem: str
    split: str
    """`train` or `val`."""
    size: tuple[int, int]
    """Width and height in pixels."""
    ignored_pixels: int
    """How many pixels of the mask are 255."""
    entry: Entry
    """What the format's `write_image` returned."""


class Written(Protocol):
    """All images of an export that a format wrote; iterated as often as wanted, in order, read from disk each time."""

    def __iter__(self) -> Iterator[WrittenImage]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class NameRule:
    """A rule for the names of classes."""

    words: str
    """After "class name 'x'": `must not contain ':'`."""
    fix: Callable[[str], str]
    """Returns the name as the format can hold it; the same name where it keeps the rule."""


class Format(ABC):
    """One mask format; its methods get the folder of the export."""

    key: ClassVar[str]
    """Its name in options and in `export.json`."""
    title: ClassVar[str]
    readers: ClassVar[str]
    """The tools that read it, as its card says."""
    opening: ClassVar[str]
    """How it is opened there: one line, code in backticks."""
    most_classes: ClassVar[int] = IGNORE_ID
    """Ids 0 to 254 at most, 255 being ignored."""
    name_rules: ClassVar[tuple[NameRule, ...]] = ()

    def stems(self, paths: Sequence[str]) -> list[str]:
        """Returns a unique name without suffix for each of the image paths; may hold folders."""
        return folder_stems(paths)

    def check_splits(self, splits: Sequence[str]) -> None:
        """Raises SettingError when the format cannot hold this division; `splits` has `train` or `val` an image."""
        return

    @abstractmethod
    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes an image and its mask, and returns what `write_set` needs of it; called from several threads.

        Raises ImageError when the image file cannot be read.
        """

    @abstractmethod
    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes what belongs to the whole set, such as lists; returns what `export.json` says about it.

        It reads the entries one after another and holds none of them, so that memory stays flat.
        """


# -- what a format can hold


def held_classes(form: Format, classes: Classes, fix_names: bool = False) -> list[MaskClass]:
    """Returns the classes as the format can hold them: with `fix_names` under names that keep its rules.

    Raises SettingError for a name that breaks a rule, with the name that would keep it, and for too many classes.
    """
    if len(classes) > form.most_classes:
        raise SettingError(
            f"{form.key} masks hold {form.most_classes} ids at most, got {len(classes)} clusters: use --format png or "
            "fewer clusters"
        )
    taken = {name_key(one.name) for one in classes if _broken_rule(form, one.name) is None}
    held = []
    for one in classes:
        broken = _broken_rule(form, one.name)
        if broken is not None:
            name = _held_name(form, one.name, taken)
            if not fix_names:
                raise SettingError(
                    f"class name {one.name!r} {broken.words} in the {form.key} format: rename the class or use "
                    f"--format png; --fix-names writes {name!r} instead"
                )
            taken.add(name_key(name))
            one = replace(one, name=name)
        held.append(one)
    return held


def _broken_rule(form: Format, name: str) -> NameRule | None:
    """The first rule that a name breaks."""
    return next((rule for rule in form.name_rules if rule.fix(name) != name), None)


def _held_name(form: Format, name: str, taken: set[str]) -> str:
    """The name that keeps the rules of the format and is none of `taken`, which are as `name_key` gives them."""
    for rule in form.name_rules:
        name = rule.fix(name)
    numbered = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 3)))
    return next(one for one in numbered if name_key(one) not in taken)
