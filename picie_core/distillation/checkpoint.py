"""The checkpoint of a distillation: all that a training needs to go on, and what it is a training of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from picie_core.distillation.trainer import Distillation
from picie_core.errors import PicieError
from picie_core.training.checkpoint import load_checkpoint, save_checkpoint

VALUES = (
    "round",
    "epoch",
    "step",
    "round_started_s",
    "spent_s",
    "best",
    "best_miou",
    "best_epoch",
    "loss_sum",
    "history",
)
"""The plain values and tensors of a training that its checkpoint holds."""


def save_training(path: Path, training: Distillation, plan: dict[str, Any]) -> None:
    """Writes the state of a training in one step; plan: what it is a training of, as JSON holds it."""
    state = {name: getattr(training, name) for name in VALUES}
    state |= {"network": training.plain.state_dict(), "averaged": training.averaged.network.state_dict()}
    state |= {"averaged_steps": training.averaged.steps, "optimizer": training.optimizer.state_dict(), "plan": plan}
    save_checkpoint(path, state)


def read_training(path: Path, plan: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the state that a stopped training of the same plan left, None where there is none.

    Raises PicieError for a checkpoint that cannot be read or is of another plan, with the first difference.
    """
    if not path.exists():
        return None
    state = load_checkpoint(path, remedy="give --anew to train anew")
    other = state.get("plan", {})
    different = [name for name in plan if other.get(name) != plan[name]]
    if different:
        name = different[0]
        raise PicieError(
            f"{path.parent} holds a stopped training with {name} = {other.get(name)!r}, not {plan[name]!r}: give the "
            "same options to go on with it, --anew to give it up, or another --out"
        )
    return state


def restore_training(training: Distillation, state: dict[str, Any]) -> None:
    """Brings a new training to a state that `read_training` returned."""
    for name in VALUES:
        setattr(training, name, state[name])
    training.plain.load_state_dict(state["network"])
    training.averaged.network.load_state_dict(state["averaged"])
    training.averaged.steps = state["averaged_steps"]
    training.optimizer.load_state_dict(state["optimizer"])
