"""Corrected masks of another tool, found for the images of a workspace, in the classes of its label map."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from picie_core.data.class_names import IGNORE_ID, MAX_CLASSES, clean_name, name_key
from picie_core.data.images.image_file import open_image
from picie_core.data.images.image_folder import Problem
from picie_core.data.images.image_index import ImageRecord
from picie_core.errors import SettingError
from picie_core.export.readers.detection import AUTO, open_masks
from picie_core.export.readers.image_names import ImageNames
from picie_core.export.readers.mask_set import MaskError, MaskSizeError, NamedMask, Reading, is_ignored
from picie_core.workspace.workspace import Workspace

BACKGROUND_KEY = "background"
"""What tools call pixels that nobody labelled; a class only where the label map has one called so."""


class CorrectedMasks:
    """The masks in a file, folder or zip that are of images of a workspace; each is read when it is asked for.

    Raises SettingError and PicieError as `open_masks`, and SettingError for class names that are impossible or too
    many. Masks that are of no image, or of several, are in `problems` with the reason.
    """

    def __init__(self, workspace: Workspace, path: Path, form: str = AUTO):
        self.workspace, self.path = workspace, Path(path).absolute()
        found = open_masks(self.path, form)
        self.form, self.title, self.problems = found.form, found.title, list(found.problems)
        self.class_names = [one.name for one in workspace.label_map.classes()]
        """By id: the classes of the label map, after them those that only the file has."""
        self.known = len(self.class_names)
        """How many of them the label map has."""
        self.other_spellings: dict[str, str] = {}
        """What the file calls a class of the label map otherwise than the label map does."""
        self.ignored_names: list[str] = []
        """Classes of the file whose pixels are taken as not labelled."""
        self._class_of = self._find_classes(found.class_names)
        self._masks: dict[str, tuple[ImageRecord, NamedMask]] = {}
        self._find_images(found.masks, found.renamed)

    @property
    def images(self) -> list[ImageRecord]:
        """The images that have a mask, in the order of their ids."""
        return sorted((image for image, _ in self._masks.values()), key=lambda image: image.id)

    def read(self, path: str) -> Reading:
        """Returns the mask of the image at `path`: (H, W) uint8 ids of `class_names`, 255 where there is none.

        Raises MaskError with the reason when it is damaged or not of the size of its upright image.
        """
        image, mask = self._masks[path]
        try:
            found = mask.read((image.width, image.height))
        except MaskSizeError as error:
            if error.size == self._stored_size(image) != (image.width, image.height):
                raise MaskError(
                    mask.name,
                    f"it is {error.size[0]} x {error.size[1]} pixels, the size of {path} before its EXIF rotation: "
                    f"turn it to {image.width} x {image.height}, as the image is shown, or label the exported image",
                ) from error
            raise
        return Reading(self._class_of[found.mask], found.notes)

    def _find_classes(self, names: tuple[str, ...]) -> np.ndarray:
        """(256,) uint8: the id in `class_names` of each id of the file."""
        ids = {name_key(name): index for index, name in enumerate(self.class_names)}
        ids |= self._loosely_found(names, ids)
        table = np.full(IGNORE_ID + 1, IGNORE_ID, np.uint8)
        for index, told in enumerate(names):
            key = name_key(told)
            if key not in ids and (is_ignored(told) or key == BACKGROUND_KEY):
                self.ignored_names.append(told)
                continue
            if key not in ids:
                ids[key] = self._add_class(told)
            elif told.strip() != self.class_names[ids[key]]:
                self.other_spellings[told] = self.class_names[ids[key]]
            table[index] = ids[key]
        return table

    def _loosely_found(self, names: tuple[str, ...], ids: Mapping[str, int]) -> dict[str, int]:
        """Names of the file that are a class of the label map but for what is no letter or digit, by their key.

        Formats that hold no `:` or no white space get other characters instead. A name counts only where it fits one
        class, and no other name of the file does.
        """
        taken = {ids[key] for name in names if (key := name_key(name)) in ids}
        found: dict[str, int] = {}
        for letters, keys in _by_letters([name_key(name) for name in names]).items():
            classes = [index for key, index in ids.items() if _letters(key) == letters]
            if letters and len(keys) == len(classes) == 1 and classes[0] not in taken:
                found[keys[0]] = classes[0]
        return found

    def _add_class(self, told: str) -> int:
        """Adds a class that only the file has, and returns its id."""
        try:
            name = clean_name(told)
        except SettingError as error:
            raise SettingError(f"a class in {self.path}: {error}") from None
        if len(self.class_names) == MAX_CLASSES:
            raise SettingError(
                f"{self.path} adds more classes to {self.known} than a mask holds, which is {MAX_CLASSES}: merge some"
            )
        self.class_names.append(name)
        return len(self.class_names) - 1

    def _find_images(self, masks: tuple[NamedMask, ...], renamed: object) -> None:
        """Finds the image of each mask; two masks of one image are both left out, as nobody knows which one counts."""
        images = {one.path: one for one in self.workspace.image_list().readable}
        names = ImageNames(list(images), renamed if isinstance(renamed, dict) else None)
        found: dict[str, list[NamedMask]] = defaultdict(list)
        for mask in masks:
            try:
                found[names.find(mask.name, mask.is_stem)].append(mask)
            except MaskError as error:
                self.problems.append(Problem(mask.name, error.reason))
        for path, of_image in found.items():
            if len(of_image) == 1:
                self._masks[path] = images[path], of_image[0]
                continue
            for mask in of_image:
                others = ", ".join(other.name for other in of_image if other is not mask)
                reason = f"{path} has another mask too ({others}): remove all but one of them"
                self.problems.append(Problem(mask.name, reason))

    def _stored_size(self, image: ImageRecord) -> tuple[int, int] | None:
        """The (width, height) of an image file before its EXIF rotation; None when it cannot be opened."""
        try:
            with open(self.workspace.images_root / image.path, "rb") as file, open_image(file) as opened:
                return opened.size
        except Exception:  # a decoder may raise anything on damaged bytes; this only words a message
            return None


def _letters(key: str) -> str:
    """The letters and digits of a name."""
    return "".join(character for character in key if character.isalnum())


def _by_letters(keys: Iterable[str]) -> dict[str, list[str]]:
    """Names, each once, by their letters and digits."""
    found: dict[str, list[str]] = defaultdict(list)
    for key in dict.fromkeys(keys):
        found[_letters(key)].append(key)
    return found
