"""The epochs of a training run: what is stored after each, in between and at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from picie_core.data.labelled_sets.class_pixels import ClassPixels
from picie_core.progress import Report
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.trainings.training_history import append_history, collapse_words
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.training.trainer import Training

CHECKPOINT_S = 600.0
"""A checkpoint is written at least this often, in seconds, however long an epoch takes."""


def run_epochs(
    workspace: Workspace,
    training: Training,
    info: RunInfo,
    *,
    report: Report,
    stop: Callable[[], bool],
    note: Callable[[str], None],
) -> RunInfo:
    """Runs the epochs; stores a record and a checkpoint after each, and checkpoints in between and on a stop.

    A checkpoint is there before the first step, and a kill at any point leaves a run that can be resumed: the metrics
    of an epoch are stored before its checkpoint, and those of an epoch that is trained again are replaced.
    """
    from picie_core.models.embedder import save_embedder
    from picie_core.training.checkpoint import save_checkpoint, training_state

    folder = workspace.run_dir(info.id)
    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        training.check_weights()
        save_checkpoint(folder / "checkpoint.pt", training_state(training))
        saved = time.monotonic()

    def save_sometimes() -> None:
        if time.monotonic() - saved > CHECKPOINT_S:
            save()

    if not (folder / "checkpoint.pt").exists():
        save()
    for record in training.epochs(report, stop, save_sometimes):
        if training.settings.keep_epochs and record.epoch % training.settings.keep_epochs == 0:
            kept = folder / "epochs" / f"{record.epoch:03d}" / "embedder"
            save_embedder(training.embedder, kept, training.sampling.size_px)
        append_history(folder / "history.jsonl", record)
        _list_problems(workspace, training.batches.unreadable)
        save()
        info = replace(info, epochs_done=training.epoch)
        workspace.write_run(info)
        if record.collapsed:
            note(collapse_words(record.line()))
    if not training.finished:
        save()
    _list_problems(workspace, training.batches.unreadable)
    return replace(info, epochs_done=training.epoch)


def _list_problems(workspace: Workspace, unreadable: dict[int, str]) -> None:
    """Lists images that the training could not read, with their reasons, among the workspace's problems."""
    listed = workspace.image_list().bad_ids
    for image_id, reason in unreadable.items():
        if image_id not in listed:
            workspace.add_problem(image_id, reason)


def store_head(path: Path, training: Training, pixels: ClassPixels | None = None) -> None:
    """Stores the classifier that a training learnt, for unit embeddings; nothing when there is none.

    pixels: what the masks show, for the names of the classes; one that no mask shows is never predicted.
    """
    from picie_core.models.classifier_head import Head, save_head, without_classes

    linear = training.objective.head()
    if linear is not None:
        weight, bias = linear.weight.detach().float().cpu(), linear.bias.detach().float().cpu()
        names, absent = (pixels.class_names, pixels.absent) if pixels else ((), [])
        head = Head((weight / training.settings.temperature).numpy(), bias.numpy(), names)
        save_head(without_classes(head, absent), path)
