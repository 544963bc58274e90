"""Several workers train as one: the same metrics, one writer, and an end of all when one of them dies."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from picie_core.errors import PicieError, SettingError
from picie_core.models.embedder import load_embedder
from picie_core.settings import SampleSettings
from picie_core.training.checkpoint import load_checkpoint
from picie_core.training.distributed import FabricWorkers, make_fabric, process_group
from picie_core.training.settings import TrainSettings
from picie_core.training.trainer import Training
from picie_core.training.worker import Worker
from picie_core.workspace.workspace import Workspace
from tests.conftest import TINY
from tests.real_processes import hold, replace_name, started, started_by_torchrun

STEP = "picie_core.training.epochs.epoch_metrics.EpochTotals.add"
ON_CPU = ("--precision", "32-true", "--device", "cpu")
TRAIN = (*TINY, "--stages", "2", "--batch", "3", "--k", "4", "--cluster-images", "7", *ON_CPU)


def words_of(space: Workspace, *more: object) -> tuple[object, ...]:
    """The command line of a training from the frozen run."""
    return ("train", "--workspace", space.root, *TRAIN, "--start", space.current_run(), *more)


def the_run(space: Workspace) -> str:
    """The one trained run of the workspace."""
    (run,) = [info.id for info in space.runs() if info.method != "frozen"]
    return run


def state_of(space: Workspace) -> dict[str, Any]:
    """The last checkpoint."""
    return load_checkpoint(space.run_dir(the_run(space)) / "checkpoint.pt")


def history(space: Workspace) -> list[dict[str, Any]]:
    """The figures of each epoch."""
    return [json.loads(line) for line in (space.run_dir(the_run(space)) / "history.jsonl").read_text().splitlines()]


def centroids_of(space: Workspace) -> list[torch.Tensor]:
    """The centroids of every clustering of the last epoch."""

    def find(value: Any) -> list[torch.Tensor]:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        own = [value["centroids"]] if isinstance(value, dict) and "centroids" in value else []
        return own + [one for part in parts for one in find(part)]

    return find(state_of(space)["objective"])


def assert_same_figures(one: Workspace, two: Workspace, losses: float = 1e-4, centroids: float = 1e-5) -> None:
    """Both trainings have the same losses in every epoch, the same centroids, and the same problems."""
    for mine, theirs in zip(history(one), history(two), strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine.keys() - {"seconds", "images_per_s", "clustering_s", "changed_labels"}:
            assert theirs[name] == pytest.approx(mine[name], abs=losses), (mine["epoch"], name)
    for mine, theirs in zip(centroids_of(one), centroids_of(two), strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=centroids)
    assert one.image_list().problems == two.image_list().problems


# -- two against one


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("--labels", "step"),
        ("--labels", "step", "--overcluster", "6"),
        ("--labels", "step", "--overcluster", "50"),
        ("--labels", "epoch", "--clustered", "pass", "--centroids", "anew", "--balance", "1"),
        ("--method", "mdc"),
        ("--method", "iic", "--overcluster", "6"),
        ("--method", "supervised", "--masks", "masks"),
    ],
    ids=lambda options: "-".join(options[1::2]),
)
def test_two_processes_train_as_one(copies, tmp_path, options):
    """The same losses and centroids, epoch by epoch, with a batch for one process only and a file nobody can read."""
    one, two = copies("one"), copies("two")
    options = [one.images_root.parent / "masks" if word == "masks" else word for word in options]
    with started(*words_of(one, *options, "--epochs", 2), log=tmp_path / "log") as running:
        assert running.end().code == 0, running.end().err
    with started_by_torchrun(*words_of(two, *options, "--epochs", 2, "--json"), log=tmp_path / "logs") as ranks:
        ends = [rank.end() for rank in ranks]
    assert [end.code for end in ends] == [0, 0], ends
    assert json.loads(ends[0].out)["run"] == the_run(two)
    assert ends[1].out == ""
    assert [problem.path for problem in two.image_list().problems] == ["scene-6.png"]
    assert_same_figures(one, two)


def test_two_machines_with_one_folder(copies, tmp_path):
    """One process on each of two machines: the first of all is the only writer, and the figures are those of one."""
    one, two = copies("one"), copies("two")
    with started(*words_of(one, "--epochs", 1), log=tmp_path / "log") as running:
        assert running.end().code == 0
    with started_by_torchrun(*words_of(two, "--epochs", 1), log=tmp_path / "logs", machines=2) as ranks:
        assert [(end.code, bool(end.out)) for end in (rank.end() for rank in ranks)] == [(0, True), (0, False)]
    assert_same_figures(one, two)


def train_and_store(root: Path, out: Path) -> None:
    """Stands for the command in each of two workers: one epoch with batch norm that trains; stores the network."""
    worker, space = Worker.from_environment(), Workspace.open(root)
    settings = TrainSettings(k=4, epochs=1, cluster_images=7, batch_norm="train")
    with process_group(worker):
        fabric = make_fabric("32-true", "cpu", worker)
        network, _ = load_embedder(space.current_run().folder / "embedder")
        ids = [record.id for record in space.image_list().readable]
        cache = space.image_cache(64, writable=worker.rank == 0)
        training = Training(network, cache, ids, settings, SampleSettings(size_px=64, batch=3), fabric=fabric)
        assert len(list(training.epochs())) == 1
    torch.save(training.embedder.state_dict(), out.with_suffix(f".{worker.rank}"))
    os._exit(0)


def test_batch_norm_that_trains_is_the_same_in_both(copies, tmp_path):
    """With batch_norm=train each worker normalises by its own pixels, and both hold the same network bit by bit."""
    space = copies("two")
    prepare = partial(train_and_store, space.root, tmp_path / "network")
    before = load_embedder(space.current_run().folder / "embedder")[0].state_dict()
    with started_by_torchrun("info", log=tmp_path / "logs", prepare=(prepare, prepare)) as ranks:
        assert [rank.end().code for rank in ranks] == [0, 0]
    first, second = (torch.load(tmp_path / f"network.{rank}") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["backbone.stem.1.running_mean"], before["backbone.stem.1.running_mean"])


@pytest.mark.slow
def test_a_real_torchrun(scenes, tmp_path):
    """`torchrun --nproc-per-node 2 -m picie_core train` on a new workspace leaves one run with the figures of one."""
    words = ("train", scenes / "images", *TRAIN, "--epochs", 1, "--json", "--workspace")
    with started(*words, tmp_path / "one", log=tmp_path / "log") as running:
        assert running.end().code == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "picie_core", *words]
    done = subprocess.run([*map(str, command), str(tmp_path / "two")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two = Workspace.open(tmp_path / "one"), Workspace.open(tmp_path / "two")
    assert json.loads(done.stdout)["run"] == the_run(two)
    assert list(two.jobs()) == ["train"]
    assert_same_figures(one, two)


# -- collectives


def exchange(out: Path) -> None:
    """Stands for the command in each of two workers: every collective, with what came out of it."""
    both = FabricWorkers(make_fabric("32-true", "cpu", Worker.from_environment()))
    mine = torch.arange(3.0).requires_grad_() + both.rank
    rows = torch.full((2 * both.rank, 2), float(both.rank))  # none in the first process
    table = both.gather_tables({both.rank: "seen", 7: "both"})
    found = [both.sum(mine), both.mean(mine), both.broadcast(mine.detach()), both.gather(rows), both.gather(rows[:0])]
    torch.save({"found": found, "table": table, "grad": found[0].requires_grad}, out.with_suffix(f".{both.rank}"))
    os._exit(0)


def test_exchanged_values(tmp_path):
    """Sum and mean over two workers, the value of rank 0, rows of 0 and 2, tables: by hand, alike in both."""
    prepare = partial(exchange, tmp_path / "found")
    with started_by_torchrun("info", log=tmp_path / "log", prepare=(prepare, prepare)) as ranks:
        assert [rank.end().code for rank in ranks] == [0, 0]
    for rank in ("0", "1"):
        got = torch.load(tmp_path / f"found.{rank}")
        total, mean, first, rows, none = got["found"]
        assert (total.tolist(), mean.tolist(), first.tolist()) == ([1, 3, 5], [0.5, 1.5, 2.5], [0, 1, 2])
        assert (rows.tolist(), none.shape) == ([[1, 1], [1, 1]], (0, 2))
        assert (got["table"], got["grad"]) == ({0: "seen", 1: "seen", 7: "both"}, False)


# -- deaths


def resume_alone(space: Workspace, log: Path) -> None:
    """Goes on with the run in one process."""
    words = ("train", "--workspace", space.root, "--resume", the_run(space), "--device", "cpu")
    with started(*words, log=log) as running:
        assert running.end().code == 0, running.end().err


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 1])
def test_a_killed_process_ends_the_other(copies, tmp_path, dead):
    """kill -9 of one of two: the other ends with code 1 and the way to go on, and one process brings it to its end."""
    space, whole = copies("two"), copies("one")
    holds: list[Any] = [None, None]
    holds[dead] = partial(hold, STEP, 5)  # the second step of epoch 2
    with started_by_torchrun(*words_of(space, "--epochs", 2), log=tmp_path / "logs", prepare=tuple(holds)) as ranks:
        ranks[dead].wait_until_held()
        ranks[dead].kill()
        left = ranks[1 - dead].end()
    run = the_run(space)
    assert left.code == 1
    lost = f"rank {1 - dead} of 2 lost the other workers; the last checkpoint is good, go on with "
    assert f"{lost}the same torchrun command with --resume {run}" in left.err
    assert "Traceback" not in left.err
    assert state_of(space)["epoch"] == 1
    assert space.run_info(run).state == ("stopped" if dead == 0 else "failed")
    resume_alone(space, tmp_path / "log")
    with started(*words_of(whole, "--epochs", 2), log=tmp_path / "whole") as running:
        assert running.end().code == 0
    assert_same_figures(whole, space)


# -- errors


def spoil_loss() -> None:
    """Makes the loss of the fifth step of this process not a number: epoch 2, step 2."""

    def change(picie_loss: Callable) -> Callable:
        factors = iter([1.0, 1.0, 1.0, 1.0, math.nan])

        def spoilt(*arguments: Any, **more: Any) -> Any:
            found = picie_loss(*arguments, **more)
            return replace(found, total=found.total * next(factors))

        return spoilt

    replace_name("picie_core.training.losses.picie.picie_loss", change)


def test_a_loss_that_is_not_finite_in_one_of_two(copies, tmp_path):
    """Both stop; the first one says epoch and step, once; the checkpoint of the epoch before stays."""
    space = copies("two")
    words = words_of(space, "--epochs", 3)
    with started_by_torchrun(*words, log=tmp_path / "logs", prepare=(None, spoil_loss)) as ranks:
        first, second = (rank.end() for rank in ranks)
    assert first.code == 1
    assert "train: the loss is not finite at epoch 2, step 2: the last checkpoint is good" in first.err
    assert "finite" not in second.err and "Traceback" not in first.err + second.err
    assert (state_of(space)["epoch"], space.run_info(the_run(space)).state) == (1, "failed")


def test_an_error_of_the_first_process_ends_the_other(copies, tmp_path):
    """What the first one alone can see, here a K above the cells, is its last word; the other ends quietly."""
    space = copies("two")
    with started_by_torchrun(*words_of(space)[:-2], "--k", 900, log=tmp_path / "logs") as ranks:
        first, second = (rank.end() for rank in ranks)
    assert (first.code, second.code) == (2, 1)
    assert "k=900 needs at least 900 sampled pixels" in first.err.splitlines()[-1]
    assert "Traceback" not in second.err


def test_a_number_that_torchrun_did_not_start(monkeypatch):
    """--processes 3 under a torchrun of 2 is refused; 2, or none given, is the worker that torchrun says."""
    environment = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "x"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Worker.from_environment() == Worker(1, 2, 1)
    assert Worker.from_environment(2) == Worker(1, 2, 1, by_option=True)
    with pytest.raises(SettingError, match="processes=3 but torchrun started 2: leave --processes out"):
        Worker.from_environment(3)


@pytest.mark.parametrize(
    ("worker", "words"),
    [
        (Worker(), "--resume run"),
        (Worker(0, 2, 2), "the same torchrun command with --resume run"),
        (Worker(1, 2, 2, by_option=True), "--resume run --processes 2"),
    ],
)
def test_how_to_resume(worker, words):
    """As many workers as before, started as before."""
    assert worker.resume_words("run") == words


def test_more_workers_than_gpus(monkeypatch):
    """Each worker needs a GPU of its own."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(PicieError, match="2 workers need as many CUDA devices on this machine, torch finds 1"):
        make_fabric("auto", "cuda", Worker(0, 2, 2))
