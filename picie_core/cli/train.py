"""`train`: an embedder trained on the images of a workspace, with PiCIE or a method it is compared with; resumable."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from picie_core.cli.job import Job, stop_on_signal
from picie_core.cli.options import (
    DatasetOption,
    DeviceOption,
    ImagesOption,
    ListOption,
    RootOption,
    SplitOption,
    WorkspaceOption,
    data_choice,
    open_or_create,
)
from picie_core.cli.output import run_result
from picie_core.cli.parser import Option
from picie_core.errors import PicieError, SettingError, Stopped, WorkersLost
from picie_core.settings import METHODS, EmbedderSettings, SampleSettings
from picie_core.training.settings import TrainSettings
from picie_core.training.worker import Worker
from picie_core.workspace.trainings.training_plan import TrainingPlan
from picie_core.workspace.trainings.training_run import join_training, train_workspace
from picie_core.workspace.workspace import Workspace

LOST_S = 60.0
"""A worker that lost another one leaves the launcher this long to find that one first, and to end this one."""


def train(
    workspace_root: WorkspaceOption,
    training: TrainSettings = TrainSettings(),
    embedder: EmbedderSettings = EmbedderSettings(),
    sampling: SampleSettings = SampleSettings(),
    images: ImagesOption = None,
    method: Annotated[str, Option("training objective", choices=METHODS)] = "picie",
    masks: Annotated[
        Path | None, Option("folder of masks that supervised and probe learn from; not needed with --root")
    ] = None,
    start: Annotated[str | None, Option("run whose embedder to start from; without it the frozen start")] = None,
    resume: Annotated[str | None, Option("go on with this stopped run, by its own settings")] = None,
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
    data = data_choice(images, dataset, root, split, list_file)
    plan = TrainingPlan(method, training, embedder, sampling, start, masks, data)
    worker = Worker.from_environment(training.processes)
    plan.check_workers(max(worker.world_size, training.processes))
    if training.processes > worker.world_size:
        return _launch_workers(workspace_root, images, plan, resume, device)
    with stop_on_signal() as stop:
        result = _train_as(worker, workspace_root, images, plan, resume, device, stop)
    if worker.rank > 0:
        # The interpreter must not finalise: a gloo thread that releases its last collective takes the GIL, and once
        # finalisation has begun that aborts the process ("terminate called without an active exception").
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return result


def _train_as(
    worker: Worker,
    workspace_root: Path,
    images: Path | None,
    plan: TrainingPlan,
    resume: str | None,
    device: str,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Trains as one worker; rank 0 returns the result of the command, the others nothing."""
    if worker.rank > 0:
        join_training(workspace_root, plan, worker, resume=resume, device=device, stop=stop)
        return {}
    workspace = open_or_create(workspace_root, images, plan.data)
    with workspace.writer_lock("train"), Job(workspace, "train") as job:
        run = train_workspace(
            workspace,
            plan,
            resume=resume,
            device=device,
            report=job,
            stop=stop,
            note=job.note,
            started=job.status.name_run,
            worker=worker,
        )
        return job.done(run_result(run))


# -- several workers on this machine


def _launch_workers(
    workspace_root: Path, images: Path | None, plan: TrainingPlan, resume: str | None, device: str
) -> dict[str, Any]:
    """Lets torchrun's launcher run the workers, and returns the result of rank 0, or raises what rank 0 raised.

    When one of them ends early, the launcher ends the others.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    processes, end = plan.training.processes, "the workers ended without a result"
    with TemporaryDirectory() as folder, _quiet_launcher(), stop_on_signal():  # to restore the launcher's handlers
        outcome = Path(folder) / "outcome"
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle="SIGINT,SIGTERM",
        )
        try:
            elastic_launch(config, _run_worker)(outcome, workspace_root, images, plan, resume, device)
        except SignalException:
            pass
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            code = failure.exitcode
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            end = f"rank {rank} of {processes} {how}"
        left = json.loads(outcome.read_text()) if outcome.exists() else {}
    if "error" in left:
        raise {one.__name__: one for one in (Stopped, SettingError)}.get(left["error"], PicieError)(left["message"])
    if not left:
        status = Workspace.open(workspace_root).jobs().get("train")
        words = Worker(0, processes, processes, by_option=True).resume_words(status.run if status else "RUN")
        raise PicieError(f"{end}; the last checkpoint is good, go on with {words}")
    return left


def _run_worker(
    outcome: Path, workspace_root: Path, images: Path | None, plan: TrainingPlan, resume: str | None, device: str
) -> None:
    """Trains in a process of the launcher; rank 0 leaves the result, or the error to raise, in `outcome`.

    A worker that ends by its own error exits, because its connections have to close: others may wait for them.
    """
    os.setsid()  # Ctrl-C reaches the launcher alone, which passes it on
    worker = Worker.from_environment(plan.training.processes)
    result: dict[str, Any] | Exception
    # When the launcher is killed, SIGINT may come several times, so a second one must not end the process at once.
    with stop_on_signal(second_ends=False) as stop:
        try:
            result = _train_as(worker, workspace_root, images, plan, resume, device, stop)
        except (PicieError, Stopped) as error:
            result = error
    if isinstance(result, WorkersLost):
        time.sleep(0 if stop() else LOST_S)
    elif worker.rank == 0:
        failure = isinstance(result, Exception)
        left = {"error": type(result).__name__, "message": str(result)} if failure else result
        outcome.write_text(json.dumps(left))
    elif isinstance(result, Exception):
        print(f"train: {result}", file=sys.stderr)
    if isinstance(result, Exception) or stop():  # after a signal the launcher waits for the end of the process
        sys.exit(1)


@contextmanager
def _quiet_launcher() -> Iterator[None]:
    """Keeps the launcher's log of its own work off the terminal: what ended is said by this command."""
    logger, handler = logging.getLogger("torch.distributed.elastic"), logging.NullHandler()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
