"""Ground truth of a workspace, where its images have masks: what each cluster really is, how good the names are.

The folder of masks is remembered in the workspace; the class of every sampled pixel is looked up once and stored beside
the clusterings, so that screens need no mask to show figures. Without masks there is nothing, and nowhere a NaN.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from picie_core.atomic_files import open_atomic
from picie_core.data.class_names import IGNORE_ID, name_key
from picie_core.data.datasets import open_labelled_set
from picie_core.data.feature_grid import feature_map_shape, pixels_at_positions
from picie_core.data.image_file import scaled_size
from picie_core.data.image_index import ImageRecord
from picie_core.data.labelled_set import LabelledSet
from picie_core.errors import PicieError
from picie_core.evaluation.metrics import confusion, match_many_to_one, score
from picie_core.labels.classes import Class
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.workspace.workspace import Run, Workspace

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering

CHOICE = "masks"
"""Under which the label map keeps the folder of masks: which one is right is a person's decision."""


@dataclass(frozen=True, eq=False)
class SampledTruth:
    """The class of every sampled pixel."""

    class_names: tuple[str, ...]
    labels: np.ndarray
    """(N,) uint8 class ids, one a row of the embedding sample; 255 = not known."""


@dataclass(frozen=True)
class ClusterTruth:
    """What a cluster really is; None where none of its pixels has ground truth."""

    cluster: int
    class_id: int | None
    class_name: str | None
    """The class that most of its pixels have."""
    purity: float | None
    """Share of its pixels that have it, 0 to 1."""


@dataclass(frozen=True)
class MapTruth:
    """How good the names are as they stand, over the sampled pixels; None where nothing can be said."""

    accuracy: float | None
    """Share of pixels with the right class, 0 to 1; a pixel without a class is wrong."""
    mean_iou: float | None
    class_iou: tuple[float | None, ...]
    """Of each class of the ground truth; None where it has no pixels."""
    confusion: np.ndarray
    """(C + 1, T) int64 pixels: classes of the label map, at last what is unnamed or ignored, against the truth."""
    meant: tuple[int | None, ...]
    """The class of the ground truth that each class of the label map stands for."""


# -- which masks


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
    return open_labelled_set(workspace.images_root, _masks_root(workspace, record), record["class_names"])


def has_truth(workspace: Workspace) -> bool:
    """Whether a folder of masks is remembered; reads no mask."""
    return _remembered(workspace) is not None


def _remembered(workspace: Workspace) -> dict[str, Any] | None:
    text = workspace.label_map.get_choice(CHOICE)
    return json.loads(text) if text else None


def _masks_root(workspace: Workspace, record: dict[str, Any]) -> Path:
    """The folder of masks, also when workspace and masks were moved together."""
    beside = Path(os.path.normpath(workspace.root / record["masks_root_relative"]))
    root = beside if beside.is_dir() else Path(record["masks_root"])
    if not root.is_dir():
        remedy = f"run `truth --masks NEW_PLACE --workspace {workspace.root}`, or --none to go without"
        raise PicieError(f"the masks of this workspace are gone ({root}): {remedy}")
    return root


# -- the class of every sampled pixel


def sample_truth(run: Run, report: Report = ignore_progress) -> SampledTruth | None:
    """Returns the class of every sampled pixel of `run`, read from the masks and stored; None without masks.

    Raises PicieError for a mask that cannot be read or is not of the size of its image.
    """
    truth = open_truth(run.workspace)
    if truth is None:
        return None
    return _store(run, SampledTruth(tuple(truth.class_names), _look_up(run, truth, report)))


def look_up_truth(run: Run, masks: Path, report: Report = ignore_progress) -> SampledTruth:
    """Returns the class of every sampled pixel of `run` by the masks of a folder; nothing is remembered or stored.

    Raises PicieError as `remember_masks`.
    """
    truth = open_labelled_set(run.workspace.images_root, Path(masks))
    return SampledTruth(tuple(truth.class_names), _look_up(run, truth, report))


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


def _look_up(run: Run, truth: LabelledSet, report: Report) -> np.ndarray:
    """The class (N,) uint8 of every sampled pixel; masks are read by as many threads as there are cores."""
    listed, size_px = run.workspace.image_list().records, run.size_px
    positions = np.asarray(run.sample().positions)
    images, starts = np.unique(positions[:, 0], return_index=True)  # the sample is ordered by image
    labels = np.full(len(positions), IGNORE_ID, np.uint8)
    meter = Meter("truth", len(images), report)

    def find(image: int, cells: np.ndarray) -> np.ndarray | None:
        return _classes_at(truth, listed[image], cells, size_px)

    ends = np.append(starts, len(positions))[1:]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = np.split(positions[:, 1:], starts[1:])
        for start, end, found in zip(starts, ends, pool.map(find, images.tolist(), parts), strict=True):
            if found is not None:
                labels[start:end] = found
            meter.advance(1)
    return labels


def _store(run: Run, found: SampledTruth) -> SampledTruth:
    with open_atomic(_path(run)) as file:
        np.save(file, found.labels, allow_pickle=False)
    return found


def _classes_at(truth: LabelledSet, image: ImageRecord, cells: np.ndarray, size_px: int) -> np.ndarray | None:
    """The class at the centre of each cell (n, 2) of an image; None for an image without a mask."""
    mask = truth.mask_of(image.path)
    if mask is None:
        return None
    if mask.shape != (image.height, image.width):
        raise PicieError(
            f"the mask of {image.path} is {mask.shape[1]} x {mask.shape[0]}, the image {image.width} x {image.height}: "
            "give masks of the size of their images"
        )
    width, height = scaled_size(image.width, image.height, size_px)
    rows, columns = pixels_at_positions(cells, feature_map_shape(height, width), mask.shape).T
    return mask[rows, columns]


def _path(run: Run) -> Path:
    """Beside the clusterings of the sample, named after what was remembered: other masks are another file."""
    text = run.workspace.label_map.get_choice(CHOICE) or ""
    return run.derived_dir / f"truth-{hashlib.sha256(text.encode()).hexdigest()[:12]}.npy"


# -- figures


def cluster_truth(clustering: Clustering, truth: SampledTruth) -> list[ClusterTruth]:
    """Returns what each cluster really is, in the order of their ids."""
    counts = _counts(clustering.labels, truth, clustering.k)
    best, pixels = match_many_to_one(counts), counts.sum(1)
    return [
        ClusterTruth(cluster, int(best[cluster]), truth.class_names[best[cluster]], float(row.max() / row.sum()))
        if pixels[cluster]
        else ClusterTruth(cluster, None, None, None)
        for cluster, row in enumerate(counts)
    ]


def map_truth(
    clustering: Clustering, classes_of: Mapping[int, int], classes: Sequence[Class], truth: SampledTruth
) -> MapTruth:
    """Returns how good the names of a clustering are.

    A class of the label map stands for the class of the ground truth with its name, whatever the case, else for the one
    that most of its pixels have. Pixels without a class or ignored are wrong; pixels without ground truth do not count.
    """
    unnamed = len(classes)
    owner = np.array([classes_of.get(cluster, unnamed) for cluster in range(clustering.k)])
    counts = _counts(np.where(owner < unnamed, owner, unnamed)[clustering.labels], truth, unnamed + 1)
    matching = match_many_to_one(counts)
    by_name = {name_key(name): class_id for class_id, name in enumerate(truth.class_names)}
    for item in classes:
        matching[item.id] = by_name.get(name_key(item.name), matching[item.id])
    matching[unnamed] = -1
    scores, known = score(counts, matching), bool(counts.any())
    return MapTruth(
        scores.accuracy if known else None,
        scores.mean_iou if known else None,
        tuple(_known(scores.class_iou)),
        counts,
        tuple(int(one) if one >= 0 else None for one in matching[:unnamed]),
    )


def _counts(labels: np.ndarray, truth: SampledTruth, k: int) -> np.ndarray:
    """(k, C) sampled pixels of each label and class."""
    return confusion(labels[None], truth.labels[None], k, len(truth.class_names))


def _known(values: Iterable[float]) -> list[float | None]:
    return [None if math.isnan(value) else float(value) for value in values]
