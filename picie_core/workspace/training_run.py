"""One training run of a workspace: its network, its epochs with checkpoints and history, its finished embedder."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from picie_core.atomic_files import write_text
from picie_core.data.datasets import DataChoice, open_labelled_set
from picie_core.data.labelled_set import LabelledSet
from picie_core.errors import PicieError
from picie_core.progress import Report
from picie_core.settings import EmbedderSettings, SampleSettings, TrainSettings
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.models.embedder import Embedder
    from picie_core.training.trainer import EpochRecord, Training

CHECKPOINT_S = 600.0
"""A checkpoint is written at least this often, in seconds, however long an epoch takes."""
COLLAPSE_REMEDY = "lower --lr-decoder and --lr-backbone, raise --hold-shares, or give --balance -0.5"


def start_network(
    workspace: Workspace,
    embedder: EmbedderSettings,
    sampling: SampleSettings,
    start: str | None,
    report: Report,
    device: str,
) -> Embedder:
    """Returns the network to train: the one of run `start`, else the frozen start that `embedder` describes."""
    from picie_core.models.embedder import load_embedder
    from picie_core.workspace.embedding import fit_embedder, start_embedder

    if start is not None:
        return load_embedder(workspace.run_dir(start) / "embedder")[0]
    network = start_embedder(workspace, embedder, sampling, report)
    fit_embedder(workspace, network, sampling, device, report)
    return network


def run_epochs(
    workspace: Workspace, report: Report, work: Training, info: RunInfo, say: Callable[[str], None]
) -> RunInfo:
    """Runs the epochs; stores a record and a checkpoint after each, and checkpoints in between and on a stop.

    A checkpoint is there before the first step, and a kill at any point leaves a run that can be resumed: the figures
    of an epoch are stored before its checkpoint, as those of an epoch that is trained again are replaced. say: takes a
    line for the log, such as the news of a collapse.
    """
    from picie_core.training.checkpoint import save_checkpoint

    folder = workspace.run_dir(info.id)
    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        work.check_weights()
        save_checkpoint(folder / "checkpoint.pt", work.state())
        saved = time.monotonic()

    def save_sometimes() -> None:
        if time.monotonic() - saved > CHECKPOINT_S:
            save()

    with stop_on_signal() as stop:
        work.stop, work.after_step = stop, save_sometimes
        if not (folder / "checkpoint.pt").exists():
            save()
        for record in work.epochs(report):
            keep_epoch(folder, work, record.epoch)
            append_history(folder / "history.jsonl", record)
            list_problems(workspace, work.batches.unreadable)
            save()
            info = replace(info, epochs_done=work.epoch)
            workspace.write_run(info)
            if record.collapsed:
                say(collapse_words(record.line()))
        if not work.finished:
            save()
    list_problems(workspace, work.batches.unreadable)
    return replace(info, epochs_done=work.epoch)


def keep_epoch(folder: Path, work: Training, epoch: int) -> None:
    """Stores the network after `epoch` as `epochs/<epoch>/embedder` of a run, when the settings ask for it."""
    from picie_core.models.embedder import save_embedder

    if work.settings.keep_epochs and epoch % work.settings.keep_epochs == 0:
        save_embedder(work.embedder, folder / "epochs" / f"{epoch:03d}" / "embedder", work.sampling.size_px)


def list_problems(workspace: Workspace, unreadable: dict[int, str]) -> None:
    """Lists images that a training could not read, with their reasons, among the workspace's problems."""
    listed = workspace.image_list().bad_ids
    for image_id, reason in unreadable.items():
        if image_id not in listed:
            workspace.add_problem(image_id, reason)


def collapse_words(line: dict[str, Any]) -> str:
    """Returns what to say of an epoch, given its line of the history, in which the training collapsed."""
    return f"epoch {line['epoch']}: the training has collapsed, {line['collapse']}: {COLLAPSE_REMEDY}"


def collapse_of(workspace: Workspace, run: str) -> dict[str, str]:
    """Returns what the summary of a run says of the last epoch in which it collapsed; nothing when none did."""
    collapsed = [line for line in read_history(workspace, run) if line["collapsed"]]
    return {"collapse": collapse_words(collapsed[-1])} if collapsed else {}


def append_history(path: Path, record: EpochRecord) -> None:
    """Adds one line; lines of the same or a later epoch, from before a resume, are dropped."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["epoch"] < record.epoch]
    write_text(path, "\n".join([*kept, json.dumps(record.line())]) + "\n")


def read_history(workspace: Workspace, run: str) -> list[dict[str, Any]]:
    """Returns the figures of each finished epoch of a run, oldest first."""
    path = workspace.run_dir(run) / "history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether Ctrl-C or SIGTERM came; a second one ends the process at once."""
    asked = []
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        for one, handler in previous.items():
            signal.signal(one, handler)

    for number in previous:
        signal.signal(number, ask)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def store_head(workspace: Workspace, run: str, work: Training, class_names: list[str]) -> None:
    """Stores the classifier that a training learnt, so that it scores unit embeddings; nothing when there is none."""
    from picie_core.models.classifier_head import Head, save_head

    linear = work.objective.head()
    if linear is not None:
        weight, bias = linear.weight.detach().float().cpu(), linear.bias.detach().float().cpu()
        head = Head((weight / work.settings.temperature).numpy(), bias.numpy(), tuple(class_names))
        save_head(head, workspace.run_dir(run) / "head.npz")


def masks_of(
    workspace: Workspace, masks: Path | None, method: str, data: DataChoice | None = None
) -> LabelledSet | None:
    """Returns the ground truth of the workspace's images for the methods that need it: of `masks`, else of `data`.

    Raises PicieError when such a method got none, or none of the images has a mask.
    """
    if method not in ("supervised", "probe"):
        if masks is not None:
            raise PicieError(f"method={method} uses no masks: leave --masks out, or give --method supervised or probe")
        return None
    if masks is not None:
        return open_labelled_set(workspace.images_root, masks)
    if data is not None:
        return data.truth()
    raise PicieError(
        f"method={method} learns from masks: give --masks DIR with the stems of the images, or --dataset and --root"
    )


def all_settings(*settings: Any) -> dict[str, Any]:
    """Returns the fields of all settings in one record, as a run stores them."""
    return {name: value for one in settings for name, value in asdict(one).items()}


def stored_settings(info: RunInfo) -> tuple[TrainSettings, EmbedderSettings, SampleSettings]:
    """Returns the settings that a run was started with."""

    def known(kind: Any) -> dict[str, Any]:
        return {one.name: info.settings[one.name] for one in fields(kind) if one.name in info.settings}

    return (
        TrainSettings(**known(TrainSettings)),
        EmbedderSettings(**known(EmbedderSettings)),
        SampleSettings(**known(SampleSettings)),
    )


def stopped_run(workspace: Workspace, run: str) -> RunInfo:
    """Returns the record of a run that can be resumed. Raises PicieError for any other."""
    info = workspace.run_info(run)
    if info.state == "done" or info.method == "frozen":
        raise PicieError(f"run {run} is {info.state}: only a stopped or failed training can be resumed")
    return info
