"""The masks that a workspace knows of its images, and the class of every sampled pixel, stored.

The folder of masks is a person's decision and lies in the label map; the classes are looked up once and stored beside
the clusterings, so that screens need no mask to show metrics.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from picie_core.atomic_files import write_array
from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.errors import PicieError
from picie_core.evaluation.sampled_truth import SampledTruth, read_sampled_truth
from picie_core.progress import Report, ignore_progress
from picie_core.workspace.workspace import Run, Workspace

if TYPE_CHECKING:
    from picie_core.evaluation.naming import OwnImages

CHOICE = "masks"
"""Under which the label map keeps the folder of masks."""


def remember_masks(run: Run, masks: Path, report: Report = ignore_progress) -> SampledTruth:
    """Remembers the folder of masks of a workspace's images and returns the classes of the sampled pixels of `run`.

    Raises PicieError when it is no folder, no mask has the name of an image, or a mask is damaged, of another size than
    its image or holds ids that are no classes: nothing is remembered then.
    """
    folder = Path(masks).absolute()
    found = look_up_truth(run, folder, report)
    record = {
        "masks_root": str(folder),
        "masks_root_relative": os.path.relpath(folder, run.workspace.root),
        "class_names": found.class_names,
    }
    run.workspace.label_map.set_choice(CHOICE, json.dumps(record, ensure_ascii=False))
    return _store(run, found)


def forget_masks(workspace: Workspace) -> None:
    """Makes the workspace one without ground truth again; the masks themselves stay where they are."""
    workspace.label_map.set_choice(CHOICE, "")


def open_truth(workspace: Workspace) -> LabelledSet | None:
    """Returns the workspace's images with their masks; None when it has no masks.

    Raises PicieError when the folder that was remembered is gone.
    """
    record = _remembered(workspace)
    if record is None:
        return None
    beside = Path(os.path.normpath(workspace.root / record["masks_root_relative"]))
    root = beside if beside.is_dir() else Path(record["masks_root"])  # they may have moved together
    if not root.is_dir():
        remedy = f"run `truth --masks NEW_FOLDER --workspace {workspace.root}`, or --none to go without"
        raise PicieError(f"the masks of this workspace are gone ({root}): {remedy}")
    return open_labelled_set(workspace.images_root, root, record["class_names"])


def own_images(run: Run, truth: LabelledSet) -> OwnImages:
    """Returns the images of `run` that `truth` has masks of, with their stored feature maps.

    truth: of any images below the folder of the workspace. Raises PicieError when it has no mask of these images.
    """
    from picie_core.evaluation.naming import OwnImages

    ids = {record.path: record.id for record in run.workspace.image_list().readable}
    pairs = [pair for pair in truth.pairs if pair[0] in ids]
    if not pairs:
        raise PicieError(
            f"no mask under {truth.masks_root} belongs to an image of the workspace: give masks with the stems of its "
            f"{len(ids)} images"
        )
    dense = run.dense_features()
    return OwnImages(replace(truth, pairs=pairs), lambda name: dense.get(ids[name]))


def has_truth(workspace: Workspace) -> bool:
    """Whether a folder of masks is remembered; reads no mask."""
    return _remembered(workspace) is not None


def _remembered(workspace: Workspace) -> dict[str, Any] | None:
    text = workspace.label_map.get_choice(CHOICE)
    return json.loads(text) if text else None


# -- the class of every sampled pixel


def sample_truth(run: Run, report: Report = ignore_progress) -> SampledTruth | None:
    """Returns the class of every sampled pixel of `run`, read from the masks and stored; None without masks.

    Raises PicieError for a mask that cannot be read or is not of the size of its image.
    """
    truth = open_truth(run.workspace)
    if truth is None:
        return None
    return _store(run, _look_up(run, truth, report))


def look_up_truth(run: Run, masks: Path, report: Report = ignore_progress) -> SampledTruth:
    """Returns the class of every sampled pixel of `run` by the masks of a folder; nothing is remembered or stored.

    Raises PicieError as `remember_masks`.
    """
    return _look_up(run, open_labelled_set(run.workspace.images_root, Path(masks)), report)


def _look_up(run: Run, truth: LabelledSet, report: Report) -> SampledTruth:
    images, positions = run.workspace.image_list().records, np.asarray(run.sample().positions)
    return read_sampled_truth(truth, images, positions, run.network_size, report)


def load_truth(run: Run) -> SampledTruth | None:
    """Returns the stored classes of the sampled pixels of `run`, in milliseconds.

    None when the workspace has no masks, or `sample_truth` has not looked them up for this sample yet.
    """
    record = _remembered(run.workspace)
    if record is None:
        return None
    try:
        return SampledTruth(tuple(record["class_names"]), np.load(_path(run)))
    except FileNotFoundError:
        return None


def _store(run: Run, found: SampledTruth) -> SampledTruth:
    write_array(_path(run), found.labels)
    return found


def _path(run: Run) -> Path:
    """Beside the clusterings of the sample, named after what was remembered: other masks are another file."""
    text = run.workspace.label_map.get_choice(CHOICE) or ""
    return run.derived_dir / f"truth-{hashlib.sha256(text.encode()).hexdigest()[:12]}.npy"
