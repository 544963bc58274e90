"""Masks that were corrected elsewhere come back: compared, kept as annotations, and used to name and split clusters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from picie_core.data.images.image_cache import ImageCache
from picie_core.data.images.image_file import ImageError
from picie_core.data.images.image_folder import Problem
from picie_core.data.images.image_index import ImageRecord
from picie_core.errors import PicieError, SettingError
from picie_core.evaluation.agreement import Agreement
from picie_core.export.readers.detection import AUTO
from picie_core.export.readers.mask_set import MaskError
from picie_core.labels.corrections import Corrections, NameProposal, SplitProposal
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.segmentation.masks import class_mask
from picie_core.workspace.masks.corrected_masks import CorrectedMasks
from picie_core.workspace.masks.exported_masks import exported_digests, mask_digest
from picie_core.workspace.masks.import_report import ImportReport, make_report
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


def import_masks(
    clustering: StoredClustering,
    path: Path,
    *,
    form: str = AUTO,
    keep: str = "changed",
    name: bool = True,
    rename: bool = False,
    split: bool = False,
    dry_run: bool = False,
    feature_maps: FeatureMaps | None = None,
    device: str = "auto",
    report: Report = ignore_progress,
) -> ImportReport:
    """Reads corrected masks, compares them with those of `clustering` now, and takes over what they say.

    The corrected masks become annotations of their images, which export writes instead of the predicted masks, and
    clusters without a name take that of most of their corrected pixels. name: without it they do not; rename: clusters
    with another name do so too; split: clusters that hold several corrected classes are split between them; dry_run:
    only compare. Each step is an edit that can be undone. form: see `open_masks`; keep: see KEEP; feature_maps: instead
    of the network's, which export uses too, so that unchanged masks are found out.
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
    proposals = compared.corrections.proposals(clustering.classes_of(), split)
    applied = []
    if not dry_run:
        names = [*(proposals.names if name else ()), *(proposals.renames if rename else ())]
        to_keep = compared.to_keep if keep != "none" else []
        applied = _apply(clustering, masks, to_keep, names, proposals.splits if split else [])
    seconds = time.monotonic() - start
    return make_report(
        masks, compared.agreement, proposals, readable=compared.readable, applied=applied, seconds=seconds
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
