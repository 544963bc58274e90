"""Binary PNGs: a black and white mask of every class for each image, in a folder a class."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.atomic_files import write_json
from picie_core.data.images.image_file import png_bytes
from picie_core.export.image_files import put, write_picture
from picie_core.export.mask_format import Classes, Entry, Format, MaskClass, MaskedImage, Written
from picie_core.export.splits import write_split_lists


class BinaryPng(Format):
    """images/<stem>.*, masks/<class>/<stem>.png (mode L, 255 where the class is), masks/classes.json."""

    key = "binary"
    title = "Binary PNG per class"
    readers = "Anything that reads pictures: image editors, ImageJ, networks of one class."
    opening = "One black and white PNG for each image and class; ignored pixels are black in all of them."

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image, and a mask of every class, whether it is in the image or not."""
        picture = write_picture(folder / "images", image.stem, image.source, image.image_files)
        masks = [Path("masks", class_folder(one), f"{image.stem}.png") for one in classes]
        for one, mask in zip(classes, masks, strict=True):
            put(folder / mask, png_bytes((image.mask == one.id) * np.uint8(255)))
        return {"image": picture and f"images/{picture.as_posix()}", "mask": masks[0].as_posix()}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes the lists of the splits, and which class each folder is."""
        write_split_lists(folder / "splits", written)
        folders = [{"folder": class_folder(one), "id": one.id, "name": one.name} for one in classes]
        write_json(folder / "masks" / "classes.json", folders)
        return {"mask_mode": "L"}


def class_folder(one: MaskClass) -> str:
    """Returns the name of a class's folder: its id, and of its name what every file system takes."""
    return f"{one.id:03d}_" + re.sub(r"[^\w-]+", "_", one.name)
