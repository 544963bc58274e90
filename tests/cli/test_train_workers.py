"""`train --processes 2`: one run, one result; a stop, a killed worker and a killed launcher leave nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import psutil
import pytest

from picie_core.training.checkpoint import load_checkpoint
from picie_core.workspace.workspace import Workspace
from tests.conftest import TINY
from tests.real_processes import start_process, wait_for

pytestmark = pytest.mark.slow
PICIE = (*TINY, "--k", "4", "--cluster-images", "6", "--precision", "32-true", "--device", "cpu", "--processes", "2")
LIMIT_S = 150


def the_run(space: Workspace) -> str:
    """The one trained run of the workspace."""
    (run,) = [info.id for info in space.runs() if info.method == "picie"]
    return run


def workers_of(space: Workspace, launcher: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes of rank 0, which has told its pid to the workspace, and of rank 1."""
    spawned = [one for one in psutil.Process(launcher.pid).children() if any("spawn_main" in w for w in one.cmdline())]
    first = space.jobs()["train"].pid
    assert len(spawned) == 2 and first in {one.pid for one in spawned}
    return sorted(spawned, key=lambda one: one.pid != first)


def test_two_workers_make_one_run(finished_copy):
    """Two workers leave one finished run, one result, one job, one list of images."""
    space = finished_copy
    before = (space.root / "images.jsonl").read_bytes()
    with start_process("train", "--workspace", space.root, *PICIE, "--epochs", 2, "--json") as process:
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert json.loads(out)["run"] == the_run(space)
    assert out.count("\n") == 1
    info = space.run_info(the_run(space))
    assert (info.state, info.epochs_done) == ("done", 2)
    assert len((space.run_dir(info.id) / "history.jsonl").read_text().splitlines()) == 2
    assert sorted(space.jobs()) == ["embed", "train"]
    assert (space.root / "images.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("whom", "number"), [("launcher", signal.SIGTERM), ("launcher", signal.SIGINT), ("rank 0", signal.SIGTERM)]
)
def test_a_stop_leaves_none_behind(finished_copy, whom, number):
    """A signal to the command, or the app's to rank 0: all end after the same step, with a checkpoint and the words."""
    space = finished_copy
    with start_process("train", "--workspace", space.root, *PICIE, "--epochs", 1000) as process:
        wait_for(process, "epoch 1/1000:")
        workers = workers_of(space, process)
        (process if whom == "launcher" else workers[0]).send_signal(number)
        _, err = process.communicate(timeout=LIMIT_S)  # its pipe closes only when the last process is gone
    run = the_run(space)
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("train: stopped in epoch ")
    assert err.splitlines()[-1].endswith(f"; go on with --resume {run} --processes 2")
    assert "Traceback" not in err
    assert not any(one.is_running() for one in workers)
    assert (space.run_info(run).state, space.jobs()["train"].state) == ("stopped", "stopped")
    state = load_checkpoint(space.run_dir(run) / "checkpoint.pt")
    assert 0 < 2 * state["epoch"] + state["step"] < 2000


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_worker_ends_the_other(finished_copy, rank):
    """kill -9 of one worker: the command says which one it was and how to go on, and leaves none behind."""
    space = finished_copy
    with start_process("train", "--workspace", space.root, *PICIE, "--epochs", 1000) as process:
        wait_for(process, "epoch 2/1000:")
        workers = workers_of(space, process)
        workers[rank].kill()
        _, err = process.communicate(timeout=LIMIT_S)
    run = the_run(space)
    words = f"train: rank {rank} of 2 was killed by signal 9; the last checkpoint is good, go on with --resume {run}"
    assert f"{words} --processes 2" in err.splitlines()
    assert process.returncode == 1
    assert "Traceback" not in err
    assert not any(one.is_running() for one in workers)
    assert space.run_info(run).state in ("stopped", "failed")
    assert load_checkpoint(space.run_dir(run) / "checkpoint.pt")["epoch"] > 0


def test_no_worker_outlives_the_launcher(finished_copy):
    """kill -9 of the command that started them: the workers stop by themselves, with a checkpoint."""
    space = finished_copy
    with start_process("train", "--workspace", space.root, *PICIE, "--epochs", 1000) as process:
        wait_for(process, "epoch 2/1000:")
        workers = workers_of(space, process)
        process.kill()
        process.communicate(timeout=LIMIT_S)  # their pipe closes when they are gone
    deadline = time.monotonic() + 10
    while any(one.is_running() for one in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(one.is_running() for one in workers)
    run = the_run(space)
    assert (space.run_info(run).state, space.jobs()["train"].state) == ("stopped", "stopped")
    assert space.jobs()["train"].message.endswith(f"go on with --resume {run} --processes 2")


def test_an_error_of_rank_0_is_said_once(finished_copy):
    """What rank 0 alone can see, here a K above the pixels, is the one word of the command, with its exit code."""
    words = ("train", "--workspace", finished_copy.root, *PICIE, "--k", 900)
    with start_process(*words) as process:
        _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith("train: k=900 needs at least 900 sampled pixels")
    assert err.count("k=900") == 1 and "Traceback" not in err
