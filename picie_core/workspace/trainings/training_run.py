"""Training runs of a workspace: the epochs with their checkpoints and history, then embedder and embedding sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from picie_core.data.labelled_sets.class_pixels import ClassPixels, count_class_pixels
from picie_core.errors import PicieError, SharedError, Stopped
from picie_core.progress import Progress, Report, ignore_progress
from picie_core.settings import EmbedderSettings
from picie_core.training.losses import MakeObjective, make_objective
from picie_core.training.worker import ALONE, Worker
from picie_core.workspace.embedding import finish_run, fit_embedder, make_sample, start_embedder
from picie_core.workspace.trainings.linear_probe import make_probe, probe_of_network
from picie_core.workspace.trainings.training_epochs import run_epochs, store_head
from picie_core.workspace.trainings.training_history import best_epoch_words, last_collapse
from picie_core.workspace.trainings.training_plan import TrainingPlan, held_out_images, stopped_run
from picie_core.workspace.workspace import Run, Workspace

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from picie_core.data.images.image_cache import ImageCache
    from picie_core.models.classifier_head import Head
    from picie_core.models.embedder import Embedder
    from picie_core.training.trainer import Training


def train_workspace(
    workspace: Workspace,
    plan: TrainingPlan,
    *,
    resume: str | None = None,
    device: str = "auto",
    report: Report = ignore_progress,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda line: None,
    started: Callable[[str], None] = lambda run: None,
    worker: Worker = ALONE,
    make: MakeObjective = make_objective,
) -> Run:
    """Trains an embedder on the images of a workspace, embeds them with it and returns the run, now the one in use.

    It runs in any thread: it handles no signals and draws nothing. The caller holds `workspace.writer_lock("train")`.

    resume: a stopped run to go on with, by its own plan. report: takes the progress. stop: asked after every step and
    while images are embedded; True ends the training with a checkpoint. note: takes lines for a log, such as the news
    of a collapse. started: takes the name of the run. worker: rank 0 of several workers, the others of which call
    `join_training`. make: returns the objective, by default that of the method.

    Raises Stopped, with how to resume, when `stop` returned True; PicieError when the training cannot go on.
    """
    from picie_core.models.embedder import save_embedder
    from picie_core.models.inference import FrozenEmbedder
    from picie_core.training.distributed import process_group

    info = stopped_run(workspace, resume) if resume else plan.new_run()
    plan = TrainingPlan.of_run(info) if resume else plan
    started(info.id)
    plan.check_workers(worker.world_size)
    truth, at_once = plan.ground_truth(workspace), _stopping(report, stop, "stopped; nothing half-written was left")
    workspace.scan(at_once)
    # Raises before any work is done.
    pixels = count_class_pixels(truth, workspace.image_list().readable, at_once) if truth else None
    info = replace(info, state="running")
    workspace.write_run(info)
    folder, resume_words = workspace.run_dir(info.id), f"go on with {worker.resume_words(info.id)}"
    stopping = _stopping(report, stop, f"stopped; {resume_words}")
    with _end_recorded(workspace, info.id):
        if plan.method == "probe":
            assert truth is not None
            made = make_probe(workspace, info.id, plan, truth, device=device, report=stopping, note=note)
            return finish_run(workspace, info, made)
        if pixels is not None and pixels.news and plan.training.head_start == "random":  # the probe says it, too
            note(pixels.news)
        with process_group(worker, info.id):
            training = _start_training(
                workspace, info.id, plan, pixels, worker=worker, device=device, make=make, report=stopping, note=note
            )
            info = run_epochs(workspace, training, info, report=report, stop=stop, note=note)
        if not training.finished:
            raise Stopped(f"stopped in epoch {training.epoch + 1}; {resume_words}")
        training.held_out.keep_best(training.embedder)
        if plan.holds_out:
            note(best_epoch_words(training.held_out.record()))
        save_embedder(training.embedder, folder / "embedder", plan.sampling.size_px)
        store_head(folder / "head.npz", training, pixels)
        engine = FrozenEmbedder(training.embedder, device)
        sample = asdict(make_sample(workspace, info.id, engine, plan.sampling, report=stopping))
        collapse = last_collapse(workspace, info.id)
        made = {**sample, "epochs": info.epochs_done, **training.held_out.record()}
        return finish_run(workspace, info, {**made, **({"collapse": collapse} if collapse else {})})


def join_training(
    workspace_root: Path,
    plan: TrainingPlan,
    worker: Worker,
    *,
    resume: str | None = None,
    device: str = "auto",
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Trains as a worker beside rank 0, which calls `train_workspace`, sends it the training and writes the run.

    Raises WorkersLost when the connection breaks.
    """
    from picie_core.models.embedder import Embedder
    from picie_core.training.distributed import make_fabric, process_group

    if resume:
        plan = TrainingPlan.of_run(Workspace.open(workspace_root).run_info(resume))
    plan.check_workers(worker.world_size)
    with process_group(worker):
        fabric = make_fabric(plan.training.precision, device, worker)
        assignment: _Assignment | None = fabric.broadcast(None)
        assert assignment is not None
        with process_group(worker, assignment.run):
            workspace = Workspace.open(workspace_root)
            network = Embedder(assignment.network)
            if assignment.weights:
                network.load_state_dict(assignment.weights)
            cache = workspace.image_cache(assignment.plan.square_px)
            training = assignment.training(workspace, network, cache, fabric, make_objective)
            with suppress(SharedError):  # rank 0 reports it
                list(training.epochs(stop=stop))


@dataclass(frozen=True)
class _Assignment:
    """What rank 0 sends to the other workers."""

    run: str
    plan: TrainingPlan
    images: list[int]
    """That it learns from."""
    held_out: list[int]
    """That its best epoch is chosen by."""
    network: EmbedderSettings
    weights: dict[str, Any]
    state: dict[str, Any] | None
    """The checkpoint to resume from."""
    pixels: ClassPixels | None
    """What the masks show, for a method that learns from them."""
    head: Head | None
    """The classifier that it starts from."""

    def training(
        self, workspace: Workspace, network: Embedder, cache: ImageCache, fabric: Fabric, make: MakeObjective
    ) -> Training:
        """Returns the training of `network`; where there is ground truth, K is the number of its classes."""
        from picie_core.training.checkpoint import restore_training
        from picie_core.training.losses.supervised import Supervised
        from picie_core.training.trainer import Training

        plan, truth, read_mask, settings = self.plan, self.plan.ground_truth(workspace), None, self.plan.training
        if truth is not None:
            paths = [record.path for record in workspace.image_list().records]
            settings = replace(settings, k=len(truth.class_names))
            read_mask = lambda image_id: truth.mask_of(paths[image_id])  # noqa: E731
        training = Training(
            network,
            cache,
            self.images,
            settings,
            plan.sampling,
            method=plan.method,
            masks=read_mask,
            held_out=self.held_out,
            fabric=fabric,
            make=make,
        )
        if self.state is not None:
            restore_training(training, self.state)
        elif self.pixels is not None and isinstance(training.objective, Supervised):
            training.objective.start_from(self.pixels.pixels, self.head)
        return training


def _start_training(
    workspace: Workspace,
    run: str,
    plan: TrainingPlan,
    pixels: ClassPixels | None,
    *,
    worker: Worker,
    device: str,
    make: MakeObjective,
    report: Report,
    note: Callable[[str], None],
) -> Training:
    """Prepares the network, or reads the checkpoint, and shares both with the other workers."""
    from picie_core.training.checkpoint import load_checkpoint
    from picie_core.training.distributed import make_fabric

    path = workspace.run_dir(run) / "checkpoint.pt"
    state = load_checkpoint(path) if path.exists() else None
    network = _initial_network(workspace, plan, state is not None, device, report)
    cache = workspace.image_cache(plan.square_px, writable=True)
    fabric = make_fabric(plan.training.precision, device, worker)
    held_out = held_out_images(plan, workspace)
    images = sorted({record.id for record in workspace.image_list().readable}.difference(held_out))
    weights = {} if state else network.state_dict()
    head = None
    if state is None and plan.method == "supervised" and plan.training.head_start == "probe":
        head = probe_of_network(workspace, plan, network, held_out=held_out, device=device, report=report, note=note)
    assignment = fabric.broadcast(
        _Assignment(run, plan, images, held_out, network.settings, weights, state, pixels, head)
    )
    return assignment.training(workspace, network, cache, fabric, make)


def _initial_network(workspace: Workspace, plan: TrainingPlan, resumed: bool, device: str, report: Report) -> Embedder:
    """Returns the embedder of the run to start from, else the frozen start; a resumed one has no weights yet."""
    from picie_core.models.embedder import Embedder, load_embedder

    if plan.start is not None:
        return load_embedder(workspace.run_dir(plan.start) / "embedder")[0]
    if resumed:
        return Embedder(plan.embedder, plan.sampling.seed)
    network = start_embedder(workspace, plan.embedder, plan.sampling, report)
    fit_embedder(workspace, network, plan.sampling, device, report)
    return network


def _stopping(report: Report, stop: Callable[[], bool], words: str) -> Report:
    """Returns a report that raises Stopped with `words` once `stop` returns True."""

    def checked(progress: Progress) -> None:
        report(progress)
        if stop():
            raise Stopped(words)

    return checked


@contextmanager
def _end_recorded(workspace: Workspace, run: str) -> Iterator[None]:
    """Stores that the run is stopped, or failed, when an error ends it."""
    try:
        yield
    except Exception as error:
        state = "stopped" if isinstance(error, Stopped) else "failed"
        with suppress(PicieError):  # the disk may be full: the first error is the one to report
            workspace.write_run(replace(workspace.run_info(run), state=state))
        raise
