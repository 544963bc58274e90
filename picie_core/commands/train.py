"""`train`: an embedder trained on the images of a workspace, with PiCIE or a method it is compared with; resumable."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from picie_core.cli import Job, Option, Stopped, open_or_create
from picie_core.commands.embed import finish_run
from picie_core.commands.options import DeviceOption, ImagesOption, WorkspaceOption
from picie_core.objectives import METHODS
from picie_core.settings import EmbedderSettings, SampleSettings, TrainSettings
from picie_core.trainrun import (
    all_settings,
    masks_of,
    run_epochs,
    start_network,
    stop_on_signal,
    stopped_run,
    store_head,
    stored_settings,
)
from picie_core.workspace import RunInfo, Workspace

if TYPE_CHECKING:
    from picie_core.datasets import LabelledSet
    from picie_core.embedder import Embedder
    from picie_core.training import Training


def train(
    workspace: WorkspaceOption,
    training: TrainSettings = TrainSettings(),
    embedder: EmbedderSettings = EmbedderSettings(),
    sampling: SampleSettings = SampleSettings(),
    images: ImagesOption = None,
    method: Annotated[str, Option("what the training agrees with", choices=METHODS)] = "picie",
    masks: Annotated[Path | None, Option("folder of masks that supervised and probe learn from")] = None,
    start: Annotated[str | None, Option("run whose embedder to start from; without it the frozen start")] = None,
    resume: Annotated[str | None, Option("go on with this stopped run; its settings are used")] = None,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Train a pixel embedder on these images, with PiCIE or a method it is compared with (mdc, iic, supervised, probe).

    Advice: `embed` first and look; train when the clusters miss things that you see. 5 epochs over a few hundred
    images take minutes on two cores. Ctrl-C stops after the current step; --resume RUN goes on, also after a crash.
    Watch the label entropy: near 0 is a collapse, then lower --lr-decoder. --recipe paper is the paper's setting.
    """
    space = open_or_create(workspace, images)
    plan = _Plan(space, method, training, embedder, sampling, start, masks, device)
    if int(os.environ.get("LOCAL_RANK", "0")) > 0:
        return _follow(plan, resume)
    with space.writer_lock("train"), Job(space, "train") as job:
        if resume:
            plan, info = plan.resumed(stopped_run(space, resume))
        else:
            info = RunInfo(plan.run_name(), method, "running", time.time(), plan.settings())
        return _train(plan, job, replace(info, state="running"))


@dataclass(frozen=True)
class _Plan:
    """What is to be trained, on what, how."""

    space: Workspace
    method: str
    training: TrainSettings
    embedder: EmbedderSettings
    sampling: SampleSettings
    start: str | None
    masks: Path | None
    device: str

    def run_name(self) -> str:
        """Returns a name that tells trainings apart, also two with equal settings, such as `picie-k27-1f3a`."""
        digest = hashlib.sha256(json.dumps([self.settings(), time.time()]).encode()).hexdigest()[:4]
        return f"{self.method}-k{self.training.k}-{digest}"

    def settings(self) -> dict[str, Any]:
        """Returns what the run stores of it."""
        more = {"start": self.start, "masks": None if self.masks is None else str(self.masks.absolute())}
        return {**all_settings(self.training, self.embedder, self.sampling), **more}

    def resumed(self, info: RunInfo) -> tuple[_Plan, RunInfo]:
        """Returns the plan of a stopped run, whatever this command line says, and its record."""
        training, embedder, sampling = stored_settings(info)
        masks = info.settings.get("masks")
        return (
            _Plan(
                self.space,
                info.method,
                training,
                embedder,
                sampling,
                info.settings.get("start"),
                Path(masks) if masks else None,
                self.device,
            ),
            info,
        )

    def work(self, network: Embedder, truth: LabelledSet | None, writable: bool) -> Training:
        """Returns the training of `network`; its K is the number of classes where there is a ground truth."""
        from picie_core.training import Training

        records = self.space.image_list().readable
        names = {record.id: record.path for record in records}
        settings = replace(self.training, k=len(truth.class_names)) if truth else self.training
        cache = self.space.image_cache(self.sampling.size_px, writable=writable)
        return Training(
            network,
            cache,
            list(names),
            settings,
            self.sampling,
            self.device,
            self.method,
            (lambda image_id: truth.mask_of(names[image_id])) if truth else None,
        )


def _train(plan: _Plan, job: Job, info: RunInfo) -> dict[str, Any]:
    from picie_core.checkpoint import load_checkpoint
    from picie_core.embedder import FrozenEmbedder, save_embedder
    from picie_core.embedding import make_sample

    space, sampling = plan.space, plan.sampling
    job.status.name_run(info.id)
    truth = masks_of(space, plan.masks, plan.method)
    space.scan(job)
    checkpoint = space.run_dir(info.id) / "checkpoint.pt"
    stored = load_checkpoint(checkpoint) if checkpoint.exists() else None
    network = _network(plan, stored is not None, job)
    work = plan.work(network, truth, writable=True)
    if stored is not None:
        work.load_state(stored)
    space.write_run(info)
    news: list[str] = []

    def say(line: str) -> None:
        news.append(line)
        job.note(line)

    info = run_epochs(space, job, work, info, say)
    work.batches.cache.flush()
    if not work.finished:
        space.write_run(replace(info, state="stopped"))
        raise Stopped(f"stopped in epoch {work.epoch + 1}; go on with --resume {info.id}")
    save_embedder(network, space.run_dir(info.id) / "embedder", sampling.size_px)
    store_head(space, info.id, work, truth.class_names if truth else [])
    made = make_sample(space, info.id, FrozenEmbedder(network, plan.device), sampling, report=job)
    summary = {**asdict(made), "epochs": work.epoch, **({"collapse": news[-1]} if news else {})}
    return finish_run(space, job, info, summary)


def _network(plan: _Plan, resumed: bool, job: Job) -> Embedder:
    from picie_core.embedder import Embedder

    if resumed and plan.start is None:  # the checkpoint fills it
        return Embedder(plan.embedder, plan.sampling.seed)
    return start_network(plan.space, plan.embedder, plan.sampling, plan.start, job, plan.device)


def _follow(plan: _Plan, resume: str | None) -> dict[str, Any]:
    """Trains beside the first process, which started this one by the same command line and does all the writing."""
    from picie_core.checkpoint import load_checkpoint
    from picie_core.embedder import Embedder

    if resume:
        plan, _ = plan.resumed(stopped_run(plan.space, resume))
    truth = masks_of(plan.space, plan.masks, plan.method)
    network = Embedder(plan.embedder, plan.sampling.seed)  # Fabric gives it the weights of the first process
    work = plan.work(network, truth, writable=False)
    if resume:
        work.load_state(load_checkpoint(plan.space.run_dir(resume) / "checkpoint.pt"))
    with stop_on_signal() as work.stop:
        for _ in work.epochs():
            pass
    return {}
