"""Trainings of the six scenes that take a tenth of a second an epoch: one stage, eight dimensions, batches of two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from picie_core.models.embedder import Embedder
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.training.checkpoint import load_checkpoint, restore_training, save_checkpoint, training_state
from picie_core.training.losses import MakeObjective, make_objective
from picie_core.training.losses.objective import Step, StepLoss
from picie_core.training.losses.picie import Picie
from picie_core.training.settings import TrainSettings
from picie_core.training.trainer import EpochRecord, Training
from picie_core.training.views.batches import ReadMask
from picie_core.workspace.workspace import Workspace

SAMPLING = SampleSettings(size_px=64, pixels=600, batch=2)
STEPS = 3
"""Steps of an epoch: six scenes, two a step."""
NETWORK = EmbedderSettings(weights="none", stages=1, dim=8, pool=5, context=0)
CLOCK = ("seconds", "images_per_s", "clustering_s", "spent_s")


def start_training(
    space: Workspace,
    method: str,
    masks: ReadMask | None = None,
    make: MakeObjective = make_objective,
    network: EmbedderSettings = NETWORK,
    held_out: tuple[int, ...] = (),
    **changes: Any,
) -> Training:
    """A training of the scenes that are not held out, from random weights; `changes` are fields of TrainSettings."""
    settings = TrainSettings(**{"k": 3, "epochs": 2, "cluster_images": 4, "precision": "32-true", **changes})
    ids = [record.id for record in space.image_list().readable if record.id not in held_out]
    embedder, cache = Embedder(network).eval(), space.image_cache(settings.square_px(64))
    held = list(held_out)
    return Training(embedder, cache, ids, settings, SAMPLING, "cpu", method, masks=masks, held_out=held, make=make)


def changed_picie(change: Callable[[StepLoss], StepLoss]) -> MakeObjective:
    """Returns what makes PiCIE with every loss passed through `change`."""

    class Changed(Picie):
        def loss(self, step: Step) -> StepLoss:
            return change(super().loss(step))

    def make(method: str, settings: TrainSettings, dim: int, seed: int, device: Any, workers: Any) -> Changed:
        return Changed(settings, seed, device, workers)

    return make


def all_in_one_cluster(step: StepLoss) -> StepLoss:
    """The same loss, with all pixels of each view in the first cluster."""
    counts = torch.zeros_like(step.label_counts)
    counts[:, 0] = step.label_counts.sum(1)
    return replace(step, label_counts=counts)


def masks_of_scenes(space: Workspace) -> ReadMask:
    """Returns what reads the ground truth of a scene by its id."""
    folder: Path = space.images_root.parent / "masks"
    return lambda image_id: np.asarray(Image.open(folder / f"scene-{image_id}.png"))


def same(one: Any, two: Any) -> bool:
    """Whether two states hold the same values, tensors bit by bit, whatever the clock said."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one if name not in CLOCK)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


def figures(record: EpochRecord) -> dict[str, Any]:
    """An epoch's figures without those that depend on the clock."""
    return {name: value for name, value in record.line().items() if name not in CLOCK}


def check_resume(
    space: Workspace, folder: Path, method: str, stop_after: int, masks: ReadMask | None = None, **changes: Any
) -> None:
    """Stopped after a step, stored and resumed, a training ends with the state and figures of one that was not."""
    whole = start_training(space, method, masks, **changes)
    expected = [figures(record) for record in whole.epochs()]
    first = start_training(space, method, masks, **changes)
    left = iter(range(stop_after - 1))
    found = [figures(record) for record in first.epochs(stop=lambda: next(left, None) is None)]
    assert first.epoch * first.steps_per_epoch + first.step == stop_after
    save_checkpoint(folder / "checkpoint.pt", training_state(first))
    second = start_training(space, method, masks, **changes)
    restore_training(second, load_checkpoint(folder / "checkpoint.pt"))
    found += [figures(record) for record in second.epochs()]
    assert found == expected
    assert same(training_state(second), training_state(whole))
