"""A distillation from an export to the folder of a student: resumable, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from picie_core.atomic_files import folder_atomic, sweep, write_text
from picie_core.distillation.checkpoint import read_training, restore_training, save_training
from picie_core.distillation.comparison import Truth, open_ground_truth
from picie_core.distillation.dataset import Examples, PseudoLabels, open_export
from picie_core.distillation.own_labels import label_anew
from picie_core.distillation.settings import DistilSettings, StudentSettings
from picie_core.distillation.student.onnx_export import write_onnx
from picie_core.distillation.student.result import ResultInput, WriteOnnx, write_result
from picie_core.distillation.student.student_folder import CHECKPOINT, HISTORY, training_folder
from picie_core.distillation.trainer import Distillation
from picie_core.errors import PicieError, Stopped
from picie_core.progress import Report, ignore_progress

CHECKPOINT_S = 60.0
"""A checkpoint is written after each epoch, at a stop, and at least this often."""


def distil_export(
    export: Path,
    out: Path,
    student: StudentSettings = StudentSettings(),
    settings: DistilSettings = DistilSettings(),
    *,
    truth: Truth | None = None,
    anew: bool = False,
    device: str = "auto",
    report: Report = ignore_progress,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda line: None,
    to_onnx: WriteOnnx = write_onnx,
) -> dict[str, Any]:
    """Trains a student on an index PNG export and writes it to `out`; returns the content of its report.json.

    A training that was stopped or killed goes on where it was when it is called again in the same way. When `stop`
    returns True the best student so far is written, and the training can still go on. anew: forgets a stopped training.
    to_onnx: writes the ONNX file of the network.
    Raises PicieError when the export, `out` or the stopped training cannot be used, Stopped when it was stopped before
    its first epoch.
    """
    out, export = out.absolute(), export.absolute()
    work = training_folder(out)
    if anew:
        shutil.rmtree(work, ignore_errors=True)
    _check_out(out, work, export)
    labels = open_export(export, settings.val_share, settings.seed)
    if truth is not None:
        open_ground_truth(truth.labels, labels.class_names)  # refuses other classes before the training
    plan = json.loads(json.dumps(_plan(labels, student, settings)))
    state = read_training(work / CHECKPOINT, plan)
    names, size_px = labels.class_names, student.size_px
    train, val = (Examples(part, size_px, len(names)) for part in (labels.train, labels.val))
    training = Distillation(train, val, names, student, settings, device, report)
    if state is not None:
        restore_training(training, state)
        if training.round > 1:
            training.train = label_anew(training, labels.train, work)
        note(f"going on after epoch {len(training.history)} ({work})")
    work.mkdir(parents=True, exist_ok=True)
    sweep(work, older_than_s=0)
    _train(training, labels, work, plan, report, stop)
    stopped = stop() and not training.finished
    if not training.best:
        raise Stopped(f"stopped before the end of its first epoch; the same command goes on ({work})")
    facts = ResultInput(labels, training, truth, stopped)
    with folder_atomic(out) as folder:
        record = write_result(folder, facts, report, to_onnx)
    if not stopped:
        shutil.rmtree(work)
    return record


def _train(
    training: Distillation,
    labels: PseudoLabels,
    work: Path,
    plan: dict[str, Any],
    report: Report,
    stop: Callable[[], bool],
) -> None:
    """Runs the rounds that are left, with checkpoints."""
    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        save_training(work / CHECKPOINT, training, plan)
        saved = time.monotonic()

    def after_step() -> None:
        if time.monotonic() - saved > CHECKPOINT_S:
            save()

    while True:
        for _ in training.epochs(report, stop, after_step):
            write_text(work / HISTORY, json.dumps(training.history))
            save()
        if not training.finished or training.round >= training.settings.rounds:
            break
        training.start_round(label_anew(training, labels.train, work, training.round + 1, report))
        save()
    save()


def _plan(labels: PseudoLabels, student: StudentSettings, settings: DistilSettings) -> dict[str, Any]:
    """What makes two trainings the same one."""
    listed = hashlib.sha256()
    for one in (*labels.train, *labels.val):
        listed.update(f"{one.stem}\t{one.mask.stat().st_mtime_ns}\t{one.annotated}\n".encode())
    names = [one.name for one in labels.classes]
    return {
        "export": str(labels.root),
        "images": listed.hexdigest(),
        "classes": names,
        **asdict(student),
        **asdict(settings),
    }


def _check_out(out: Path, work: Path, export: Path) -> None:
    """Raises PicieError unless `out` is new, empty, or what a stopped training of the same name left."""
    if out == export or out.is_relative_to(export / "images") or out.is_relative_to(export / "masks"):
        raise PicieError(f"{out} lies in the export that is learnt from: choose another --out")
    if out.exists() and not (work / CHECKPOINT).exists() and (not out.is_dir() or any(out.iterdir())):
        raise PicieError(f"{out} exists and is not an empty folder: give a new --out, so that nothing is overwritten")
