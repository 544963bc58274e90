"""Checkpoints of a training: whole or absent, tensors and plain values only.

Random numbers need no state, because every draw belongs to (seed, epoch, image).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from picie_core.atomic_files import open_atomic
from picie_core.errors import PicieError, reason_of
from picie_core.training.epochs.epoch_features import SampledFeatures
from picie_core.training.optimizers import head_optimizer
from picie_core.training.trainer import Training

VERSION = 4


def training_state(training: Training) -> dict[str, Any]:
    """Returns all that a resumed training needs."""
    optimizer, heads = training.optimizer, training.head_optimizer
    return {
        "method": training.method,
        "images": training.image_ids,
        "settings": asdict(training.settings),
        "network": asdict(training.embedder.settings),
        "embedder": training.embedder.state_dict(),
        "labels": training.labels,
        "optimizer": optimizer.state_dict(),
        "head_optimizer": None if heads is None else heads.state_dict(),
        "objective": training.objective.state(),
        "held_out": training.held_out.state(),
        "epoch": training.epoch,
        "step": training.step,
        "settled": training.settled,
        "probe_labels": training.probe_labels,
        "totals": training.totals.state(),
        "clustering_s": training.clustering_s,
        "spent_s": training.spent_s,
        "kept": [{"order": one.order, "views": one.views} for one in training.features.batches],
    }


def restore_training(training: Training, state: dict[str, Any]) -> None:
    """Brings a new training to `state`. Raises PicieError when that is of another network or method."""
    _check_same(training, state)
    device = training.fabric.device
    try:
        training.embedder.load_state_dict(state["embedder"])
        training.objective.load_state(state["objective"], device)
        training.held_out.load_state(state["held_out"])
        training.head_optimizer = head_optimizer(training.objective.parameters(), training.settings)
        for optimizer, name in ((training.optimizer, "optimizer"), (training.head_optimizer, "head_optimizer")):
            if optimizer is not None:
                optimizer.load_state_dict(state[name])
    except (RuntimeError, ValueError, KeyError) as error:
        raise PicieError(f"the checkpoint is of another network ({reason_of(error)}): start anew") from error
    training.image_ids = state["images"]  # an epoch's order is drawn from them, whatever images came since
    training.epoch, training.step, training.settled = state["epoch"], state["step"], state["settled"]
    training.labels = state["labels"]
    training.probe_labels, training.clustering_s = state["probe_labels"], state["clustering_s"]
    training.spent_s = state.get("spent_s", 0.0)
    training.features.batches = [
        SampledFeatures(one["order"], [view.to(device) for view in one["views"]]) for one in state["kept"]
    ]
    training.totals.load_state(state["totals"])


def _check_same(training: Training, state: dict[str, Any]) -> None:
    if state["method"] != training.method:
        raise PicieError(f"the checkpoint is of method {state['method']}, not {training.method}: start anew")
    stored = {**state["settings"], **state["network"]}
    own = {**asdict(training.settings), **asdict(training.embedder.settings)}
    for name in ("backbone", "stages", "dim", "k", "overcluster"):
        if stored.get(name) != own[name]:
            raise PicieError(
                f"the checkpoint is of another network ({name} {stored.get(name)}, not {own[name]}): start anew"
            )


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes `state` (tensors, plain values, containers of them) in one step; the last good one stays until then."""
    with open_atomic(path) as file:
        try:
            torch.save({"version": VERSION, **state}, file)
        except RuntimeError as error:  # torch covers a failed write by an error of its own
            cause = error.__context__
            if isinstance(cause, KeyboardInterrupt):
                raise cause from None
            raise (OSError(*cause.args) if isinstance(cause, OSError) else error) from error


def load_checkpoint(path: Path, remedy: str = "start the training anew, without --resume") -> dict[str, Any]:
    """Returns what `save_checkpoint` wrote.

    Raises PicieError, with the `remedy`, when it is missing, damaged or of another version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise PicieError(f"no checkpoint at {path}: {remedy}") from None
    except Exception as error:
        raise PicieError(f"{path} cannot be read ({reason_of(error)}): {remedy}") from error
    version = state.get("version", 0) if isinstance(state, dict) else 0
    if version != VERSION:
        remedy = "update the program" if version > VERSION else remedy
        raise PicieError(f"{path} has version {version}, this program resumes from version {VERSION}: {remedy}")
    return state
