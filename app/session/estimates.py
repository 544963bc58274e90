"""What the button for embedding needs: which weights are on this machine, the arguments, and how long it will take."""

from __future__ import annotations

import os
from pathlib import Path

from picie_core.workspace.workspace import Workspace

RATE_AT_320_PX = 14.0
"""Images a second of a frozen ResNet-18 at 320 px on two cores, before this machine was measured."""
START_S = 6.0
TRAIN_COST = 6.0
"""How many times as long as embedding one image an epoch takes for it: two views, forward and backward."""


def default_weights() -> str:
    """Returns what `--weights` should be: the file in PICIE_WEIGHTS, else downloaded ImageNet's, else none."""
    named = os.environ.get("PICIE_WEIGHTS")
    if named and Path(named).expanduser().is_file():
        return str(Path(named).expanduser())
    home = os.environ.get("TORCH_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch")
    downloaded = (Path(home).expanduser() / "hub" / "checkpoints").glob("resnet18-*.pth")
    return "imagenet" if any(downloaded) else "none"


def embed_arguments(workspace: Workspace, weights: str, size_px: int = 320) -> list[str]:
    """Returns the arguments of `embed` for the images of this workspace."""
    return [str(workspace.images_root), "--weights", weights, "--size", str(size_px)]


def estimate_embed_s(workspace: Workspace, images: int, size_px: int = 320) -> float:
    """Returns about how many seconds `embed` will take: from the last run on this machine, else from a usual rate."""
    measured = [
        info.images / info.seconds * (int(info.settings.get("size_px", 320)) / size_px) ** 2
        for info in workspace.runs()
        if info.method == "frozen" and info.state == "done" and info.seconds and info.images and info.sized
    ]
    rate = measured[0] if measured else RATE_AT_320_PX * (320 / size_px) ** 2
    return (0.0 if measured else START_S) + images / rate


def estimate_train_s(workspace: Workspace, images: int, size_px: int, epochs: int) -> float:
    """Returns about how many seconds a training will take: from one of that size, else a multiple of embedding."""
    measured = [
        info.seconds / (info.images * info.epochs_done)
        for info in workspace.runs()
        if info.method != "frozen" and info.epochs_done and info.seconds and info.settings.get("size_px") == size_px
    ]
    if measured:
        return measured[0] * images * epochs
    return START_S + images * epochs * TRAIN_COST * (size_px / 320) ** 2 / RATE_AT_320_PX
