"""Named as a person names: from the workspace's own images, then measured on these and on others.

A person sees the images of the workspace and gives each cluster the class that it mostly shows there. Clusters that
show no counted pixel there stay without a name, and their pixels are errors. The same names are measured twice: on
these own images, whose masks are exported, and on other ones, which a network meets later.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from picie_core.data.class_names import name_key
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.errors import PicieError
from picie_core.evaluation.metrics import Scores, match_identity, match_majority, matchings, score, summary
from picie_core.evaluation.set_evaluation import StoredFeatures, confusions
from picie_core.models.classifier_head import Head
from picie_core.models.inference import FrozenEmbedder
from picie_core.progress import Report, ignore_progress


@dataclass(frozen=True)
class OwnImages:
    """The images of a workspace with their ground truth, from which clusters are named."""

    truth: LabelledSet
    stored: StoredFeatures | None = None
    """Their feature maps, where a run has stored them."""


@dataclass(frozen=True, eq=False)
class HeadCounts:
    """The confusion of one classifier or clustering with the classes, on measured and on own images."""

    measured: np.ndarray
    """(K, C) int64 pixels."""
    own: np.ndarray | None
    """(K, C') int64 pixels of the workspace's own images, whole; None where they have no ground truth."""
    rows_are_classes: bool
    """Whether row i is class i, so that nothing is matched or named."""

    @property
    def naming(self) -> np.ndarray | None:
        """(K,) class of each cluster by the own images, -1 without one; None where these have no ground truth."""
        if self.rows_are_classes:
            return match_identity(self.measured)
        return None if self.own is None else match_majority(self.own)

    @property
    def own_scores(self) -> Scores | None:
        """The scores of the names on the own images; None where these have no ground truth."""
        return None if self.own is None or self.naming is None else score(self.own, self.naming)

    def matchings(self) -> dict[str, np.ndarray]:
        """Returns `matchings` of the measured images, the names of the own ones among them."""
        return matchings(self.measured, self.naming, self.rows_are_classes)

    def metrics(self, thing_classes: Collection[int] | None = None) -> dict[str, float]:
        """Returns `summary` of the measured images, and accuracy and mIoU of the own ones as `..._own`, percent."""
        found = summary(self.measured, thing_classes, naming=self.naming, rows_are_classes=self.rows_are_classes)
        own = self.own_scores
        return found if own is None else {**found, "accuracy_own": 100 * own.accuracy, "miou_own": 100 * own.mean_iou}


def measure_heads(
    engine: FrozenEmbedder,
    size_px: int,
    truth: LabelledSet,
    heads: Sequence[Head],
    own: OwnImages | None = None,
    report: Report = ignore_progress,
    *,
    centre_square: bool = False,
) -> list[HeadCounts]:
    """Returns the counts of every head over `truth`, and over the workspace's own images where these are given.

    Where the measured images are the own ones, they are counted once. centre_square: measures as the paper does; own
    images are counted whole all the same, as a person sees them. Raises PicieError as `confusions`, and when heads, own
    and measured masks have other classes.
    """
    for head in heads:
        if head.class_names:
            check_classes(head.class_names, truth.class_names, "the classifier")
    if own is not None:
        check_classes(own.truth.class_names, truth.class_names, "the workspace's masks")
    owns: Sequence[np.ndarray | None] = [None] * len(heads)
    measured: Sequence[np.ndarray] = []
    if own is not None:
        owns = measured = confusions(
            engine, size_px, own.truth, heads, report=report, stored=own.stored, phase="own images"
        )
    if own is None or centre_square or not _same_files(own.truth, truth):
        measured = confusions(engine, size_px, truth, heads, centre_square, report)
    return [
        HeadCounts(counts, own_counts, bool(head.class_names))
        for head, counts, own_counts in zip(heads, measured, owns, strict=True)
    ]


def mean_metrics(
    names: Sequence[str], counts: Sequence[HeadCounts], thing_classes: Collection[int] | None = None
) -> dict[str, dict[str, float]]:
    """Returns the metrics of each name, the mean over the counts that share it, such as clusterings at one K."""
    found: dict[str, list[dict[str, float]]] = {}
    for name, one in zip(names, counts, strict=True):
        found.setdefault(name, []).append(one.metrics(thing_classes))
    return {
        name: {metric: float(np.mean([one[metric] for one in several])) for metric in several[0]}
        for name, several in found.items()
    }


def check_classes(classes: Sequence[str], measured: Sequence[str], whose: str) -> None:
    """Raises PicieError unless one of two lists of classes begins with the other.

    Masks of fewer images may show fewer classes: one that was never learnt is never predicted, one that is not measured
    has no pixel. Any other difference would score one class as another.
    """
    pairs = zip(classes, measured, strict=False)
    if any(name_key(one) != name_key(other) for one, other in pairs):
        raise PicieError(
            f"the classes of {whose} are {', '.join(classes)}, those of the measured masks {', '.join(measured)}: "
            "give masks of the same classes, with the same classes.txt beside both"
        )


def absent_classes(counts: HeadCounts, class_names: Sequence[str]) -> list[str]:
    """Returns a sentence for the classes that no measured, and for those that no own image shows; none otherwise.

    class_names: (C,) of the measured masks.
    """
    measured, said = counts.measured.sum(0) > 0, []
    if not measured.all():
        missing = _listed(class_names, ~measured)
        said.append(f"No measured image shows {missing}: the means leave it out.")
    if counts.own is not None:
        own = np.zeros(len(class_names), bool)
        shown = counts.own.sum(0)[: len(own)] > 0
        own[: len(shown)] = shown
        if (measured & ~own).any():
            missing = _listed(class_names, measured & ~own)
            said.append(f"No own image shows {missing}, so no cluster has that name, and its IoU on others is 0.")
    return said


def _listed(names: Sequence[str], chosen: np.ndarray) -> str:
    return ", ".join(name for name, one in zip(names, chosen, strict=True) if one)


def _same_files(first: LabelledSet, second: LabelledSet) -> bool:
    roots = zip((first.images_root, first.masks_root), (second.images_root, second.masks_root), strict=True)
    return first.pairs == second.pairs and all(one.resolve() == other.resolve() for one, other in roots)
