"""COCO instances read back, as CVAT, Label Studio, Roboflow and pycocotools write them: run lengths and polygons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ValidationError

from picie_core.data.images.image_folder import Problem
from picie_core.errors import PicieError, SettingError
from picie_core.export.readers.export_record import read_export_record
from picie_core.export.readers.file_tree import FileTree
from picie_core.export.readers.json_items import json_items
from picie_core.export.readers.mask_set import ClassIds, MaskSet, MaskSizeError, NamedMask, Reading
from picie_core.export.readers.shapes import Polygon, Runs, Shape, paint_shapes

NOT_INSTANCES = re.compile(
    r"(export|labelmap|classes|cvat_labels|tasks|dataset_info|mask_targets)\.json|(panoptic|captions|person_keypoints)_.*"
)
"""JSON files beside instances that hold something else."""

KEYS = (b"images", b"categories", b"annotations")
"""The lists of a COCO file."""

Key = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)]
"""An id; tools write numbers or texts."""


class _Image(BaseModel):
    id: Key
    file_name: str
    width: int
    height: int
    extra: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The name before Roboflow changed it, where it says so."""
        told = self.extra.get("name")
        return told if isinstance(told, str) and told else self.file_name


class _Category(BaseModel):
    id: Key
    name: str


class _RunLengths(BaseModel):
    counts: str | list[int]
    size: tuple[int, int]


class _Annotation(BaseModel):
    image_id: Key
    category_id: Key
    segmentation: list[list[float]] | _RunLengths | None = None


@dataclass
class _Found:
    """What one JSON file holds, its annotations as small as they get."""

    images: dict[str, _Image] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, list[tuple[str, Polygon | Runs]]] = field(default_factory=dict)
    """By image, (category, shape whose class is not known yet)."""
    without_shape: Counter[str] = field(default_factory=Counter)
    """By image, annotations that are a box only."""


def instance_files(tree: FileTree) -> list[str]:
    """Returns the JSON files that may hold instances."""
    names = [name for name in tree.names if name.lower().endswith(".json")]
    named = [name for name in names if re.search(r"instances[^/]*\.json$|_annotations\.coco\.json$", name)]
    others = [name for name in names if not NOT_INSTANCES.fullmatch(PurePosixPath(name).name)]
    return named or [name for name in others if _looks_like_coco(tree.read(name), lone=len(tree.names) == 1)]


def _looks_like_coco(data: bytes, lone: bool) -> bool:
    """Whether a file has all lists of COCO; a lone file only has to be an object, so that what it lacks is said."""
    if lone:
        return data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"["
    return all(b'"%b"' % key in data for key in KEYS)


def read_coco(tree: FileTree) -> MaskSet:
    """Returns the masks of one or several COCO files; images without a shape are left out.

    Raises SettingError when there is no file of instances, PicieError when one is damaged or of another kind.
    """
    files = instance_files(tree)
    if not files:
        raise SettingError(f"{tree.path} has no COCO instances: give the folder that holds instances_*.json")
    ids, masks, problems = ClassIds(), [], []
    for file in files:
        found = _read_file(tree, file)
        for image_id, shapes in found.shapes.items():
            image = found.images.get(image_id)
            if image is None:
                problems.append(Problem(file, f"{len(shapes)} annotations are of an unknown image {image_id}"))
                continue
            known = [(found.categories[key], shape) for key, shape in shapes if key in found.categories]
            painted = [_of_class(shape, ids.of(name)) for name, shape in known]
            if len(known) < len(shapes):
                problems.append(
                    Problem(image.name, f"{len(shapes) - len(known)} annotations are of unknown categories")
                )
            if boxes := found.without_shape[image_id]:
                problems.append(Problem(image.name, f"{boxes} annotations are boxes without a mask: they are left out"))
            read = partial(_paint, image.name, (image.width, image.height), painted)
            masks.append(NamedMask(image.name, read))
    record = read_export_record(tree, files[0])
    renamed = None if record is None else {path: str(stem) for path, stem in record.renamed.items()}
    return MaskSet("coco", "COCO", tuple(ids.names), tuple(masks), tuple(problems), renamed)


def _paint(name: str, size: tuple[int, int], shapes: Sequence[Shape], wanted: tuple[int, int]) -> Reading:
    if size != wanted:
        raise MaskSizeError(name, size, wanted)
    return paint_shapes(name, shapes, wanted)


def _of_class(shape: Polygon | Runs, class_id: int) -> Polygon | Runs:
    if isinstance(shape, Polygon):
        return Polygon(class_id, shape.rings)
    return Runs(class_id, shape.counts, shape.size)


def _read_file(tree: FileTree, file: str) -> _Found:
    found, keys = _Found(), set()
    try:
        text = tree.read(file).decode("utf-8-sig")
        for key, item in json_items(text):
            keys.add(key)
            if key == "images":
                image = _Image.model_validate(item)
                found.images[image.id] = image
            elif key == "categories":
                category = _Category.model_validate(item)
                found.categories[category.id] = category.name
            elif key == "annotations":
                _add(found, _Annotation.model_validate(item))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PicieError(
            f"{file} in {tree.path}, {key}: {where}: {first['msg']}: export COCO instances again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise PicieError(
            f"{file} in {tree.path} is no COCO file or a damaged one ({error}): export it again"
        ) from error
    if missing := {"images", "categories", "annotations"} - keys:
        listed = ", ".join(sorted(missing))
        raise PicieError(f"{file} in {tree.path} is no COCO file of instances: it lacks {listed}, or they are empty")
    return found


def _add(found: _Found, one: _Annotation) -> None:
    """Keeps an annotation as text or as arrays: lists of Python numbers take six times as much."""
    what = one.segmentation
    if isinstance(what, _RunLengths):
        counts = what.counts if isinstance(what.counts, str) else np.array(what.counts, np.int64)
        shape: Polygon | Runs = Runs(0, counts, what.size)
    elif what:
        shape = Polygon(0, tuple(_rings(what)))
    else:
        found.without_shape[one.image_id] += 1
        return
    found.shapes.setdefault(one.image_id, []).append((one.category_id, shape))


def _rings(lists: Iterable[list[float]]) -> Iterable[np.ndarray]:
    for numbers in lists:
        if len(numbers) < 6 or len(numbers) % 2:
            raise ValueError(f"a polygon has {len(numbers)} numbers, it needs pairs of x and y of three corners")
        yield np.array(numbers, np.float32).reshape(-1, 2)
