"""The history of a training run: one line of metrics for each finished epoch, and what it says of a collapse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from picie_core.atomic_files import write_text
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.training.epochs.epoch_metrics import EpochRecord

COLLAPSE_REMEDY = "lower --lr-decoder and --lr-backbone, raise --prior-matching, or give --balance -0.5"


def append_history(path: Path, record: EpochRecord) -> None:
    """Adds one line; lines of the same or a later epoch, from before a resume, are dropped."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["epoch"] < record.epoch]
    write_text(path, "\n".join([*kept, json.dumps(record.line())]) + "\n")


def read_history(workspace: Workspace, run: str) -> list[dict[str, Any]]:
    """Returns the metrics of each finished epoch of a run, oldest first."""
    path = workspace.run_dir(run) / "history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def collapse_words(line: dict[str, Any]) -> str:
    """Returns the news of an epoch, given its line of the history, in which the training collapsed."""
    return f"epoch {line['epoch']}: the training has collapsed, {line['collapse']}: {COLLAPSE_REMEDY}"


def last_collapse(workspace: Workspace, run: str) -> str:
    """Returns the news of the last epoch in which a run collapsed; empty when there was none."""
    collapsed = [line for line in read_history(workspace, run) if line["collapsed"]]
    return collapse_words(collapsed[-1]) if collapsed else ""


def best_epoch_words(record: dict[str, Any]) -> str:
    """Returns the news of which epoch a supervised training keeps, given what `HeldOut.record` returned."""
    if not record:
        return "the last epoch is kept: there are too few labelled images to hold some out and choose by them"
    which = f"epoch {record['best_epoch']}" if record["best_epoch"] else "the start, which no epoch improved on,"
    return (
        f"{which} is kept: mIoU {record['best_miou']:.1f} % on {record['held_out']} held-out images, "
        f"{record['start_miou']:.1f} % at the start"
    )
