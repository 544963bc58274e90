"""Checkpoints of a training: whole or absent, tensors and plain values only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from picie_core.atomic_files import open_atomic
from picie_core.errors import PicieError

VERSION = 3


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes `state` (tensors, plain values, containers of them) in one step; the last good one stays until then."""
    with open_atomic(path) as file:
        try:
            torch.save({"version": VERSION, **state}, file)
        except RuntimeError as error:  # torch covers a failed write by an error of its own
            cause = error.__context__
            raise (OSError(*cause.args) if isinstance(cause, OSError) else error) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Returns what `save_checkpoint` wrote. Raises PicieError when it is missing, damaged or of another version."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise PicieError(f"no checkpoint at {path}: start the training anew, without --resume") from None
    except Exception as error:
        raise PicieError(f"{path} cannot be read ({str(error).splitlines()[0]}): start the training anew") from error
    version = state.get("version", 0) if isinstance(state, dict) else 0
    if version != VERSION:
        remedy = "update the program" if version > VERSION else "start the training anew, without --resume"
        raise PicieError(f"{path} has version {version}, this program goes on from version {VERSION}: {remedy}")
    return state
