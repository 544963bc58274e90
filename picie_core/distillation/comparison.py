"""What a student does with its labels: how far it agrees with its teacher, and both against ground truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from picie_core.data.class_names import name_key
from picie_core.data.labelled_sets.datasets import open_dataset, open_labelled_set
from picie_core.data.labelled_sets.labelled_set import LabelledSet, read_mask
from picie_core.errors import PicieError
from picie_core.evaluation.metrics import confusion, score
from picie_core.progress import Meter, Report, ignore_progress

RELABELLED = 10
"""The most frequent changes of a label that a report lists."""

MaskOf = Callable[[str], np.ndarray]
"""The name of an image, relative to its folder, to its mask (H, W) uint8 of class ids, 255 = no class."""


def agreement(counts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Returns how a student agrees with its teacher, from the confusion (C, C): rows student, columns teacher.

    Shares in percent; `relabelled`: what the student calls otherwise, most pixels first.
    """
    found = score(counts, np.arange(len(names)))
    total = max(int(counts.sum()), 1)
    changes = sorted(
        ((int(counts[i, j]), i, j) for i in range(len(names)) for j in range(len(names)) if i != j), reverse=True
    )
    return {
        "accuracy": round(100 * found.accuracy, 2),
        "miou": round(100 * found.mean_iou, 2),
        "iou": _by_name(found.class_iou, names),
        "student_share": {
            name: round(100 * float(one) / total, 2) for name, one in zip(names, counts.sum(1), strict=True)
        },
        "teacher_share": {
            name: round(100 * float(one) / total, 2) for name, one in zip(names, counts.sum(0), strict=True)
        },
        "relabelled": [
            {"teacher": names[j], "student": names[i], "share": round(100 * pixels / total, 2)}
            for pixels, i, j in changes[:RELABELLED]
            if pixels
        ],
    }


@dataclass(frozen=True)
class GroundTruth:
    """Images with ground truth, and which of its classes each class of the student is."""

    truth: LabelledSet
    table: np.ndarray
    """(256,) class of the ground truth of each id of a mask; C where it is none of them, which is always wrong."""

    def scores(self, mask_of: MaskOf, report: Report = ignore_progress, phase: str = "evaluate") -> dict[str, Any]:
        """Returns accuracy, mIoU and the IoU of each class, in percent, over all images; 255 in a mask is wrong."""
        classes = len(self.truth.class_names)
        counts = np.zeros((classes + 1, classes), np.int64)
        meter = Meter(phase, len(self.truth.pairs), report)
        for index, (image, _) in enumerate(self.truth.pairs):
            counts += confusion(self.table[mask_of(image)], self.truth.read_mask(index), classes + 1, classes)
            meter.advance(1)
        found = score(counts, np.append(np.arange(classes), -1))
        return {
            "images": len(self.truth.pairs),
            "accuracy": round(100 * found.accuracy, 2),
            "miou": round(100 * found.mean_iou, 2),
            "iou": _by_name(found.class_iou, self.truth.class_names),
        }


@dataclass(frozen=True)
class Truth:
    """Ground truth to score teacher and student on; nothing is learnt from it."""

    labels: LabelledSet
    teacher: Path | None = None
    """Export of the teacher's masks of these images; None where they are those of the export that is learnt from."""


def open_ground_truth(truth: LabelledSet, class_names: Sequence[str]) -> GroundTruth:
    """Returns the labelled set with its classes matched by name to those of a student.

    Raises PicieError when no class has the same name in both.
    """
    ids = {name_key(name): index for index, name in enumerate(truth.class_names)}
    table = np.full(256, len(truth.class_names))
    matched = 0
    for index, name in enumerate(class_names):
        if name_key(name) in ids:
            table[index] = ids[name_key(name)]
            matched += 1
    if not matched:
        raise PicieError(
            f"no class of the ground truth ({', '.join(truth.class_names)}) has the name of one that was learnt "
            f"({', '.join(class_names)}): put classes.txt beside its masks, a name a line in the order of their ids"
        )
    return GroundTruth(truth, table)


def find_truth(folder: Path, images_root: Path) -> LabelledSet:
    """Returns the labelled set in `folder`: a data set with images/ and masks/, else masks of the images of the export.

    Raises PicieError when it is neither.
    """
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        return open_dataset("folders", folder)
    return open_labelled_set(images_root, folder)


def written_masks(export: Path) -> MaskOf:
    """Returns a function that reads the mask which an index PNG export holds of an image.

    It raises PicieError for an image that the export lacks.
    """
    masks = {path.relative_to(export / "masks").with_suffix("").as_posix(): path for path in _pngs(export / "masks")}

    def read(image: str) -> np.ndarray:
        stem = image.rsplit(".", 1)[0]
        if stem not in masks:
            raise PicieError(f"{export} has no mask of {image}: give the export of the images of the ground truth")
        return read_mask(masks[stem])

    return read


def _pngs(folder: Path) -> Iterable[Path]:
    return sorted(folder.rglob("*.png"))


def _by_name(values: np.ndarray, names: Sequence[str]) -> dict[str, float | None]:
    """Percent by name; None for a class without pixels, as JSON has no NaN."""
    return {
        name: None if np.isnan(one) else round(100 * float(one), 2) for name, one in zip(names, values, strict=True)
    }
