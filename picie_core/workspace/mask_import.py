"""Masks that were corrected elsewhere come back: compared, kept as annotations, and used to name and split clusters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_cache import ImageCache
from picie_core.data.images.image_file import ImageError
from picie_core.data.images.image_folder import Problem
from picie_core.data.images.image_index import ImageRecord
from picie_core.errors import PicieError, SettingError
from picie_core.evaluation.agreement import Agreement, ClassAgreement, ImageAgreement
from picie_core.export.readers.detection import AUTO
from picie_core.export.readers.mask_set import MaskError
from picie_core.labels.corrections import Corrections, NameProposal, SplitProposal
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.segmentation.masks import class_mask
from picie_core.workspace.corrected_masks import CorrectedMasks
from picie_core.workspace.exported_masks import exported_digests, mask_digest
from picie_core.workspace.workspace import StoredClustering

if TYPE_CHECKING:
    from picie_core.models.inference import FrozenEmbedder

KEEP = ("changed", "all", "none")
"""Which masks become annotations: those that a person changed, all of them, or none."""
UNCHANGED_SHARE = 1e-4
"""A mask that differs from the predicted one in no larger share of its pixels is unchanged: sums in another order move
single pixels on a border."""

FeatureMaps = Callable[[ImageRecord], np.ndarray]
"""An image to its feature map (h, w, D)."""


@dataclass(frozen=True)
class ImportReport:
    """What an import found, and what it changed."""

    path: Path
    form: str
    """Key of the format."""
    masks: int
    """Masks that are of an image of the workspace and could be read."""
    unchanged: int
    """Of them, those that are as they were exported, predicted or annotated."""
    corrected: list[ImageAgreement]
    """Of the others, how far the predicted mask agrees, the one that was corrected most first."""
    classes: list[ClassAgreement]
    """Over the corrected images, the class with most pixels first."""
    accuracy: float
    mean_iou: float
    """Both over the corrected images; shares."""
    new_classes: list[str]
    """Classes that the label map did not have, in corrected masks."""
    other_spellings: dict[str, str]
    """What the file calls known classes: its spelling -> theirs."""
    ignored_names: list[str]
    problems: list[Problem]
    """Masks that could not be used, or not wholly, with the reason."""
    names: list[dict[str, Any]]
    """Names that unnamed clusters take: cluster, name, share, positions."""
    renames: list[dict[str, Any]]
    """Clusters whose name disagrees with the majority: cluster, now, name, share, positions."""
    splits: list[dict[str, Any]]
    """Clusters that hold several corrected classes: cluster, now, parts, right_before, right_after."""
    applied: list[str] = field(default_factory=list)
    """The edits that were made, in a person's words; none of a dry run."""
    seconds: float = 0.0

    def record(self) -> dict[str, Any]:
        """Returns the report as JSON can hold it."""
        return {**asdict(self), "path": str(self.path), "problems": [_told(one) for one in self.problems]}


def _told(problem: Problem) -> dict[str, str]:
    return {"path": problem.path, "reason": problem.reason}


def import_masks(
    clustering: StoredClustering,
    path: Path,
    *,
    form: str = AUTO,
    keep: str = "changed",
    rename: bool = False,
    split: bool = False,
    dry_run: bool = False,
    feature_maps: FeatureMaps | None = None,
    device: str = "auto",
    report: Report = ignore_progress,
) -> ImportReport:
    """Reads corrected masks, compares them with those of `clustering` now, and takes over what they say.

    The corrected masks become annotations of their images, which export writes instead of the predicted masks, and
    clusters without a name take that of most of their corrected pixels. rename: so do clusters with another name;
    split: clusters that hold several corrected classes are split between them; dry_run: only compare. Each step is an
    edit that can be undone. form: see `open_masks`; keep: see KEEP; feature_maps: instead of the network's, which
    export uses too, so that unchanged masks are found out.
    Raises SettingError and PicieError for a file that cannot be read at all, nothing being changed then; masks that
    cannot be used are listed as problems, and the others are taken.
    """
    start = time.monotonic()
    if keep not in KEEP:
        raise SettingError(f"keep={keep!r} is unknown: choose one of {', '.join(KEEP)}")
    masks = CorrectedMasks(clustering.workspace, path, form)
    compared = _compare(clustering, masks, feature_maps or _network(clustering, device), keep == "all", report)
    if not compared.readable:
        first = masks.problems[0]
        raise PicieError(f"none of the masks in {path} can be used; the first: {first.path}: {first.reason}")
    owners = clustering.classes_of()
    splits = compared.corrections.splits(owners)
    proposed = compared.corrections.names()
    to_split = {one.cluster for one in splits} if split else set()
    names = [one for one in proposed if one.cluster not in owners and one.cluster not in to_split]
    renames = [one for one in proposed if one.class_id != owners.get(one.cluster, one.class_id)]
    renames = [one for one in renames if one.cluster not in to_split]
    applied = []
    if not dry_run:
        chosen = [*names, *(renames if rename else ())]
        applied = _apply(clustering, masks, compared.to_keep if keep != "none" else [], chosen, splits if split else [])
    names_now = {index: name for index, name in enumerate(masks.class_names)} | {IGNORE_ID: "ignore"}
    called = {cluster: names_now[owner] for cluster, owner in owners.items()}
    accuracy, mean_iou = compared.agreement.overall
    return ImportReport(
        path=masks.path,
        form=masks.form,
        masks=compared.readable,
        unchanged=compared.readable - len(compared.agreement.images),
        corrected=sorted(compared.agreement.images, key=lambda one: -one.changed / max(one.pixels, 1)),
        classes=compared.agreement.classes(),
        accuracy=accuracy,
        mean_iou=mean_iou,
        new_classes=_new_classes(masks, compared.agreement),
        other_spellings=masks.other_spellings,
        ignored_names=masks.ignored_names,
        problems=masks.problems,
        names=[_name_row(one, names_now) for one in names],
        renames=[{**_name_row(one, names_now), "now": called[one.cluster]} for one in renames],
        splits=[_split_row(one, names_now, called.get(one.cluster)) for one in splits],
        applied=applied,
        seconds=round(time.monotonic() - start, 3),
    )


# -- comparing


@dataclass
class _Compared:
    """What comparing found."""

    agreement: Agreement
    corrections: Corrections
    readable: int = 0
    to_keep: list[str] = field(default_factory=list)
    """Paths of the images whose masks become annotations."""


def _compare(
    clustering: StoredClustering, masks: CorrectedMasks, feature_maps: FeatureMaps, keep_all: bool, report: Report
) -> _Compared:
    """Compares one mask after the other; adds those that cannot be used to the problems of `masks`."""
    label_map, owners = clustering.label_map, clustering.classes_of()
    exported = exported_digests(clustering.workspace.root)
    compared = _Compared(Agreement(masks.class_names), Corrections(clustering, len(masks.class_names)))
    annotated, meter = label_map.annotated_paths(), Meter("compare", len(masks.images), report)
    for image in masks.images:
        try:
            reading = masks.read(image.path)
            corrected = reading.mask
            masks.problems += [Problem(image.path, note) for note in reading.notes]
            before = label_map.annotation_mask(image.path) if image.path in annotated else None
            known = before is not None and np.array_equal(before, corrected)
            known = known or mask_digest(image.path, corrected, masks.class_names) in exported
            if not known:
                feature_map = feature_maps(image)
                predicted = class_mask(feature_map, clustering, owners, image.height, image.width)
                different = int(np.count_nonzero(predicted != corrected))
                known = before is None and different <= UNCHANGED_SHARE * corrected.size
            if not known:
                compared.agreement.add(image.path, predicted, corrected)
                compared.corrections.add(feature_map, corrected)
            compared.readable += 1
            if keep_all or not known:
                compared.to_keep.append(image.path)
        except (MaskError, ImageError) as error:
            masks.problems.append(Problem(image.path, error.reason))
        meter.advance(1)
    return compared


def _network(clustering: StoredClustering, device: str) -> FeatureMaps:
    """Feature maps by the network of the run; it is loaded for the first image that needs it."""
    run = clustering.run

    @cache
    def network() -> tuple[FrozenEmbedder, ImageCache]:
        return run.engine(device), run.image_cache()

    def feature_map(image: ImageRecord) -> np.ndarray:
        from picie_core.models.inference import embed_image

        engine, images = network()
        return embed_image(engine, images.get(image.id))

    return feature_map


def _new_classes(masks: CorrectedMasks, agreement: Agreement) -> list[str]:
    shown = agreement.counts[:, :-1].sum(0)
    return [name for index, name in enumerate(masks.class_names) if index >= masks.known and shown[index]]


# -- taking over


def _apply(
    clustering: StoredClustering,
    masks: CorrectedMasks,
    to_keep: Sequence[str],
    names: Sequence[NameProposal],
    splits: Sequence[SplitProposal],
) -> list[str]:
    """Makes the edits, each in one transaction, and returns them in words."""
    label_map, source, class_names = clustering.label_map, masks.path.name, masks.class_names
    edits: list[Callable[[], object]] = []
    if to_keep:
        edits.append(lambda: label_map.annotate(_masks_of(masks, to_keep), class_names, source))
    if names:
        taken = {one.cluster: class_names[one.class_id] for one in names}
        edits.append(lambda: label_map.take_names(clustering.key, taken, source))
    edits += [_split_edit(clustering, one, class_names) for one in splits]
    applied = []
    for edit in edits:
        before = label_map.version()
        edit()
        applied += [event.words for event in label_map.history(1) if event.id > before]
    return applied


def _masks_of(masks: CorrectedMasks, paths: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    for path in paths:
        yield path, masks.read(path).mask


def _split_edit(
    clustering: StoredClustering, proposal: SplitProposal, class_names: Sequence[str]
) -> Callable[[], list[int]]:
    """The edit of one proposed split; every part is named, the first one often as it was."""
    names = [class_names[class_id] for class_id, _ in proposal.parts]
    return lambda: clustering.label_map.split_cluster(
        clustering.key, proposal.cluster, proposal.prototypes, clustering.k, names=names
    )


# -- rows of the report


def _name_row(one: NameProposal, names: Mapping[int, str]) -> dict[str, Any]:
    return {"cluster": one.cluster, "name": names[one.class_id], "share": one.share, "positions": one.positions}


def _split_row(one: SplitProposal, names: Mapping[int, str], now: str | None) -> dict[str, Any]:
    parts = {names[class_id]: share for class_id, share in one.parts}
    rights = {"right_before": one.right_before, "right_after": one.right_after}
    return {"cluster": one.cluster, "now": now, "parts": parts, **rights}
