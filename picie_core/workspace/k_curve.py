"""The curve over K of a run, stored beside its clusterings: every K when it is known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from picie_core.atomic_files import write_json
from picie_core.clustering.k_selection import PIXELS, KScore, ScoreCurve, score_ks
from picie_core.progress import Report, ignore_progress
from picie_core.workspace.workspace import Run

FILE = "scores.json"


def compute_k_curve(
    run: Run, ks: Iterable[int], seeds: int = 3, pixels: int = PIXELS, report: Report = ignore_progress
) -> ScoreCurve:
    """Returns the curve of `run` over `ks`; every K is stored when it is known, so a stopped one goes on.

    Raises SettingError for a K that the sample is too small for.
    """
    known = load_k_curve(run)
    for curve in score_ks(run.sample().embeddings, ks, seeds, pixels, known, report):
        write_json(run.derived_dir / FILE, {**asdict(curve), "reading": curve.reading, "done": curve.done})
    return curve


def load_k_curve(run: Run) -> ScoreCurve | None:
    """Returns the curve of `run` as far as it is known, also while a job makes it; None before its first K."""
    try:
        record = json.loads((run.derived_dir / FILE).read_text())
    except FileNotFoundError:
        return None
    points = tuple(KScore(**point) for point in record["points"])
    return ScoreCurve(points, record["seeds"], record["pixels"], tuple(record["wanted"]))
