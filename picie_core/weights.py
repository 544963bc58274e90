"""Backbone weights: downloaded once, random, or from a file; never through pickle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor

from picie_core.errors import PicieError

if TYPE_CHECKING:
    from picie_core.embedder import Embedder
    from picie_core.settings import EmbedderSettings


def load_backbone_weights(embedder: Embedder, settings: EmbedderSettings) -> None:
    """Fills the backbone of `embedder` as `settings.weights` says: imagenet, none (stays random) or a file.

    Raises PicieError when a download or a file fails or does not fit the backbone.
    """
    if settings.weights == "none":
        return
    if settings.weights == "imagenet":
        state, source = _imagenet_state(settings.backbone), "ImageNet"
    else:
        state, source = _file_state(Path(settings.weights)), settings.weights
    _fill(embedder, state, settings.backbone, source)


def _imagenet_state(backbone: str) -> dict[str, Tensor]:
    weights = torchvision.models.get_model_weights(backbone).IMAGENET1K_V1
    try:
        return weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise PicieError(
            f"the ImageNet weights of {backbone} cannot be downloaded ({error}): give --weights PATH of a saved state "
            "dict, or --weights none for random weights"
        ) from error


def _file_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise PicieError(f"weights={path} is no file: give a state dict (.pth, .safetensors), imagenet or none")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise PicieError(
            f"{path} cannot be read as a state dict ({str(error).splitlines()[0]}): save one with "
            "`torch.save(model.state_dict(), PATH)` or as safetensors"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PicieError(f"{path} holds no state dict: save one with `torch.save(model.state_dict(), PATH)`")
    return state


def _fill(embedder: Embedder, state: dict[str, Tensor], backbone: str, source: str) -> None:
    """Copies torchvision's tensors (conv1, layer1, ...) into stem and layers, without classifier and unused stages."""
    state = {name.removeprefix("module."): value for name, value in state.items()}
    own = {_torchvision_name(name): value for name, value in embedder.state_dict().items() if "decoder" not in name}
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise PicieError(
            f"{source} has no {missing[0]!r} ({len(missing)} tensors are missing): it does not fit the backbone "
            f"{backbone}; give the state dict of a torchvision {backbone}"
        )
    stages = {name.split(".", 1)[0] for name in own}
    extra = [name for name in state if name.split(".", 1)[0] in stages and name not in own]
    if extra:  # resnet18's tensors are all in a resnet34, but half a resnet34 is no network
        raise PicieError(
            f"{source} has {extra[0]!r} ({len(extra)} tensors too many): it does not fit the backbone {backbone}; "
            "give --backbone and --weights that belong together"
        )
    for name, target in own.items():
        value = state.get(name, target)
        if value.shape != target.shape:
            raise PicieError(
                f"{source}: {name!r} has shape {tuple(value.shape)}, the backbone {backbone} wants "
                f"{tuple(target.shape)}; give --backbone and --weights that belong together"
            )
        target.copy_(value)


def _torchvision_name(name: str) -> str:
    """`stem.0.weight` -> `conv1.weight`, `layers.2.0.bn1.bias` -> `layer3.0.bn1.bias`."""
    first, rest = name.split(".", 1)
    if first == "stem":
        index, rest = rest.split(".", 1)
        return f"{('conv1', 'bn1')[int(index)]}.{rest}"
    index, rest = rest.split(".", 1)
    return f"layer{int(index) + 1}.{rest}"
