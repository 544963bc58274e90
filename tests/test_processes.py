"""Several processes train as one: the same figures, one writer, and an end of all when one of them dies."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from picie_core import engine, processes
from picie_core.checkpoint import load_checkpoint
from picie_core.cli import run_command
from picie_core.commands import COMMANDS
from picie_core.errors import PicieError, SettingError
from picie_core.processes import Place, place_here
from picie_core.settings import TrainSettings
from picie_core.workspace import Workspace
from tests.conftest import TINY, draw_scene
from tests.real_processes import Started, hold, replace_name, started, started_by_torchrun

TRAIN = (*TINY, "--batch", "3", "--k", "4", "--cluster-images", "7", "--precision", "32-true", "--device", "cpu")


@pytest.fixture(scope="module")
def seven(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An embedded workspace of six scenes and a file that cannot be decoded any more; nobody writes there.

    In batches of 3 the last one has a single image: less than one a process.
    """
    root = tmp_path_factory.mktemp("seven")
    shutil.copytree(scenes, root / "in")
    image = root / "in" / "images" / "scene-6.png"
    shutil.copy(root / "in" / "images" / "scene-5.png", image)
    assert run_command(COMMANDS, ["embed", str(root / "in" / "images"), "--workspace", str(root / "w"), *TINY]) == 0
    image.write_bytes(image.read_bytes()[:1000])
    shutil.rmtree(root / "w" / "cache")
    return Workspace.open(root / "w")


@pytest.fixture
def copies(seven: Workspace, tmp_path: Path) -> Callable[[str], Workspace]:
    """Returns a function that makes a named copy of the workspace to write in."""

    def copy(name: str) -> Workspace:
        shutil.copytree(seven.root, tmp_path / name)
        return Workspace.open(tmp_path / name)

    return copy


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


@pytest.mark.parametrize(
    "options",
    [
        ("--labels", "step"),
        ("--labels", "teacher", "--overcluster", "6"),
        ("--labels", "epoch", "--clustered", "pass", "--centroids", "anew", "--balance", "1"),
        ("--method", "mdc"),
        ("--method", "iic", "--overcluster", "6"),
        ("--method", "supervised", "--masks", "masks"),
        ("--method", "probe", "--masks", "masks"),
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
