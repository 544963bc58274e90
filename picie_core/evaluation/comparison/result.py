"""The figures of one finished run of a comparison: measured in one pass, stored as JSON, read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from picie_core.atomic_files import write_json
from picie_core.errors import PicieError
from picie_core.progress import Report, ignore_progress
from picie_core.workspace.workspace import Run

if TYPE_CHECKING:
    from picie_core.data.labelled_set import LabelledSet

Figures = dict[str, dict[str, float]]
"""`k11` (clustered at K = 11) or `head` (the classifier's own labels) -> figure -> percent."""


@dataclass(frozen=True)
class RunResult:
    """What one run of a comparison came to."""

    row: str
    data: str
    seed: int
    run: str
    """Its name in the workspace of the data set."""
    figures: Figures
    images: int
    """Images that it was trained on."""
    classes: int
    train_s: float
    """Seconds of all epochs, clustering included; 0 for a frozen start."""
    total_s: float
    """Seconds of everything: starting, training, embedding, clustering, measuring; also before a stop."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """The figures of each epoch."""
    news: str = ""
    """What a person should know of the run, such as a collapse."""
    made_of: dict[str, Any] = field(default_factory=dict)
    """What the plan said of it: with another plan the run is made again."""


def write_result(path: Path, result: RunResult) -> None:
    """Stores the result of a run in one step."""
    write_json(path, asdict(result))


def read_result(path: Path, made_of: dict[str, Any]) -> RunResult | None:
    """Returns the stored result of a run; None when there is none, or one that another plan made."""
    try:
        found = RunResult(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # absent, or of another version: it is made again
        return None
    return found if found.made_of == json.loads(json.dumps(made_of)) else None


def measure_run(
    run: Run,
    truth: LabelledSet,
    ks: Sequence[int],
    seeds: int,
    device: str = "auto",
    report: Report = ignore_progress,
) -> Figures:
    """Returns the figures of a finished run, all from one pass over `truth`.

    At each K: means over `seeds` clusterings. `head`: the labels of the classifier that the run learnt, where it did;
    it names its classes itself when it learnt them from masks, else its labels are matched as clusters are.
    """
    from picie_core.evaluation.dataset_evaluation import confusions, summary
    from picie_core.models.classifier_head import Head, load_head
    from picie_core.models.embedder import FrozenEmbedder, load_embedder

    where = "cpu" if device == "cpu" else "cuda"  # which k-means uses where it can
    wanted = [
        (f"k{k}", Head.of_centroids(run.cluster(k, seed, device=where).centroids)) for k in ks for seed in range(seeds)
    ]
    learnt = run.folder / "head.npz"
    wanted += [("head", load_head(learnt))] if learnt.exists() else []
    network, size_px = load_embedder(run.folder / "embedder")
    engine = FrozenEmbedder(network, device)
    counts = confusions(engine, size_px, truth, [head for _, head in wanted], report=report)
    found: dict[str, list[dict[str, float]]] = {}
    for (name, head), one in zip(wanted, counts, strict=True):
        named = bool(head.class_names)
        one = square_counts(one, head.class_names, truth.class_names) if named else one
        found.setdefault(name, []).append(summary(one, truth.thing_classes, named))
    return {name: _means(several) for name, several in found.items()}


def square_counts(counts: np.ndarray, learnt: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Returns a confusion (L, C) of learnt against measured classes with as many rows as columns.

    Training and measured masks may show different numbers of classes: one that was never learnt is never predicted,
    one that is not measured has no pixels. Raises PicieError when the classes have other names.
    """
    both = min(len(learnt), len(classes))
    if list(learnt[:both]) != list(classes[:both]):
        raise PicieError(
            f"the classifier learnt {', '.join(learnt)}, the ground truth has {', '.join(classes)}: give masks of the "
            "same classes, with the same classes.txt beside both"
        )
    side = max(counts.shape)
    return np.pad(counts, [(0, side - counts.shape[0]), (0, side - counts.shape[1])])


def _means(several: list[dict[str, float]]) -> dict[str, float]:
    return {figure: float(np.mean([one[figure] for one in several])) for figure in several[0]}
