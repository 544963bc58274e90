"""`train`: an embedder trained on the images of a workspace, with PiCIE or a method it is compared with; resumable."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from picie_core.cli.embed import finish_run
from picie_core.cli.options import (
    DatasetOption,
    DeviceOption,
    ImagesOption,
    ListOption,
    RootOption,
    SplitOption,
    WorkspaceOption,
    data_choice,
)
from picie_core.cli.parser import Job, Option, Stopped, open_or_create
from picie_core.data.datasets import DataChoice
from picie_core.data.labelled_set import LabelledSet
from picie_core.errors import PicieError, SharedError
from picie_core.settings import EmbedderSettings, SampleSettings, TrainSettings
from picie_core.training.distributed import Lifeline, Others, Place, losses_told, place_here
from picie_core.training.losses import METHODS
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.training_run import (
    all_settings,
    collapse_of,
    masks_of,
    run_epochs,
    start_network,
    stop_on_signal,
    stopped_run,
    store_head,
    stored_settings,
)
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from picie_core.data.image_cache import ImageCache
    from picie_core.models.embedder import Embedder
    from picie_core.training.trainer import Training


def train(
    workspace_root: WorkspaceOption,
    training: TrainSettings = TrainSettings(),
    embedder: EmbedderSettings = EmbedderSettings(),
    sampling: SampleSettings = SampleSettings(),
    images: ImagesOption = None,
    method: Annotated[str, Option("what the training agrees with", choices=METHODS)] = "picie",
    masks: Annotated[
        Path | None, Option("folder of masks that supervised and probe learn from; not needed with --root")
    ] = None,
    start: Annotated[str | None, Option("run whose embedder to start from; without it the frozen start")] = None,
    resume: Annotated[str | None, Option("go on with this stopped run; its settings are used")] = None,
    device: DeviceOption = "auto",
    dataset: DatasetOption = "folders",
    root: RootOption = None,
    split: SplitOption = None,
    list_file: ListOption = None,
) -> dict[str, Any]:
    """Train a pixel embedder on these images, with PiCIE or a method it is compared with (mdc, iic, supervised, probe).

    Advice: `embed` first and look; train when the clusters miss things that you see. 5 epochs over a few hundred
    images take minutes on two cores. Ctrl-C stops after the current step; --resume RUN goes on, also after a crash.
    Watch the label entropy: near 0 is a collapse, then lower --lr-decoder. --recipe paper is the paper's setting.
    Several GPUs: --processes N, or `torchrun --nproc-per-node N -m picie_core -- train ...`, also on several machines.
    """
    place = place_here(training.processes)
    if place.rank > 0:
        return _follow(place, workspace_root, training, resume, device)
    data = data_choice(images, dataset, root, split, list_file)
    workspace = open_or_create(workspace_root, images, data)
    plan = _Plan(method, training, embedder, sampling, start, masks, data)
    with workspace.writer_lock("train"), Job(workspace, "train") as job:
        if resume:
            info = stopped_run(workspace, resume)
            plan = _plan_of(info)
        else:
            info = RunInfo(plan.run_name(), method, "running", time.time(), plan.settings())
        return _train(workspace, plan, place, device, job, replace(info, state="running"))


@dataclass(frozen=True)
class _Plan:
    """What is to be trained and how."""

    method: str
    training: TrainSettings
    embedder: EmbedderSettings
    sampling: SampleSettings
    start: str | None
    masks: Path | None
    data: DataChoice | None
    """The data set that was named, with its own ground truth."""

    def truth(self, workspace: Workspace) -> LabelledSet | None:
        """Returns the ground truth to learn from, None for methods that need none."""
        return masks_of(workspace, self.masks, self.method, self.data)

    def run_name(self) -> str:
        """Returns a name that tells trainings apart, also two with equal settings, such as `picie-k27-1f3a`."""
        digest = hashlib.sha256(json.dumps([self.settings(), time.time()]).encode()).hexdigest()[:4]
        return f"{self.method}-k{self.training.k}-{digest}"

    def settings(self) -> dict[str, Any]:
        """Returns what the run stores of it."""
        more = {
            "start": self.start,
            "masks": None if self.masks is None else str(self.masks.absolute()),
            "data": None if self.data is None else self.data.record(),
        }
        return {**all_settings(self.training, self.embedder, self.sampling), **more}


def _plan_of(info: RunInfo) -> _Plan:
    """Returns the plan of a run that was started earlier, whatever this command line says."""
    masks, data = info.settings.get("masks"), info.settings.get("data")
    return _Plan(
        info.method,
        *stored_settings(info),
        info.settings.get("start"),
        Path(masks) if masks else None,
        DataChoice.from_record(data) if data else None,
    )


@dataclass(frozen=True)
class _Told:
    """What the first process tells the others."""

    run: str
    plan: _Plan
    images: list[int]
    network: EmbedderSettings
    weights: dict[str, Any]
    stored: dict[str, Any] | None
    """The checkpoint to go on from."""

    def work(
        self, workspace: Workspace, network: Embedder, cache: ImageCache, fabric: Fabric
    ) -> tuple[Training, list[str]]:
        """Returns the training of `network`, and the class names where there is a ground truth; K is their number."""
        from picie_core.training.trainer import Training

        plan = self.plan
        truth = plan.truth(workspace)
        names = [record.path for record in workspace.image_list().records]
        settings = replace(plan.training, k=len(truth.class_names)) if truth else plan.training
        read_mask = (lambda image_id: truth.mask_of(names[image_id])) if truth else None
        work = Training(
            network, cache, self.images, settings, plan.sampling, method=plan.method, masks=read_mask, fabric=fabric
        )
        if self.stored is not None:
            work.load_state(self.stored)
        return work, list(truth.class_names) if truth else []


def _train(workspace: Workspace, plan: _Plan, place: Place, device: str, job: Job, info: RunInfo) -> dict[str, Any]:
    from picie_core.models.embedder import FrozenEmbedder, save_embedder
    from picie_core.workspace.embedding import make_sample

    job.status.name_run(info.id)
    plan.truth(workspace)  # what is wrong with them is told at once
    workspace.scan(job)
    workspace.write_run(info)
    with _failure_recorded(workspace, info.id):
        network, work, classes, info = _run(workspace, plan, place, device, job, info)
        work.batches.cache.flush()
        if not work.finished:
            workspace.write_run(replace(info, state="stopped"))
            raise Stopped(f"stopped in epoch {work.epoch + 1}; go on with {place.resume_words(info.id)}")
        save_embedder(network, workspace.run_dir(info.id) / "embedder", plan.sampling.size_px)
        store_head(workspace, info.id, work, classes)
        made = make_sample(workspace, info.id, FrozenEmbedder(network, device), plan.sampling, report=job)
        return finish_run(
            workspace, job, info, {**asdict(made), "epochs": work.epoch, **collapse_of(workspace, info.id)}
        )


def _run(
    workspace: Workspace, plan: _Plan, place: Place, device: str, job: Job, info: RunInfo
) -> tuple[Embedder, Training, list[str], RunInfo]:
    """Prepares and runs the epochs, with the other processes where there are any."""
    import torch

    from picie_core.training.checkpoint import load_checkpoint
    from picie_core.training.fabric import launch, leave_processes, make_fabric

    leave = partial(leave_processes, torch.get_num_threads())  # Fabric shares the cores out among the processes
    precision = plan.training.precision
    words = ("train", "--workspace", str(workspace.root), "--device", device, "--precision", precision)
    with Others(place, info.id, words, leave) as others, losses_told(others.words):
        checkpoint = workspace.run_dir(info.id) / "checkpoint.pt"
        stored = load_checkpoint(checkpoint) if checkpoint.exists() else None
        network = _network(workspace, plan, stored is not None, device, job)
        cache = workspace.image_cache(plan.sampling.size_px, writable=True)
        fabric = launch(make_fabric(plan.training, device, place))
        images = [record.id for record in workspace.image_list().readable]
        told = _Told(info.id, plan, images, network.settings, {} if stored else network.state_dict(), stored)
        work, classes = fabric.broadcast(told).work(workspace, network, cache, fabric)
        return network, work, classes, run_epochs(workspace, job, work, info, job.note)


def _network(workspace: Workspace, plan: _Plan, resumed: bool, device: str, job: Job) -> Embedder:
    from picie_core.models.embedder import Embedder

    if resumed and plan.start is None:  # the checkpoint fills it
        return Embedder(plan.embedder, plan.sampling.seed)
    return start_network(workspace, plan.embedder, plan.sampling, plan.start, job, device)


@contextmanager
def _failure_recorded(workspace: Workspace, run: str) -> Iterator[None]:
    """Marks the run as failed when an error ends it."""
    try:
        yield
    except Stopped:
        raise
    except Exception:
        with suppress(PicieError):  # the disk may be full: the first error is the one to tell
            workspace.write_run(replace(workspace.run_info(run), state="failed"))
        raise


def _follow(
    place: Place, workspace_root: Path, training: TrainSettings, resume: str | None, device: str
) -> dict[str, Any]:
    """Trains beside the first process, which tells what to train and does all the writing."""
    from picie_core.models.embedder import Embedder
    from picie_core.training.fabric import launch, make_fabric

    for one in (signal.SIGINT, signal.SIGTERM):  # it has nothing to store, and may be told to end while it waits
        signal.signal(one, signal.SIG_DFL)
    lifeline = Lifeline(place)
    if resume:
        training, _, _ = stored_settings(Workspace.open(workspace_root).run_info(resume))
    with losses_told(lifeline.words):
        fabric = launch(make_fabric(training, device, place))
        told: _Told | None = fabric.broadcast(None)
        assert told is not None
        lifeline.run = told.run
        workspace = Workspace.open(workspace_root)
        network = Embedder(told.network)
        if told.weights:
            network.load_state_dict(told.weights)
        work, _ = told.work(workspace, network, workspace.image_cache(told.plan.sampling.size_px), fabric)
        with suppress(SharedError), stop_on_signal() as work.stop:  # the first process tells it
            for _ in work.epochs():
                pass
    return {}
