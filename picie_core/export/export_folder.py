"""The folder of an export: checks before and after writing, and the records beside the masks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from picie_core.atomic_files import write_json, write_text
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import open_image
from picie_core.data.images.image_folder import Problem
from picie_core.errors import PicieError
from picie_core.export.mask_format import Classes, Written


def check_out(out: Path, images_root: Path, workspace_root: Path) -> None:
    """Raises PicieError unless `out` is new or empty, and outside the images, where masks would count as images."""
    real_out, real_images = os.path.realpath(out), os.path.realpath(images_root)
    inside = Path(real_out).is_relative_to(real_images)
    if inside and not Path(real_out).is_relative_to(os.path.realpath(workspace_root)):
        raise PicieError(
            f"{out} lies in the folder of images {images_root}, where masks would be taken for images: "
            "choose another --out"
        )
    try:
        used = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise PicieError(f"{out} cannot be read ({error.strerror}): choose a folder that you may write to") from error
    if used:
        raise PicieError(f"{out} exists and is not an empty folder: give a new --out, so that nothing is overwritten")


def write_records(
    folder: Path,
    classes: Classes,
    label_map: dict[str, Any],
    written: Written,
    *,
    problems: Sequence[Problem],
    head: dict[str, Any],
) -> None:
    """Writes export.json (`head`, then what the masks mean), classes.txt and labelmap.json."""
    pairs = [(one.path, one.stem) for one in written]
    record = {
        **head,
        "images": len(pairs),
        "ignore_id": IGNORE_ID,
        "classes": [asdict(one) for one in classes],
        "renamed": {path: stem for path, stem in pairs if str(PurePosixPath(path).with_suffix("")) != stem},
        "problems": [{"path": one.path, "reason": one.reason} for one in problems],
    }
    write_json(folder / "export.json", record)
    write_text(folder / "classes.txt", "".join(f"{one.name}\n" for one in classes))
    write_json(folder / "labelmap.json", label_map)


def check_written(folder: Path, written: Written) -> None:
    """Raises PicieError when a file is missing, has another size than its image, or stands for two images."""
    masks = set[str]()
    for one in written:
        for path in filter(None, (one.entry["image"], one.entry["mask"])):
            with open(folder / path, "rb") as file, open_image(file) as picture:
                if picture.size != one.size:
                    raise PicieError(
                        f"{path} is {picture.size}, {one.path} was {one.size}: it changed meanwhile, export again"
                    )
        if one.entry["mask"] is not None:
            if one.entry["mask"] in masks:
                raise PicieError(f"{one.entry['mask']} is the mask of two images: rename one of them")
            masks.add(one.entry["mask"])
