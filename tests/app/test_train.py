"""The Train screen: what it says of a job that runs, was asked to stop, or died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.session.estimates import cpu_time, estimate_embed_s, estimate_train_s
from app.session.weights import default_weights, is_downloaded, weights_words
from app.train.settings_form import arguments_of
from picie_core.progress import JobStatus, Progress, pid_start_time
from picie_core.settings import SampleSettings
from picie_core.training.settings import TrainSettings
from picie_core.workspace.workspace import RunInfo, Workspace
from tests.app.conftest import button_labels, text_of

OpenScreen = Callable[..., AppTest]
RUN = "picie-k6-test"


def write_job(workspace: Workspace, pid: int, pid_start: float) -> None:
    """Leaves the status of a training that began a minute ago and says that it is running."""
    now = time.time()
    progress = Progress("epoch 2/5", 3, 6, 1.5, 2.0, {"loss": 1.25})
    status = JobStatus("train", "running", pid, pid_start, now - 60, now, progress, run=RUN)
    path = workspace.job_path("train")
    path.write_text(json.dumps(asdict(status)))
    path.with_suffix(".log").write_text("epoch 1\nepoch 2\n")
    workspace.write_run(RunInfo(RUN, "picie", "running", now - 60, {"k": 6, "size_px": 64}))
    losses = {"loss": 1.5, "within": 1.0, "cross": 2.0}
    health = {"label_entropy": 0.9, "dead_clusters": 0, "changed_labels": 0.4}
    history = workspace.run_dir(RUN) / "history.jsonl"
    history.write_text(json.dumps({"epoch": 1, **losses, **health}) + "\n")


@pytest.fixture
def running(workspace: Workspace) -> Workspace:
    """A workspace with a training whose process is alive: it is the one of this test."""
    write_job(workspace, os.getpid(), pid_start_time(os.getpid()) or 0.0)
    return workspace


def test_a_running_training_is_shown_in_a_new_tab(running: Workspace, open_screen: OpenScreen) -> None:
    """After a reload the progress, the time left of all epochs, the figures and the curves are there."""
    tab = open_screen("train", running)
    assert not tab.exception and not tab.error, text_of(tab)
    assert "Training PiCIE" in text_of(tab) and "loss <b>1.250</b>" in text_of(tab)
    assert any("left in all" in bar.proto.text for bar in tab.get("progress"))
    assert len(tab.get("plotly_chart")) == 4
    assert button_labels(tab)[-1] == "Stop" and "Train" not in " ".join(button_labels(tab))


def test_the_table_marks_the_embedder_in_use(workspace: Workspace, open_screen: OpenScreen) -> None:
    """Of all runs the one that the screens speak of has the mark."""
    workspace.write_run(RunInfo(RUN, "picie", "stopped", time.time(), {"k": 6, "size_px": 64}))
    table = open_screen("train", workspace).dataframe[0].value
    used = workspace.current_run().name
    assert dict(zip(table["Name"], table["In use"], strict=True)) == {RUN: "", used: "●"}


def test_a_collapse_is_told_with_its_remedy(running: Workspace, open_screen: OpenScreen) -> None:
    """The warning is the core's sentence, while the training goes on and in the table of runs after it."""
    record = {"epoch": 2, "loss": 0.1, "collapsed": True, "collapse": "100 % of the pixels are in one cluster"}
    with open(running.run_dir(RUN) / "history.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")
    told = open_screen("train", running).warning[0].value
    assert "Epoch 2: the training has collapsed, 100 % of the pixels" in told and "Stop it and train again" in told
    running.job_path("train").unlink()
    assert "stopped, collapsed" in set(open_screen("train", running).dataframe[0].value["State"])


def test_a_job_that_does_not_stop_can_be_ended(running: Workspace, open_screen: OpenScreen) -> None:
    """At once the button says that it waits; after 20 seconds it offers to end the process."""
    tab = open_screen("train", running)
    record = tab.session_state["picie"]
    for seconds, label in ((3, "Stopping after this step"), (30, "End it at once")):
        record.stop_asked["train"] = time.time() - seconds
        assert button_labels(tab.run())[-1] == label


def test_a_training_that_died_is_told_and_can_be_resumed(workspace: Workspace, open_screen: OpenScreen) -> None:
    """The process is gone and left a checkpoint: the screen says so and offers to go on."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    write_job(workspace, child.pid, 1.0)
    tab = open_screen("train", workspace)
    assert "ended without a word" in tab.error[0].value and not tab.exception
    assert "Resume the training" not in button_labels(tab)
    (workspace.run_dir(RUN) / "checkpoint.pt").write_bytes(b"tensors")
    assert "Resume the training" in button_labels(tab.run())


def test_the_form_offers_every_setting_of_the_core(workspace: Workspace, open_screen: OpenScreen) -> None:
    """Each field of the settings has its widget with its default, and the shown command holds what was changed."""
    tab = open_screen("train", workspace)
    assert tab.number_input(key="set_picie_k").value == TrainSettings().k
    tab.number_input(key="set_picie_epochs").set_value(3).run()
    command = tab.code[0].value
    assert "train" in command and "--epochs 3" in command and "--k " not in command
    for name in ("temperature", "lr_decoder", "pixels"):
        assert tab.number_input(key=f"set_picie_{name}") is not None


def test_only_what_differs_from_the_defaults_is_passed_on() -> None:
    """The arguments are as short as they can be, and spelt as the command line spells them."""
    values = {"k": 27, "epochs": 3, "size_px": 320, "lr_decoder": TrainSettings().lr_decoder}
    assert arguments_of([TrainSettings, SampleSettings], values) == ["--epochs", "3"]
    assert arguments_of([TrainSettings, SampleSettings], values, ("size_px",)) == ["--epochs", "3", "--size", "320"]


# -- backbones


def test_backbones_are_offered_by_what_they_mean(workspace: Workspace, open_screen: OpenScreen) -> None:
    """The list says what each is for, its download and its time; the command has its name."""
    tab = open_screen("train", workspace)
    choice = tab.selectbox(key="set_picie_backbone")
    assert [words.partition(":")[0] for words in choice.options][:2] == ["Fast", "Deeper"]
    assert "Knows objects: DINOv2 small, 84 MB, 8 times slower on a CPU" in choice.options
    choice.set_value("dinov2_s14").run()
    assert not tab.exception and not tab.error, text_of(tab)
    assert "--recipe default --backbone dinov2_s14 --weights imagenet" in tab.code[0].value.replace("--size 320 ", "")
    assert "accuracy 44.5 %, mIoU 22.9 %" in text_of(tab)
    assert "Transformer" in tab.info[0].value
    tab.selectbox(key="recipe").set_value("vit").run()
    assert "--recipe vit --size 448 --weights imagenet" in tab.code[0].value and not tab.info


def test_a_download_is_said_until_it_is_here(
    workspace: Workspace, open_screen: OpenScreen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A backbone whose weights are not on this machine is never called ready; with the file in the cache it is."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    tab = open_screen("train", workspace)
    tab.selectbox(key="set_picie_backbone").set_value("dino_s16").run()
    assert "downloaded once, 83 MB; without a network give the path of their file" in text_of(tab)
    stored = tmp_path / "hub" / "models--timm--vit_small_patch16_224.dino" / "snapshots" / "1a2b"
    stored.mkdir(parents=True)
    (stored / "model.safetensors").symlink_to(tmp_path / "cut-short")
    assert "downloaded once" in text_of(tab.run())
    (tmp_path / "cut-short").write_bytes(b"tensors")
    assert "Its weights are on this machine" in text_of(tab.run())
    tab.text_input(key="set_picie_dino_s16_weights").set_value("gone.pth").run()
    assert "There is no file gone.pth" in text_of(tab)


@pytest.mark.parametrize(
    ("file", "backbone"), [("resnet50-0676ba61.pth", "resnet50"), ("mobilenet_v2-b0353104.pth", "mobilenet_v2")]
)
def test_downloads_of_torchvision_are_found(
    home: Path, file: str, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie under the name of the network; another network's are not taken for them."""
    checkpoints = home / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / file).touch()
    assert is_downloaded(backbone) and not is_downloaded("resnet18")
    assert default_weights(backbone) == "imagenet" and default_weights() == "none"
    assert "random weights" in weights_words("resnet18", default_weights())
    monkeypatch.setenv("PICIE_WEIGHTS", str(checkpoints / file))
    assert (default_weights(), default_weights("dino_s8")) == (str(checkpoints / file), "imagenet")


def test_estimates_know_the_backbone(workspace: Workspace) -> None:
    """A slower backbone takes as many times as long for the images, whatever was measured with another."""
    fast, slow = (estimate_embed_s(workspace, 1000, 64, one) for one in ("resnet18", "dinov2_s14"))
    assert slow == pytest.approx(fast * cpu_time("dinov2_s14"))
    training = {"size_px": 64, "epochs": 5, "backbone": "resnet18"}
    usual = estimate_train_s(workspace, 1000, training)
    assert estimate_train_s(workspace, 1000, {**training, "backbone": "dino_s8"}) > 10 * usual
    assert estimate_train_s(workspace, 1000, {**training, "views": "equal", "labels": "epoch"}) > 4 * usual
