"""COCO: the pixels of each class in an image as one annotation, run-length encoded column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.export.image_files import write_picture
from picie_core.export.json_lists import write_json_lists
from picie_core.export.mask_format import Classes, Entry, Format, MaskedImage, Written, WrittenImage
from picie_core.export.run_lengths import class_runs
from picie_core.export.splits import SPLITS

FIRST_CATEGORY = 1
"""COCO counts categories from 1: category = class id + 1."""


class Coco(Format):
    """images/<split>/<stem>.*, annotations/instances_<split>.json."""

    key = "coco"
    title = "COCO (RLE)"
    readers = "pycocotools, supervision, Datumaro, CVAT, detectron2 and what else knows COCO instances."
    opening = (
        "One JSON a split, a run-length mask for each class of an image. "
        '`COCO("annotations/instances_train.json")`, then `annToMask`'
    )

    def write_image(self, folder: Path, image: MaskedImage, classes: Classes) -> Entry:
        """Writes the image, and returns the annotations of its classes."""
        runs = class_runs(image.mask.T)
        texts = coco_texts([one.counts for one in runs])
        shapes = [
            {"class": one.id, "counts": text, "area": one.area, "bbox": upright_box(one.box)}
            for one, text in zip(runs, texts, strict=True)
        ]
        return {"image": write_split_picture(folder, image), "mask": None, "shapes": shapes}

    def write_set(self, folder: Path, written: Written, classes: Classes) -> dict[str, Any]:
        """Writes annotations/instances_train.json and instances_val.json."""
        categories = [{"id": one.id + FIRST_CATEGORY, "name": one.name, "supercategory": one.name} for one in classes]
        write_coco_files(folder, "instances", written, categories, _annotations)
        return {"first_category": FIRST_CATEGORY}


def coco_texts(counts: Sequence[np.ndarray]) -> list[str]:
    """Returns run lengths, (R,) int64 each and from 0 pixels on, as the text that pycocotools makes of them.

    A number from the fourth on stands for its difference to the one two before; it is written in groups of 5 bits,
    the lowest first, a sixth bit saying that more follow, and 48 added to make it a letter [1].
    [1] COCO API, `rleToString` in maskApi.c.
    """
    if not counts:
        return []
    sizes = np.array([len(one) for one in counts])
    first = np.cumsum(sizes) - sizes
    numbers = np.concatenate(counts)
    later = np.flatnonzero(np.arange(len(numbers)) - np.repeat(first, sizes) > 2)
    differences = numbers.copy()
    differences[later] -= numbers[later - 2]
    groups = np.arange(7)
    magnitude = np.where(differences < 0, ~differences, differences)
    used = 1 + (magnitude[:, None] >= 16 << 5 * groups[:-1]).sum(axis=1)  # groups that a signed number needs
    letters = ((differences[:, None] >> 5 * groups) & 31).astype(np.uint8)  # (N, 7)
    letters += np.where(groups < used[:, None] - 1, np.uint8(32 + 48), np.uint8(48))
    text = letters[groups < used[:, None]].tobytes().decode("ascii")
    ends = np.cumsum(np.add.reduceat(used, first)).tolist()
    return [text[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def upright_box(box: tuple[int, int, int, int]) -> list[int]:
    """Returns the box of a transposed mask as left, top, width and height in the image."""
    top, left, height, width = box
    return [left, top, width, height]


def write_split_picture(folder: Path, image: MaskedImage) -> str | None:
    """Writes an image to images/<split>/, and returns its path below the folder."""
    below = Path("images", image.split)
    picture = write_picture(folder / below, image.stem, image.source, image.image_files)
    return None if picture is None else (below / picture).as_posix()


def write_coco_files(
    folder: Path,
    kind: str,
    written: Written,
    categories: list[dict[str, Any]],
    annotations: Callable[[Iterable[tuple[int, WrittenImage]]], Iterator[dict[str, Any]]],
) -> None:
    """Writes annotations/<kind>_<split>.json for both splits; an image has the same id in all kinds.

    file_name is the path below images/<split>/, or below the folder of images where no image files are written.
    annotations: makes those of numbered images.
    """

    def numbered(split: str) -> Iterator[tuple[int, WrittenImage]]:
        return ((number, one) for number, one in enumerate(written, 1) if one.split == split)

    def image_record(number: int, one: WrittenImage) -> dict[str, Any]:
        path = one.entry["image"]
        name = one.path if path is None else path.removeprefix(f"images/{one.split}/")
        return {"id": number, "file_name": name, "width": one.size[0], "height": one.size[1]}

    for split in SPLITS:
        lists: dict[str, Iterable[Any]] = {
            "images": (image_record(number, one) for number, one in numbered(split)),
            "annotations": annotations(numbered(split)),
        }
        head = {"info": {"description": f"{split} set of PiCIE Explorer"}, "licenses": [], "categories": categories}
        write_json_lists(folder / "annotations" / f"{kind}_{split}.json", head, lists)


def _annotations(images: Iterable[tuple[int, WrittenImage]]) -> Iterator[dict[str, Any]]:
    """One annotation for each class of an image; ids from 1, as pycocotools takes 0 for none."""
    number = 0
    for image_id, one in images:
        for shape in one.entry["shapes"]:
            number += 1
            yield {
                "id": number,
                "image_id": image_id,
                "category_id": shape["class"] + FIRST_CATEGORY,
                "segmentation": {"size": [one.size[1], one.size[0]], "counts": shape["counts"]},
                "area": shape["area"],
                "bbox": shape["bbox"],
                "iscrowd": 0,
            }
