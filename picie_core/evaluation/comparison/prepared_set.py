"""A data set as a comparison works on it: its images or a seeded choice of them, one workspace, the ground truth."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from picie_core.atomic_files import folder_atomic, write_json
from picie_core.data.image_folder import find_images
from picie_core.errors import PicieError
from picie_core.evaluation.comparison.plan import ComparedSet
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.data.labelled_set import LabelledSet


@dataclass(frozen=True)
class PreparedSet:
    """A data set whose folders were looked at and whose workspace is there."""

    data: ComparedSet
    workspace: Workspace
    """Of all runs on the data set: decoded images are shared."""
    images: int
    """Images to train on."""
    truth: LabelledSet

    @property
    def classes(self) -> int:
        """Classes of the ground truth that figures are measured against."""
        return len(self.truth.class_names)


def prepare_set(data: ComparedSet, folder: Path) -> PreparedSet:
    """Returns a data set ready for runs; its workspace, and its choice of images, lie in `folder`.

    Raises PicieError when the folders hold no images, or `folder` was made for other images.
    """
    from picie_core.data.datasets import open_labelled_set

    truth = open_labelled_set(data.val_images, data.val_masks)
    names = find_images(data.images)
    if not names:
        raise PicieError(f"set {data.name!r} has no images under {data.images}: mend the path in the plan")
    chosen = choose_images(names, data.count)
    _check_same(folder, {"images": data.written["images"], "chosen": chosen})
    root = data.images if len(chosen) == len(names) else _link(data.images, chosen, folder / "images")
    return PreparedSet(data, Workspace.create(folder / "workspace", root), len(chosen), truth)


def choose_images(names: list[str], count: int) -> list[str]:
    """Returns `count` of the names, the same ones every time, in their order; all of them for 0 or too many."""
    if not 0 < count < len(names):
        return names
    return [names[i] for i in np.sort(np.random.default_rng(0).choice(len(names), count, replace=False))]


def _check_same(folder: Path, made_of: dict) -> None:
    """Notes what a folder is made of. Raises PicieError when it was made of something else."""
    path = folder / "set.json"
    if not path.exists():
        write_json(path, made_of)
    elif json.loads(path.read_text()) != made_of:
        raise PicieError(f"{folder} was made from other images: give the set another name, or another --out")


def _link(images: Path, names: list[str], folder: Path) -> Path:
    """Returns a folder with the named images alone, below the same relative names, so that masks still match."""
    if not folder.exists():
        with folder_atomic(folder) as temporary:
            for name in names:
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(images / name, temporary / name)
                except OSError:  # another disk, or one without links
                    shutil.copy2(images / name, temporary / name)
    return folder
