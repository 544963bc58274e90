"""Images held out of a supervised training: they choose its best epoch and teach it nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from picie_core.evaluation.metrics import match_identity, score
from picie_core.models.classifier_head import load_head
from picie_core.training.epochs.held_out import mean_iou
from picie_core.workspace.trainings.training_history import read_history
from picie_core.workspace.workspace import Run, Workspace
from tests.factories import TINY, embedded, write_scenes
from tests.real_processes import started
from tests.small_trainings import check_resume, masks_of_scenes, same, start_training

HELD = (1, 4)
WILD = {"lr_backbone": 0.03, "lr_decoder": 0.03, "lr_head": 3.0}
"""Rates at which a training only gets worse."""


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An embedded workspace of twelve scenes, enough to hold some out; the tests add runs."""
    root = write_scenes(tmp_path_factory.mktemp("twelve"), 12)
    return embedded(root / "work", root / "images")


def words_of(workspace: Workspace, *options: object) -> tuple[object, ...]:
    """The command line of a supervised training."""
    masks = workspace.images_root.parent / "masks"
    head = ("train", "--workspace", workspace.root, *TINY, "--method", "supervised", "--masks", masks)
    return (*head, "--device", "cpu", "--precision", "32-true", *options, "--json")


def wild() -> list[object]:
    return [word for name, rate in WILD.items() for word in (f"--{name.replace('_', '-')}", rate)]


def trained(workspace: Workspace, say: Callable, *options: object) -> tuple[Run, str]:
    """The run that the command makes, and what it says beside."""
    said = say(*words_of(workspace, *options))
    assert said.code == 0, said.err
    return workspace.run(json.loads(said.out)["run"]), said.err


def test_mean_iou_by_another_way():
    """The figure of the evaluation, where a class is in no mask and another is never predicted; 0 without pixels."""
    counts = torch.tensor([[5, 2, 0, 1], [0, 7, 0, 0], [1, 1, 0, 2], [0, 0, 0, 0]])  # true class by predicted
    expected = score(counts.T.numpy(), match_identity(counts.numpy())).mean_iou
    assert mean_iou(counts) == pytest.approx(expected)
    assert mean_iou(torch.zeros(3, 3, dtype=torch.int64)) == 0


def test_a_training_that_gets_worse_keeps_its_start(twelve, say):
    """At wild rates: the network and the classifier of the start, which has not learned from the held-out images."""
    run, said = trained(twelve, say, "--epochs", 2, *wild())
    kept = run.info.sample
    assert (kept["epochs"], kept["best_epoch"], kept["held_out"]) == (2, 0, 3)
    assert kept["best_miou"] == kept["start_miou"] > 100 * max(line["held_out_miou"] for line in history(run))
    assert "the start, which no epoch improved on, is kept: mIoU" in said
    still, _ = trained(twelve, say, "--epochs", 1, "--lr-head", 0, "--lr-decoder", 0, "--lr-backbone", 0)
    networks = [(one.folder / "embedder" / "embedder.safetensors").read_bytes() for one in (run, still)]
    assert networks[0] == networks[1]
    one, two = (load_head(one.folder / "head.npz") for one in (run, still))
    np.testing.assert_array_equal(one.weight, two.weight)
    np.testing.assert_array_equal(one.bias, two.bias)


def history(run: Run) -> list[dict]:
    return read_history(run.workspace, run.name)


def test_the_best_epoch_is_kept(finished):
    """Of an epoch at good rates and one at wild ones the first: measured again, it gives what was measured then."""
    work = start_training(
        finished, "supervised", masks_of_scenes(finished), held_out=HELD, epochs=6, schedule="constant", lr_head=3e-2
    )
    records = []
    for record in work.epochs():
        records.append(record)
        if record.epoch == 3:
            for optimizer in (work.optimizer, work.head_optimizer):
                for group in optimizer.param_groups:
                    group["full_lr"] *= 1000
    found = [record.parts["held_out_miou"] for record in records]
    assert work.held_out.mean_iou[1:] == found and work.held_out.epoch == 1 + int(np.argmax(found)) < 6
    work.held_out.keep_best(work.embedder)
    work.held_out.measure(work.embedder)
    assert work.held_out.mean_iou[-1] == max(found)


def test_held_out_images_teach_nothing(finished):
    """Other masks for them choose another epoch perhaps, but every epoch is the same; so is one without them."""
    read = masks_of_scenes(finished)

    def wrong(image_id: int) -> np.ndarray:
        return 2 - read(image_id) if image_id in HELD else read(image_id)

    one, two = (start_training(finished, "supervised", masks, held_out=HELD) for masks in (read, wrong))
    assert [record.loss for record in one.epochs()] == [record.loss for record in two.epochs()]
    assert one.held_out.mean_iou != two.held_out.mean_iou
    assert same(one.objective.state(), two.objective.state())
    assert same(one.embedder.state_dict(), two.embedder.state_dict())
    assert not set(HELD) & set(one.image_ids)


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_resumed_equals_uninterrupted(finished, tmp_path, stop_after):
    """Stopped inside an epoch and at its end: the same metrics, and the same network kept as the best."""
    check_resume(finished, tmp_path, "supervised", stop_after, masks_of_scenes(finished), held_out=HELD)


def test_a_stopped_run_goes_on_with_its_best(twelve, say):
    """Killed after the last checkpoint of a training that got worse, and resumed: the start is still what is kept."""
    run, _ = trained(twelve, say, "--epochs", 1, *wild())
    expected = load_head(run.folder / "head.npz").weight
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "head.npz").unlink()
    (run.folder / "run.json").write_text(json.dumps({**record, "state": "running", "sample": {}}))
    said = say("train", "--workspace", twelve.root, "--resume", run.name, "--device", "cpu")
    assert said.code == 0, said.err
    np.testing.assert_array_equal(load_head(run.folder / "head.npz").weight, expected)
    assert twelve.run_info(run.name).sample["best_epoch"] == 0


def test_too_few_images_keep_the_last_epoch(finished_copy, say):
    """Of six images none is held out: the command says so, and the record has no best epoch."""
    run, said = trained(finished_copy, say, "--epochs", 1)
    assert "the last epoch is kept: there are too few labelled images" in said
    assert "best_epoch" not in run.info.sample and "held_out_miou" not in history(run)[0]


def test_the_paper_holds_nothing_out(twelve, say):
    """Its recipe keeps the last epoch and says nothing of it."""
    run, said = trained(twelve, say, "--recipe", "paper", "--epochs", 1, "--cluster-images", 4)
    assert "best_epoch" not in run.info.sample and "kept" not in said


@pytest.mark.slow
def test_two_processes_choose_as_one(twelve, tmp_path: Path):
    """The same mIoU of the held-out images in every epoch, whichever worker they fall to, and the same epoch kept."""
    runs = []
    for processes in (1, 2):
        words = words_of(twelve, "--epochs", 3, "--processes", processes)
        with started(*words, log=tmp_path / f"log{processes}") as running:
            end = running.end()
        assert end.code == 0, end.err
        runs.append(twelve.run(json.loads(end.out)["run"]))
    one, two = ([line["held_out_miou"] for line in history(run)] for run in runs)
    assert two == pytest.approx(one, abs=1e-3)
    assert runs[0].info.sample["best_epoch"] == runs[1].info.sample["best_epoch"]
