"""Training a student: it learns, keeps its best, and resumed is bit by bit what was never stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from picie_core.distillation.averaging import AveragedStudent
from picie_core.distillation.checkpoint import read_training, restore_training, save_training
from picie_core.distillation.trainer import Distillation
from picie_core.errors import PicieError
from tests.small_exports import QUICK, small_training, write_export


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of six scenes with confidence maps, one of them annotated; no test writes there."""
    return write_export(tmp_path_factory.mktemp("export") / "out", confidence=True, annotated=[0])


def stop_after(steps: int) -> Callable[[], bool]:
    """A `stop` that says yes after so many steps."""
    asked = iter(range(1, 1000))
    return lambda: next(asked) >= steps


def same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two states are equal, bit by bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


SETTINGS = dataclasses.replace(QUICK, bootstrap=0.3, cutout=0.5)


@pytest.fixture(scope="module")
def whole(export) -> Distillation:
    """A training of two epochs of two steps that was never stopped."""
    training = small_training(export, SETTINGS)
    assert len(list(training.epochs())) == 2
    return training


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_resumed_is_what_was_never_stopped(export, whole, tmp_path, steps):
    """Stopped in an epoch or at its end, restored in a new process's stead: the same weights, best and history."""
    path = tmp_path / "checkpoint.pt"
    stopped = small_training(export, SETTINGS)
    list(stopped.epochs(stop=stop_after(steps)))
    save_training(path, stopped, {"seed": 0})
    resumed = small_training(export, SETTINGS)
    state = read_training(path, {"seed": 0})
    assert state is not None
    restore_training(resumed, state)
    list(resumed.epochs())
    assert same_weights(resumed.plain.state_dict(), whole.plain.state_dict())
    assert same_weights(resumed.best, whole.best)
    clock = ("seconds",)
    trimmed = [[{k: v for k, v in one.items() if k not in clock} for one in run.history] for run in (resumed, whole)]
    assert trimmed[0] == trimmed[1]


def test_a_stopped_training_of_other_settings_is_not_gone_on_with(export, tmp_path):
    """The first difference is named; a missing checkpoint is none; a damaged one says what to do."""
    path = tmp_path / "checkpoint.pt"
    assert read_training(path, {"seed": 0}) is None
    save_training(path, small_training(export), {"seed": 0, "epochs": 2})
    with pytest.raises(PicieError, match=r"a stopped training with epochs = 2, not 3: give the same options"):
        read_training(path, {"seed": 0, "epochs": 3})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PicieError, match=r"cannot be read .*: give --anew to train anew"):
        read_training(path, {"seed": 0, "epochs": 2})


def test_it_learns_what_the_masks_say(export):
    """From random weights, two dozen epochs of three textures: most held-out pixels agree."""
    training = small_training(export, dataclasses.replace(QUICK, epochs=24, lr_backbone=1e-3, lr_head=3e-3, batch=4))
    records = list(training.epochs())
    assert records[-1].loss < 0.7 * records[0].loss
    assert max(record.val_accuracy for record in records) > 0.75
    assert training.best_miou == max(record.val_miou for record in records)


def test_early_stop_after_epochs_without_a_better_agreement(export):
    """With rates of zero nothing changes after the first epoch: `patience` more epochs, then the end."""
    settings = dataclasses.replace(QUICK, epochs=20, patience=2, lr_backbone=0, lr_head=0, averaging=0)
    training = small_training(export, settings)
    for parameter in training.plain.modules():  # statistics of batch norm would change the masks
        if isinstance(parameter, torch.nn.BatchNorm2d):
            parameter.momentum = 0.0
    records = list(training.epochs())
    assert len(records) == 3 and [record.best for record in records] == [True, False, False]


def test_the_time_budget_ends_the_training(export):
    """A budget of a few milliseconds: one step, its epoch is still evaluated."""
    training = small_training(export, dataclasses.replace(QUICK, epochs=1000, minutes=1e-4))
    assert len(list(training.epochs())) == 1
    assert training.finished and training.best


def test_a_network_that_diverges_says_so(export):
    """A learning rate far too high: an error with the remedy, not a network of nan."""
    training = small_training(export, dataclasses.replace(QUICK, epochs=50, lr_head=1e12, lr_backbone=1e12))
    with pytest.raises(PicieError, match=r"the loss of epoch \d+ is (nan|inf|-inf): it diverged, lower --lr-head"):
        list(training.epochs())


def test_the_average_of_the_weights_by_hand():
    """The first step keeps a tenth of the start, later ones `decay` at most; counts are copied."""
    layer = torch.nn.BatchNorm1d(1)
    average = AveragedStudent(layer, decay=0.5)
    values = [1.0, 5.0, -3.0, 2.0, 8.0, 4.0, 0.0, 1.0, 6.0, 7.0, 3.0, 9.0]
    wanted = 1.0  # the weight that a batch norm starts with
    for step, value in enumerate(values, 1):
        layer.weight.data.fill_(value)
        layer.num_batches_tracked.fill_(step)
        average.update(layer)
        keep = min(0.5, step / (step + 9))
        wanted = keep * wanted + (1 - keep) * value
    assert float(average.network.weight) == pytest.approx(wanted, rel=1e-5)
    assert int(average.network.num_batches_tracked) == len(values)
