"""Training as a library: from any thread, stopped and resumed by its caller, settings of earlier versions."""

from __future__ import annotations

import json
import math
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from picie_core.errors import PicieError, SettingError, Stopped
from picie_core.progress import Progress
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.training.checkpoint import load_checkpoint
from picie_core.training.losses.objective import StepLoss
from picie_core.training.settings import TrainSettings
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.trainings.training_history import read_history
from picie_core.workspace.trainings.training_plan import TrainingPlan, has_settings, stored_settings
from picie_core.workspace.trainings.training_run import train_workspace
from picie_core.workspace.workspace import Workspace
from tests.small_trainings import changed_picie

TRAINING = TrainSettings(k=4, epochs=3, cluster_images=6, precision="32-true")
SAMPLING = SampleSettings(size_px=64, pixels=600, batch=4)


def plan_of(space: Workspace, **changes: Any) -> TrainingPlan:
    """A training of three epochs, of two steps each, from the frozen run."""
    return TrainingPlan(training=replace(TRAINING, **changes), sampling=SAMPLING, start=space.current_run().name)


def weights_of(space: Workspace, run: str) -> dict[str, torch.Tensor]:
    """All tensors of a finished run."""
    return load_file(space.run_dir(run) / "embedder" / "embedder.safetensors")


def in_a_thread(space: Workspace, plan: TrainingPlan, **more: Any) -> Any:
    """What `train_workspace` returns in a thread that is not the main one."""
    with ThreadPoolExecutor(1) as pool, space.writer_lock("train"):
        return pool.submit(train_workspace, space, plan, device="cpu", **more).result()


def test_training_runs_in_any_thread(finished_copy, capfd):
    """A thread trains a whole run: progress through the callback, nothing drawn, no signal handler touched."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    events: list[tuple[Progress, int]] = []
    runs: list[str] = []

    def report(progress: Progress) -> None:
        assert threading.current_thread() is not threading.main_thread()
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
        events.append((progress, 0))

    trained = in_a_thread(finished_copy, plan_of(finished_copy), report=report, started=runs.append)
    assert runs == [trained.name] and finished_copy.current_run() == trained
    assert (trained.info.state, trained.info.epochs_done) == ("done", 3) and "collapse" not in trained.info.sample
    assert trained.info.sample["pixels"] == 600
    phases = [progress.phase for progress, _ in events]
    assert list(dict.fromkeys(phases)) == [
        "scan", "epoch 1/3 clustering", "epoch 1/3", "epoch 2/3", "epoch 3/3", "embed"
    ]  # fmt: skip
    assert len(read_history(finished_copy, trained.name)) == 3
    assert capfd.readouterr() == ("", "")


def test_stopped_by_its_caller_and_resumed(finished_copy):
    """`stop` ends it after the step with a checkpoint and says how to go on; resumed, it ends as if never stopped."""
    space = finished_copy
    plan, runs, asked = plan_of(space), [], []

    def stop() -> bool:
        asked.append(len(asked))
        path = space.run_dir(runs[0]) / "history.jsonl"
        return path.exists() and len(path.read_text().splitlines()) == 1

    with pytest.raises(Stopped, match="stopped in epoch 2; go on with --resume picie-k4-"):
        in_a_thread(space, plan, stop=stop, started=runs.append)
    assert space.run_info(runs[0]).state == "stopped" and asked
    state = load_checkpoint(space.run_dir(runs[0]) / "checkpoint.pt")
    assert (state["epoch"], state["step"]) == (1, 1)
    resumed = in_a_thread(space, TrainingPlan(), resume=runs[0])
    whole = in_a_thread(space, plan)
    assert resumed.info.id == runs[0] and resumed.info.epochs_done == 3
    expected = weights_of(space, whole.info.id)
    assert all(torch.equal(value, expected[name]) for name, value in weights_of(space, runs[0]).items())


@pytest.mark.parametrize(
    ("phase", "words"), [("scan", "nothing half-written was left"), ("embed", "go on with --resume")]
)
def test_stopped_beside_the_epochs(finished_copy, phase, words):
    """It also stops while it looks for images and while it embeds them; what can be resumed is resumed."""
    seen: list[str] = []
    runs: list[str] = []
    with pytest.raises(Stopped, match=words):
        in_a_thread(
            finished_copy,
            plan_of(finished_copy, epochs=1),
            report=lambda progress: seen.append(progress.phase),
            stop=lambda: bool(seen) and seen[-1] == phase,
            started=runs.append,
        )
    if phase == "embed":
        assert finished_copy.run_info(runs[0]).state == "stopped"
        assert in_a_thread(finished_copy, TrainingPlan(), resume=runs[0]).info.epochs_done == 1
    else:
        assert not finished_copy.run_dir(runs[0]).exists()


def test_a_loss_that_is_not_finite_keeps_the_checkpoint(finished_copy):
    """A training that diverges in its second epoch fails with advice; it goes on from the checkpoint of the first."""
    space, runs = finished_copy, []
    factors = iter([1.0, 1.0, math.nan])  # of the first three steps; two are an epoch

    def spoil(step: StepLoss) -> StepLoss:
        return replace(step, total=step.total * next(factors, 1.0))

    with pytest.raises(PicieError, match="not finite at epoch 2, step 1: the last checkpoint is good"):
        in_a_thread(space, plan_of(space), started=runs.append, make=changed_picie(spoil))
    assert space.run_info(runs[0]).state == "failed"
    assert load_checkpoint(space.run_dir(runs[0]) / "checkpoint.pt")["epoch"] == 1
    assert in_a_thread(space, TrainingPlan(), resume=runs[0]).info.epochs_done == 3


# -- what a run stores


def info_of(**settings: Any) -> RunInfo:
    """The record of a run with these settings, others as they are by default."""
    kinds = (TrainSettings(), EmbedderSettings(), SampleSettings())
    record = {name: value for one in kinds for name, value in asdict(one).items()}
    return RunInfo("run", "picie", "stopped", 0.0, {**record, **settings})


def test_a_plan_comes_back_from_its_run(finished, tmp_path):
    """What a run stores is the plan that it was started with; each run has a name of its own."""
    plan = replace(plan_of(finished), method="probe", masks=tmp_path)
    first, second = plan.new_run(), plan.new_run()
    assert first.id != second.id and first.id.startswith("probe-")
    stored = RunInfo(**json.loads(json.dumps(asdict(first))))
    assert TrainingPlan.of_run(stored) == plan


def test_settings_of_earlier_versions():
    """A run of 0.3 stores prior_matching as hold_shares, and settings that are gone."""
    info = info_of(hold_shares=0.25, labels="epoch", momentum=0.99, frozen_stages=0)
    del info.settings["prior_matching"]
    training, embedder, sampling = stored_settings(info)
    assert training == TrainSettings(prior_matching=0.25, labels="epoch")
    assert (embedder, sampling) == (EmbedderSettings(), SampleSettings())
    assert has_settings(info, (training, embedder, sampling))
    assert not has_settings(info, (replace(training, prior_matching=1.0), embedder, sampling))


@pytest.mark.parametrize("gone", [{"labels": "teacher"}, {"frozen_stages": 2}])
def test_a_run_that_needs_what_is_gone(gone):
    """It is refused with the remedy, and no other run is taken for it."""
    info = info_of(**gone)
    with pytest.raises(PicieError, match="this version does not have: start a new training"):
        stored_settings(info)
    assert not has_settings(info, (TrainSettings(), EmbedderSettings(), SampleSettings()))


def test_a_run_that_is_not_there(finished_copy):
    """The message names the runs that are."""
    with pytest.raises(SettingError, match=r"no run 'picie-x' in .*: the runs there are frozen-resnet18-64-"):
        in_a_thread(finished_copy, TrainingPlan(), resume="picie-x")
