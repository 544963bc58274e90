"""Which weights of a backbone are on this machine, what `--weights` should be, and what a page says of it."""

from __future__ import annotations

import os
from pathlib import Path

from picie_core.published_backbones import VIT_BACKBONES, published
from picie_core.settings import EmbedderSettings

USUAL = EmbedderSettings().backbone


def default_weights(backbone: str = USUAL) -> str:
    """Returns what `--weights` should be, of the usual backbone also without a network.

    For that one it is the file in PICIE_WEIGHTS, else the published weights if they were downloaded, else none.
    """
    if backbone != USUAL:
        return "imagenet"
    named = os.environ.get("PICIE_WEIGHTS")
    if named and Path(named).expanduser().is_file():
        return str(Path(named).expanduser())
    return "imagenet" if is_downloaded(backbone) else "none"


def is_downloaded(backbone: str) -> bool:
    """Whether the published weights of a backbone lie where torchvision or timm put their downloads."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    if backbone in VIT_BACKBONES:
        hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or cache / "huggingface") / "hub"
        stored = Path(hub).expanduser() / f"models--timm--{VIT_BACKBONES[backbone]}" / "snapshots"
        return any(path.exists() for path in stored.glob("*/model.safetensors"))  # links into a store of blobs
    home = Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser()
    return any((home / "hub" / "checkpoints").glob(f"{backbone}-*.pth"))


def weights_words(backbone: str, weights: str) -> str:
    """Returns a sentence on where these weights come from, and whether that needs a network."""
    if weights == "none":
        return "It starts with random weights: fine for textures, weaker on objects."
    if weights != "imagenet":
        there = Path(weights).expanduser().is_file()
        return f"Its weights are those in {Path(weights).name}." if there else f"There is no file {weights}."
    if is_downloaded(backbone):
        return "Its weights are on this machine."
    known = published(backbone)
    size = f", {known.download_mb} MB" if known else ""
    return f"Its weights are downloaded once{size}; without a network give the path of their file under Weights."
