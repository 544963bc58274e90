"""`train` on the command line: what a run holds, stop and resume of a real process, messages."""

from __future__ import annotations

import json
import re
import signal

import pytest
import torch
from safetensors.torch import load_file

from picie_core.training.checkpoint import load_checkpoint
from picie_core.workspace.workspace import Workspace
from tests.real_processes import start_process, wait_for

PICIE = ("--k", "4", "--cluster-images", "6", "--precision", "32-true", "--device", "cpu")


def run_process(*words: object) -> None:
    """Runs the command line to its good end, with as many threads as every other process here."""
    with start_process(*words) as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said


def the_run(space: Workspace) -> str:
    """The one trained run of the workspace."""
    (run,) = [info.id for info in space.runs() if info.method == "picie"]
    return run


def embedder_of(space: Workspace, run: str) -> dict[str, torch.Tensor]:
    """All tensors of a finished run."""
    return load_file(space.run_dir(run) / "embedder" / "embedder.safetensors")


def history(space: Workspace, run: str) -> list[dict]:
    """The stored figures of each epoch."""
    return [json.loads(line) for line in (space.run_dir(run) / "history.jsonl").read_text().splitlines()]


def test_a_run_holds_everything(finished_copy, tiny, say):
    """After `train`: settings, one line an epoch, a checkpoint, a sample to cluster, and the run is the one in use."""
    space = finished_copy
    said = say("train", "--workspace", space.root, *tiny, *PICIE, "--epochs", 2, "--json")
    assert said.code == 0
    result = json.loads(said.out)
    run = result["run"]
    info = space.run_info(run)
    assert (info.state, info.epochs_done, info.title) == ("done", 2, "PiCIE K 4, 2 epochs")
    assert (info.settings["k"], info.settings["size_px"], info.settings["dim"]) == (4, 64, 32)
    assert [line["epoch"] for line in history(space, run)] == [1, 2]
    assert load_checkpoint(space.run_dir(run) / "checkpoint.pt")["epoch"] == 2
    assert space.current_run().name == run
    assert len(space.run(run).sample().embeddings) == result["pixels"] == 600
    assert space.run(run).cluster(5).k == 5
    status = space.jobs()["train"]
    assert (status.state, status.run, status.result["run"]) == ("done", run, run)


@pytest.mark.slow
def test_sigterm_stops_and_resume_finishes_the_same(finished_copy, tiny, say, tmp_path):
    """SIGTERM ends a real process with code 1 and a checkpoint; resumed, it ends as if it was never stopped."""
    space, words = finished_copy, (*tiny, *PICIE, "--epochs", 8)
    with start_process("train", "--workspace", space.root, *words) as process:
        wait_for(process, "epoch 1/8:")
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=120)
    assert process.returncode == 1
    run = the_run(space)
    assert f"go on with --resume {run}" in rest
    assert "Traceback" not in rest
    info = space.run_info(run)
    assert (info.state, space.jobs()["train"].state) == ("stopped", "stopped")
    state = load_checkpoint(space.run_dir(run) / "checkpoint.pt")
    assert 0 < 2 * state["epoch"] + state["step"] < 16

    run_process("train", "--workspace", space.root, "--resume", run, "--device", "cpu")
    assert space.run_info(run).state == "done"
    assert [line["epoch"] for line in history(space, run)] == list(range(1, 9))
    whole = Workspace.create(tmp_path / "whole", space.images_root)
    run_process("train", "--workspace", whole.root, *words)
    stopped, uninterrupted = embedder_of(space, run), embedder_of(whole, the_run(whole))
    assert all(torch.equal(stopped[name], uninterrupted[name]) for name in uninterrupted)


@pytest.mark.slow
def test_a_second_training_has_to_wait(finished_copy, tiny, say):
    """While one process trains, another is told its command and pid; kill -9 frees the workspace."""
    space = finished_copy
    with start_process("train", "--workspace", space.root, *tiny, *PICIE, "--epochs", 1000) as process:
        wait_for(process, "epoch 1/1000:")
        said = say("embed", "--workspace", space.root, *tiny)
        assert (said.code, said.out) == (1, "")
        assert f"is being written by `train` (pid {process.pid}): wait for it or stop it" in said.err
        assert space.run_info(the_run(space)).state == "running"
        process.kill()
        process.communicate()
    run = the_run(space)
    assert space.run_info(run).state == "stopped"
    assert not space.jobs()["train"].alive
    assert say("embed", "--workspace", space.root, *tiny).code == 0


def test_a_training_that_diverges(finished_copy, tiny, say):
    """A learning rate beyond all bounds: the message says where and what to lower, the run has failed."""
    rates = ("--lr-decoder", 1e30, "--lr-backbone", 1e30, "--schedule", "constant", "--epochs", 3)
    said = say("train", "--workspace", finished_copy.root, *tiny, *PICIE, *rates)
    assert said.code == 1
    assert re.search(r"is not finite at epoch \d, step \d: the last checkpoint is good; lower --lr-decoder", said.err)
    assert finished_copy.run_info(the_run(finished_copy)).state == "failed"
    assert finished_copy.jobs()["train"].state == "failed"


def test_a_collapse_is_said(finished_copy, tiny, say):
    """Rates that are far too high: the log says so at the epoch, the summary at the end, and the history keeps it."""
    rates = ("--lr-decoder", 0.3, "--lr-backbone", 0.03, "--temperature", 1, "--prior-matching", 0, "--epochs", 3)
    said = say("train", "--workspace", finished_copy.root, *tiny, *PICIE, *rates, "--json")
    assert said.code == 0, said.err
    collapse = json.loads(said.out)["collapse"]
    assert re.search(r"epoch \d: the training has collapsed, .*: lower --lr-decoder and --lr-backbone", collapse)
    assert collapse in said.err
    assert history(finished_copy, the_run(finished_copy))[-1]["collapsed"] is True


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--resume", "picie-x"), 2, "no run 'picie-x' in .*: the runs there are frozen-resnet18-64-"),
        (("--resume", "frozen"), 1, "run frozen-.* is done: only a stopped or failed training can be resumed"),
        (("--k", "1000", "--epochs", "1"), 2, "k=1000 needs at least 1000 sampled pixels, got 384"),
        (("--k", "1"), 2, "k=1 is too small: give at least 2"),
    ],
)
def test_impossible_trainings(finished_copy, tiny, say, options, code, message):
    """An unknown run, a finished one, a K above the pixels: the message says what is wrong."""
    frozen = finished_copy.current_run()
    words = [frozen if word == "frozen" else word for word in options]
    said = say("train", "--workspace", finished_copy.root, *tiny, "--device", "cpu", *words)
    assert said.code == code
    assert re.search(message, said.err)
    assert "Traceback" not in said.err
