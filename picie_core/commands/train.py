"""`train`: PiCIE on the images of a workspace, resumable."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from picie_core.atomic import write_text
from picie_core.cli import Job, Option, Stopped, open_or_create
from picie_core.commands.embed import finish_run
from picie_core.commands.options import DeviceOption, ImagesOption, WorkspaceOption
from picie_core.errors import PicieError
from picie_core.settings import EmbedderSettings, SampleSettings, TrainSettings
from picie_core.workspace import RunInfo, Workspace

if TYPE_CHECKING:
    from picie_core.embedder import Embedder
    from picie_core.training import EpochRecord, Training


def train(
    workspace: WorkspaceOption,
    training: TrainSettings = TrainSettings(),
    embedder: EmbedderSettings = EmbedderSettings(),
    sampling: SampleSettings = SampleSettings(),
    images: ImagesOption = None,
    method: Annotated[str, Option("what the training agrees with", choices=("picie",))] = "picie",
    resume: Annotated[str | None, Option("go on with this stopped run; its settings are used")] = None,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Train a pixel embedder on these images with PiCIE, starting from the frozen embedder.

    Advice: `embed` first and look; train when the clusters miss things that you see. 5 epochs over a few hundred
    images take minutes on two cores. Ctrl-C stops after the current step; --resume RUN goes on. Watch the label
    entropy: near 0 is a collapse, then lower --lr-decoder.
    """
    space = open_or_create(workspace, images)
    if int(os.environ.get("LOCAL_RANK", "0")) > 0:
        return _follow(space, training, embedder, sampling, resume, device)
    with space.writer_lock("train"), Job(space, "train") as job:
        if resume:
            info = _stopped_run(space, resume)
            training, embedder, sampling = _settings_of(info)
        else:
            name = _run_name(method, training, embedder, sampling)
            info = RunInfo(name, method, "running", time.time(), _all_settings(training, embedder, sampling))
        return _train(space, job, replace(info, state="running"), training, embedder, sampling, bool(resume), device)


def _train(
    space: Workspace,
    job: Job,
    info: RunInfo,
    training: TrainSettings,
    embedder: EmbedderSettings,
    sampling: SampleSettings,
    resume: bool,
    device: str,
) -> dict[str, Any]:
    from picie_core.checkpoint import load_checkpoint
    from picie_core.embedder import FrozenEmbedder, save_embedder
    from picie_core.embedding import make_sample
    from picie_core.training import Training

    job.status.name_run(info.id)
    ids = [record.id for record in space.scan(job).readable]
    network = _start_network(space, embedder, sampling, resume, job, device)
    cache = space.image_cache(sampling.size_px, writable=True)
    work = Training(network, cache, ids, training, sampling, device)
    space.write_run(info)
    if resume:
        work.load_state(load_checkpoint(space.run_dir(info.id) / "checkpoint.pt"))
    info = _run_epochs(space, job, work, info)
    cache.flush()
    if work.epoch < training.epochs:
        space.write_run(replace(info, state="stopped"))
        raise Stopped(f"stopped in epoch {work.epoch + 1}; go on with --resume {info.id}")
    save_embedder(network, space.run_dir(info.id) / "embedder", sampling.size_px)
    made = make_sample(space, info.id, FrozenEmbedder(network, device), sampling, report=job)
    return finish_run(space, job, info, {**asdict(made), "epochs": work.epoch})


def _follow(
    space: Workspace,
    training: TrainSettings,
    embedder: EmbedderSettings,
    sampling: SampleSettings,
    resume: str | None,
    device: str,
) -> dict[str, Any]:
    """Trains beside the first process, which started this one by the same command line and does all the writing."""
    from picie_core.checkpoint import load_checkpoint
    from picie_core.embedder import Embedder
    from picie_core.training import Training

    if resume:
        training, embedder, sampling = _settings_of(_stopped_run(space, resume))
    ids = [record.id for record in space.image_list().readable]
    network = Embedder(embedder, sampling.seed)  # Fabric gives it the weights of the first process
    work = Training(network, space.image_cache(sampling.size_px), ids, training, sampling, device)
    if resume:
        work.load_state(load_checkpoint(space.run_dir(resume) / "checkpoint.pt"))
    with _stop_on_signal() as work.stop:
        for _ in work.epochs():
            pass
    return {}


def _start_network(
    space: Workspace,
    embedder: EmbedderSettings,
    sampling: SampleSettings,
    resume: bool,
    job: Job,
    device: str,
) -> Embedder:
    """Returns the network to train: the frozen embedder, whose decoder is the PCA of the stage features."""
    from picie_core.embedder import Embedder
    from picie_core.embedding import fit_embedder, start_embedder

    if resume:  # the checkpoint fills it
        return Embedder(embedder, sampling.seed)
    network = start_embedder(space, embedder, sampling, job)
    fit_embedder(space, network, sampling, device, job)
    return network


def _run_epochs(space: Workspace, job: Job, work: Training, info: RunInfo) -> RunInfo:
    """Runs the epochs; stores a record and a checkpoint after each, and a checkpoint when stopped on request."""
    from picie_core.checkpoint import save_checkpoint

    folder = space.run_dir(info.id)
    with _stop_on_signal() as stop:
        work.stop = stop
        try:
            for record in work.epochs(job):
                info = replace(info, epochs_done=work.epoch)
                save_checkpoint(folder / "checkpoint.pt", work.state())
                _append_history(folder / "history.jsonl", record)
                space.write_run(info)
        except PicieError:
            space.write_run(replace(info, state="failed"))
            raise
        if work.epoch < work.settings.epochs:
            save_checkpoint(folder / "checkpoint.pt", work.state())
    return info


def _append_history(path: Path, record: EpochRecord) -> None:
    """Adds one line; lines of the same or a later epoch, from before a resume, are dropped."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["epoch"] < record.epoch]
    write_text(path, "\n".join([*kept, json.dumps(asdict(record))]) + "\n")


@contextmanager
def _stop_on_signal() -> Iterator:
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


def _run_name(method: str, *settings: Any) -> str:
    """Returns a name that tells trainings apart, also two with equal settings, such as `picie-k27-1f3a`."""
    digest = hashlib.sha256(json.dumps([asdict(one) for one in settings] + [time.time()]).encode()).hexdigest()[:4]
    return f"{method}-k{settings[0].k}-{digest}"


def _all_settings(*settings: Any) -> dict[str, Any]:
    return {name: value for one in settings for name, value in asdict(one).items()}


def _settings_of(info: RunInfo) -> tuple[TrainSettings, EmbedderSettings, SampleSettings]:
    def known(kind: Any) -> dict[str, Any]:
        return {one.name: info.settings[one.name] for one in fields(kind) if one.name in info.settings}

    return (
        TrainSettings(**known(TrainSettings)),
        EmbedderSettings(**known(EmbedderSettings)),
        SampleSettings(**known(SampleSettings)),
    )


def _stopped_run(space: Workspace, run: str) -> RunInfo:
    info = space.run_info(run)
    if info.state == "done" or info.method == "frozen":
        raise PicieError(f"run {run} is {info.state}: only a stopped or failed training can be resumed")
    return info
