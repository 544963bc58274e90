"""A training that is killed at any point and resumed ends with the very weights of one that never stopped."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from picie_core.errors import PicieError
from picie_core.models.embedder import load_embedder
from picie_core.settings import SampleSettings
from picie_core.training.checkpoint import load_checkpoint, restore_training, training_state
from picie_core.training.settings import TrainSettings
from picie_core.training.trainer import Training
from picie_core.workspace.trainings import training_epochs
from picie_core.workspace.trainings.training_history import read_history
from picie_core.workspace.workspace import Workspace
from tests.conftest import TINY
from tests.real_processes import hold, started, started_by_torchrun

TRAIN = (
    *TINY,
    "--stages",
    "2",
    "--batch",
    "2",
    "--epochs",
    "3",
    "--k",
    "4",
    "--cluster-images",
    "7",
    "--precision",
    "32-true",
)
STEP = "picie_core.training.epochs.epoch_metrics.EpochTotals.add"
CLOCK = ("seconds", "images_per_s", "clustering_s", "spent_s")


def save_half(value: Any, file: Any) -> None:
    """Writes half of a checkpoint, down to the disk."""
    whole = Path(file.name).with_suffix(".whole")
    _save(value, whole)
    file.write(whole.read_bytes()[: whole.stat().st_size // 2])
    file.flush()
    whole.unlink()


_save = torch.save


def save_often(then: Callable[[], None] | None) -> None:
    """Stands before a command: a checkpoint after every step, not every ten minutes."""
    training_epochs.CHECKPOINT_S = 0.0
    if then is not None:
        then()


def kill_points(seed: int) -> dict[str, Callable]:
    """Where a training is killed, one after the other, each time resumed; how far into it is drawn from `seed`."""
    drawn = np.random.default_rng(seed).integers(0, 2, 4).tolist()
    return {
        "while the start is prepared": partial(hold, "picie_core.models.embedder.load_embedder"),
        "in the first checkpoint": partial(hold, "torch.save", 1, save_half),
        "in a clustering": partial(hold, "picie_core.training.losses.pseudo_labels.spherical_kmeans"),
        "in the first epoch": partial(hold, STEP, 2 + drawn[0]),  # of its 4 steps
        "in a checkpoint": partial(hold, "torch.save", 1 + drawn[1], save_half),
        "after an epoch's figures": partial(hold, "picie_core.workspace.trainings.training_epochs.append_history"),
        "after an epoch's checkpoint": partial(hold, "picie_core.workspace.workspace.Workspace.write_run", 2),
        "in the second epoch": partial(hold, STEP, 2 + drawn[2]),
        "in the last epoch": partial(hold, STEP, 5 + drawn[3]),
        "in the sample": partial(hold, "picie_core.data.sample_writer.SampleWriter.write_sample"),
    }


def words_of(space: Workspace, *options: object) -> tuple[object, ...]:
    """The command line of a training from the frozen run."""
    return ("train", "--workspace", space.root, *TRAIN, "--device", "cpu", "--start", space.current_run(), *options)


def resume_words(space: Workspace) -> tuple[object, ...]:
    """The command line that goes on with the one training of a workspace."""
    return ("train", "--workspace", space.root, "--resume", the_run(space), "--device", "cpu")


def the_run(space: Workspace) -> str:
    """The one trained run of the workspace."""
    (run,) = [info.id for info in space.runs() if info.method != "frozen"]
    return run


def weights_of(space: Workspace) -> dict[str, torch.Tensor]:
    """All tensors of the finished network."""
    return load_file(space.run_dir(the_run(space)) / "embedder" / "embedder.safetensors")


def tensors_of(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All tensors and plain values of a checkpoint, with their place."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from tensors_of(part, f"{name}/{key}")
    if not isinstance(value, (dict, list)):
        yield name, value


def assert_same_run(one: Workspace, two: Workspace) -> None:
    """Weights, figures, and all that the last checkpoints hold are equal, bit by bit; so are the listed problems."""
    mine, theirs = weights_of(one), weights_of(two)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    for first, second in zip(*(read_history(space, the_run(space)) for space in (one, two)), strict=True):
        assert {n: v for n, v in first.items() if n not in CLOCK} == {n: v for n, v in second.items() if n not in CLOCK}
    states = [load_checkpoint(space.run_dir(the_run(space)) / "checkpoint.pt") for space in (one, two)]
    for (name, first), (_, second) in zip(*map(tensors_of, states), strict=True):
        same = torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second
        assert same or name[1:] in CLOCK, name
    assert one.run_info(the_run(one)).epochs_done == two.run_info(the_run(two)).epochs_done == 3
    assert one.image_list().problems == two.image_list().problems != []


PAPER_LIKE = ("--labels", "epoch", "--clustered", "pass", "--centroids", "anew", "--schedule", "constant")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (0, ()),
        (1, ("--overcluster", 6)),
        (2, (*PAPER_LIKE, "--batch-norm", "train", "--balance", 1)),
        (3, ("--method", "mdc")),
    ],
    ids=["default", "over-clustering", "paper-like", "mdc"],
)
def test_killed_anywhere_and_resumed(copies, tmp_path, seed, options):
    """Killed ten times with SIGKILL and resumed each time: the weights of an uninterrupted run, bit by bit."""
    whole, space = copies("whole"), copies("killed")
    with started(*words_of(whole, *options), log=tmp_path / "whole-log") as running:
        assert running.end().code == 0, running.end().err
    words = words_of(space, *options)
    for number, (where, point) in enumerate(kill_points(seed).items()):
        with started(*words, log=tmp_path / f"log-{number}", prepare=partial(save_often, point)) as running:
            running.wait_until_held()
            assert space.run_info(the_run(space)).state == "running", where
            running.kill()
        assert space.run_info(the_run(space)).state == "stopped", where
        words = resume_words(space)
    with started(*words, log=tmp_path / "last-log") as running:
        assert running.end().code == 0, running.end().err
    assert_same_run(whole, space)


def test_a_settled_training_stays_settled(copies, tmp_path):
    """Killed in the sample after its labels had settled, it makes the sample and trains no further epoch."""
    space = copies("w")
    point = partial(hold, "picie_core.data.sample_writer.SampleWriter.write_sample")
    with started(*words_of(space, "--settle", 1), log=tmp_path / "log", prepare=point) as running:
        running.wait_until_held()
        running.kill()
    with started(*resume_words(space), log=tmp_path / "log") as running:
        assert running.end().code == 0
    assert space.run_info(the_run(space)).epochs_done == len(read_history(space, the_run(space))) == 2


@pytest.mark.slow
def test_two_processes_are_resumed_exactly(copies, tmp_path):
    """A run on two processes, killed in the middle of an epoch and resumed on two, ends with the very same weights."""
    whole, space = copies("whole"), copies("killed")
    options = ("--labels", "epoch", "--batch-norm", "train")
    with started_by_torchrun(*words_of(whole, *options), log=tmp_path / "whole-log") as ranks:
        assert [rank.end().code for rank in ranks] == [0, 0]
    point = partial(save_often, partial(hold, STEP, 7))
    with started_by_torchrun(*words_of(space, *options), log=tmp_path / "log", prepare=(point, None)) as ranks:
        ranks[0].wait_until_held()
        ranks[0].kill()
        assert ranks[1].end().code == 1
    state = load_checkpoint(space.run_dir(the_run(space)) / "checkpoint.pt")
    assert (state["epoch"], state["step"]) == (1, 2)
    with started_by_torchrun(*resume_words(space), log=tmp_path / "log") as ranks:
        assert [rank.end().code for rank in ranks] == [0, 0]
    assert_same_run(whole, space)


def small_disk(size: int) -> None:
    """Stands before a command: the system lets no file grow beyond `size` bytes, as a full disk does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_a_disk_that_fills_up_during_a_checkpoint(copies, tmp_path):
    """The error names the file, the last good checkpoint stays, nothing half-written is left; it goes on exactly."""
    whole, space = copies("whole"), copies("full")
    with started(*words_of(whole), log=tmp_path / "whole-log") as running:
        assert running.end().code == 0
    with started(*words_of(space), log=tmp_path / "log", prepare=partial(hold, STEP, 5)) as running:
        running.wait_until_held()
        running.kill()
    path = space.run_dir(the_run(space)) / "checkpoint.pt"
    before = path.read_bytes()
    with started(*resume_words(space), log=tmp_path / "log", prepare=partial(small_disk, 3_000_000)) as running:
        end = running.end()
    assert end.code == 1
    assert (
        end.err.splitlines()[-1]
        == f"train: cannot write {path}: File too large; free some space or choose another disk"
    )
    assert space.run_info(the_run(space)).state == "failed"
    assert (path.read_bytes(), list(path.parent.glob(".*"))) == (before, [])
    with started(*resume_words(space), log=tmp_path / "log") as running:
        assert running.end().code == 0
    assert_same_run(whole, space)


# -- what a checkpoint belongs to


def training(space: Workspace, ids: list[int], method: str = "picie", **changes: Any) -> Training:
    """A training of some images from the frozen run."""
    network, _ = load_embedder(space.current_run().folder / "embedder")
    settings = TrainSettings(**{"k": 4, "epochs": 2, "cluster_images": 6, "precision": "32-true", **changes})
    sampling = SampleSettings(size_px=64, pixels=600, batch=4)
    return Training(network, space.image_cache(64), ids, settings, sampling, "cpu", method)


def test_images_that_came_later_change_nothing(finished):
    """The order of an epoch is drawn from the images that the training started with, whatever is found at a resume."""
    whole, first = training(finished, [0, 1, 2, 3]), training(finished, [0, 1, 2, 3])
    list(whole.epochs())
    assert list(first.epochs(stop=lambda: True)) == []
    second = training(finished, [0, 1, 2, 3, 4, 5])
    restore_training(second, training_state(first))
    list(second.epochs())
    assert all(
        torch.equal(a, b) for a, b in zip(whole.embedder.parameters(), second.embedder.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "mdc"}, "the checkpoint is of method picie, not mdc: start anew"),
        ({"k": 5}, r"the checkpoint is of another network \(k 4, not 5\): start anew"),
        ({"overcluster": 9}, r"the checkpoint is of another network \(overcluster 0, not 9\): start anew"),
    ],
)
def test_a_checkpoint_of_another_training(finished, changes, message):
    """Another method, K or over-clustering is refused before anything is overwritten."""
    with pytest.raises(PicieError, match=message):
        restore_training(training(finished, [0, 1], **changes), training_state(training(finished, [0, 1])))


def test_a_checkpoint_of_another_backbone(copies, tmp_path):
    """On the command line: what the checkpoint is of, what the run is of, the remedy, in one line; nothing is lost."""
    space = copies("w")
    for options in (("--dim", 32), ("--backbone", "resnet34")):
        words = words_of(space, *options)[: -2 - len(options)]
        with started(*words, *options, log=tmp_path / "log", prepare=partial(hold, STEP)) as running:
            running.wait_until_held()
            running.kill()
    (newer, older) = [info.id for info in space.runs() if info.method == "picie"]
    theirs, mine = (space.run_dir(run) / "checkpoint.pt" for run in (newer, older))
    mine.write_bytes(theirs.read_bytes())
    words = ("train", "--workspace", space.root, "--resume", older, "--device", "cpu")
    with started(*words, log=tmp_path / "log") as running:
        end = running.end()
    assert end.code == 1
    last = end.err.splitlines()[-1]
    assert last == "train: the checkpoint is of another network (backbone resnet34, not resnet18): start anew"
    assert mine.read_bytes() == theirs.read_bytes()


def test_weights_that_are_not_finite_replace_no_checkpoint(finished):
    """Gradients may overflow under a finite loss: such a network is refused before it is stored."""
    work = training(finished, [0, 1, 2, 3])
    next(iter(work.embedder.parameters())).data[0] = torch.nan
    with pytest.raises(PicieError, match="the network is not finite at epoch 1, step 1: the last checkpoint is good"):
        work.check_weights()


def test_a_problem_is_listed_once(copies, tmp_path):
    """A file that cannot be decoded is listed with its reason when the epoch is over; once, however often resumed."""
    space = copies("w")
    assert space.image_list().problems == []
    with started(*words_of(space), log=tmp_path / "log", prepare=partial(hold, STEP, 5)) as running:
        running.wait_until_held()
        running.kill()
    (problem,) = space.image_list().problems
    assert (problem.path, problem.reason.split(":")[0]) == ("scene-6.png", "truncated")
    with started(*resume_words(space), log=tmp_path / "log") as running:
        assert running.end().code == 0
    assert (space.root / "problems.jsonl").read_text().count("\n") == 1
