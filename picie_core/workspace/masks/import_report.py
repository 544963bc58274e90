"""The report of an import: what was found, what is proposed, and what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME
from picie_core.data.images.image_folder import Problem
from picie_core.evaluation.agreement import Agreement, ClassAgreement, ImageAgreement
from picie_core.labels.corrections import NameProposal, Proposals, SplitProposal
from picie_core.workspace.masks.corrected_masks import CorrectedMasks


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


def make_report(
    masks: CorrectedMasks,
    agreement: Agreement,
    proposals: Proposals,
    *,
    readable: int,
    applied: list[str],
    seconds: float,
) -> ImportReport:
    """Returns the report of an import; agreement: over the corrected masks; readable: how many masks could be read."""
    names = {index: name for index, name in enumerate(masks.class_names)} | {IGNORE_ID: IGNORE_NAME}
    now = {cluster: names[owner] for cluster, owner in proposals.owners.items()}
    accuracy, mean_iou = agreement.overall
    return ImportReport(
        path=masks.path,
        form=masks.form,
        masks=readable,
        unchanged=readable - len(agreement.images),
        corrected=sorted(agreement.images, key=lambda one: -one.changed / max(one.pixels, 1)),
        classes=agreement.classes(),
        accuracy=accuracy,
        mean_iou=mean_iou,
        new_classes=_new_classes(masks, agreement),
        other_spellings=masks.other_spellings,
        ignored_names=masks.ignored_names,
        problems=masks.problems,
        names=[_name_row(one, names) for one in proposals.names],
        renames=[{**_name_row(one, names), "now": now[one.cluster]} for one in proposals.renames],
        splits=[_split_row(one, names, now.get(one.cluster)) for one in proposals.splits],
        applied=applied,
        seconds=round(seconds, 3),
    )


def _new_classes(masks: CorrectedMasks, agreement: Agreement) -> list[str]:
    shown = agreement.counts[:, :-1].sum(0)
    return [name for index, name in enumerate(masks.class_names) if index >= masks.known and shown[index]]


def _name_row(one: NameProposal, names: Mapping[int, str]) -> dict[str, Any]:
    return {"cluster": one.cluster, "name": names[one.class_id], "share": one.share, "positions": one.positions}


def _split_row(one: SplitProposal, names: Mapping[int, str], now: str | None) -> dict[str, Any]:
    parts = {names[class_id]: share for class_id, share in one.parts}
    rights = {"right_before": one.right_before, "right_after": one.right_after}
    return {"cluster": one.cluster, "now": now, "parts": parts, **rights}
