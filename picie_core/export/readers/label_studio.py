"""Label Studio's JSON read back: the brush strokes and polygons of its annotations, exactly.

Its COCO exports trace the outline of a brush, which loses holes and the last row and column; this file loses nothing.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from picie_core.data.images.image_folder import Problem
from picie_core.errors import PicieError, SettingError
from picie_core.export.readers.export_record import read_export_record
from picie_core.export.readers.file_tree import FileTree
from picie_core.export.readers.json_items import json_list
from picie_core.export.readers.mask_set import ClassIds, MaskError, MaskSet, MaskSizeError, NamedMask, Reading
from picie_core.export.readers.shapes import Brush, Polygon, Shape, paint_shapes


class _Value(BaseModel):
    format: str = ""
    rle: list[int] = []
    brushlabels: list[str] = []
    points: list[tuple[float, float]] = []
    polygonlabels: list[str] = []


class _Result(BaseModel):
    type: str = ""
    original_width: int = 0
    original_height: int = 0
    image_rotation: float = 0
    value: Any = None


class _Annotation(BaseModel):
    result: list[_Result] = []
    was_cancelled: bool = False
    ground_truth: bool = False


class _Task(BaseModel):
    data: dict[str, Any]
    annotations: list[_Annotation] = []

    @property
    def image(self) -> str:
        """The address of its image."""
        texts = [value for value in self.data.values() if isinstance(value, str)]
        told = self.data.get("image", texts[0] if len(texts) == 1 else "")
        return told if isinstance(told, str) else ""


def task_files(tree: FileTree) -> list[str]:
    """Returns the JSON files that hold a list of tasks with annotations."""
    names = [name for name in tree.names if name.lower().endswith(".json")]
    return [name for name in names if _has_tasks(tree.read(name))]


def _has_tasks(data: bytes) -> bool:
    return data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[" and b'"annotations"' in data and b'"data"' in data


def read_label_studio(tree: FileTree) -> MaskSet:
    """Returns the masks of the annotated tasks; predictions are left out.

    Raises SettingError when there is no such file or there are several, PicieError when it is damaged.
    """
    files = task_files(tree)
    if len(files) != 1:
        raise SettingError(f"{tree.path} has {len(files)} lists of annotated Label Studio tasks: export JSON, give one")
    ids = ClassIds()
    masks: list[NamedMask] = []
    problems: list[Problem] = []
    try:
        for item in json_list(tree.read(files[0]).decode("utf-8-sig")):
            made = _mask_of(_Task.model_validate(item), ids, problems)
            if made is not None:
                masks.append(made)
    except (ValueError, RecursionError) as error:
        raise PicieError(f"{files[0]} in {tree.path} is damaged ({_words(error)}): export JSON again") from error
    record = read_export_record(tree, files[0])
    renamed = None if record is None else {path: str(stem) for path, stem in record.renamed.items()}
    return MaskSet("label-studio", "Label Studio", tuple(ids.names), tuple(masks), tuple(problems), renamed)


def _mask_of(task: _Task, ids: ClassIds, problems: list[Problem]) -> NamedMask | None:
    """The mask of a task; None where nobody labelled it, or nobody knows which of several annotations counts."""
    done = [one for one in task.annotations if one.result and not one.was_cancelled]
    chosen = [one for one in done if one.ground_truth] or done
    if not chosen:
        return None
    if len(chosen) > 1:
        reason = f"it has {len(chosen)} annotations: mark the one that counts as ground truth in Label Studio"
        problems.append(Problem(task.image, reason))
        return None
    shapes: list[Shape] = []
    left_out, reason, sizes = Counter[str](), "", set()
    for result in chosen[0].result:
        try:
            shape = _shape_of(result, ids)
        except ValueError as error:
            reason = f"a {result.type} is damaged ({_words(error)}): export it again"
            continue
        if shape is None:
            left_out[result.type or "result"] += 1
            continue
        shapes.append(shape)
        sizes.add((result.original_width, result.original_height))
        if result.image_rotation:
            reason = "its image was rotated in Label Studio: label it as it is"
    if left_out:
        listed = ", ".join(f"{count} {kind}" for kind, count in left_out.items())
        problems.append(Problem(task.image, f"{listed} left out: only brush strokes and polygons are masks"))
    if not shapes and not reason:
        return None
    return NamedMask(task.image, partial(_paint, task.image, shapes, sizes, reason))


def _shape_of(result: _Result, ids: ClassIds) -> Shape | None:
    """The shape of one result; None for what is no mask. Raises ValueError for a damaged one."""
    if result.type not in ("brushlabels", "polygonlabels"):
        return None
    value = _Value.model_validate(result.value)
    labels = value.brushlabels if result.type == "brushlabels" else value.polygonlabels
    if len(labels) != 1:
        raise ValueError(f"it has {len(labels)} labels")
    if result.type == "brushlabels":
        return Brush(ids.of(labels[0]), bytes(value.rle))  # bytes refuses other numbers than 0 to 255
    scale = np.array([result.original_width, result.original_height], np.float64) / 100  # points are percentages
    return Polygon(ids.of(labels[0]), ((np.array(value.points, np.float64).reshape(-1, 2) * scale).astype(np.float32),))


def _words(error: Exception) -> str:
    """What is wrong, of a record that does not fit its first fault."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _paint(
    name: str, shapes: list[Shape], sizes: set[tuple[int, int]], reason: str, wanted: tuple[int, int]
) -> Reading:
    if reason:
        raise MaskError(name, reason)
    for size in sizes - {wanted}:
        raise MaskSizeError(name, size, wanted)
    return paint_shapes(name, shapes, wanted)
