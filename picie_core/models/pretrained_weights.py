"""Backbone weights: downloaded once, random, or from a file; no file runs code."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from picie_core.errors import PicieError, reason_of
from picie_core.models.backbones import Backbone, ConvBackbone
from picie_core.models.vision_transformer import DinoBackbone, VitBackbone, import_timm, resized_positions
from picie_core.settings import EmbedderSettings

WRAPPERS = ("state_dict", "model", "teacher")
"""Names under which published checkpoints keep the tensors of the network."""
PARTS = ("module.", "teacher.", "backbone.")
"""What they put before the names of these tensors, the outermost first; what lies beside such a part is left."""
_NUMBER = np.float64(0).__reduce__()[0]
PLAIN_OBJECTS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    np.dtypes.Float64DType,
    _NUMBER,
    (_NUMBER, "numpy.core.multiarray.scalar"),  # as numpy 1 called it
]
"""What DINO's training checkpoints hold beside tensors (`args`, learning rates): records and numbers, no code."""


def load_backbone_weights(backbone: Backbone, settings: EmbedderSettings) -> None:
    """Fills `backbone` as `settings.weights` says: imagenet (the published ones), none (stays random) or a file.

    Raises PicieError when a download or a file fails or does not fit the backbone.
    """
    if settings.weights == "none":
        return
    state, source = _wanted_state(backbone, settings.backbone, settings.weights)
    if isinstance(backbone, VitBackbone):
        state = _timm_names(backbone, state, source, settings.backbone)
    _fill(backbone, state, settings.backbone, source)


def load_torchvision_weights(module: nn.Module, name: str, weights: str, prefix: str = "") -> None:
    """Fills `module`, the torchvision network `name` without its classifier, as `load_backbone_weights` does.

    prefix: what torchvision puts before the names of these tensors. Raises PicieError likewise.
    """
    if weights == "none":
        return
    state, source = _wanted_state(None, name, weights)
    state = {key.removeprefix(prefix): value for key, value in state.items()}
    own = module.state_dict()
    wrong = [key for key, value in own.items() if key not in state or state[key].shape != value.shape]
    if wrong:
        raise PicieError(
            f"{source} has no {prefix + wrong[0]!r} of the shape {tuple(own[wrong[0]].shape)} ({len(wrong)} tensors do "
            f"not fit): give the state dict of a torchvision {name}"
        )
    module.load_state_dict({key: state[key] for key in own})


def _wanted_state(backbone: Backbone | None, name: str, weights: str) -> tuple[dict[str, Tensor], str]:
    """The tensors that `weights` names, and what an error calls their source."""
    if weights == "imagenet":
        return _published_state(backbone, name), "the download"
    return _file_state(Path(weights)), weights


def _published_state(backbone: Backbone | None, name: str) -> dict[str, Tensor]:
    """The published tensors of a backbone, or where it is None of torchvision's network `name`."""
    convolutional = not isinstance(backbone, VitBackbone)
    try:
        if not isinstance(backbone, VitBackbone):
            weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
            return weights.get_state_dict(progress=False, check_hash=True)
        return import_timm(name).create_model(backbone.name, pretrained=True).state_dict()
    except Exception as error:  # each library and version has its own for no network
        raise PicieError(
            f"the published weights of {name} cannot be downloaded ({reason_of(error)}): give --weights PATH of a "
            f"saved state dict{', or --weights none for random weights' * convolutional}"
        ) from error


def _file_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise PicieError(f"weights={path} is no file: give a state dict (.pth, .safetensors), imagenet or none")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(PLAIN_OBJECTS):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise PicieError(
            f"{path} cannot be read as a state dict ({reason_of(error)}): save one with "
            "`torch.save(model.state_dict(), PATH)` or as safetensors"
        ) from error
    for wrapper in WRAPPERS:
        state = state.get(wrapper, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PicieError(f"{path} holds no state dict: save one with `torch.save(model.state_dict(), PATH)`")
    for part in PARTS:
        inside = {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
        state = inside or state
    return state


def _timm_names(backbone: VitBackbone, state: dict[str, Tensor], source: str, name: str) -> dict[str, Tensor]:
    """Returns the tensors as timm names and shapes them, from its own files or from those of the publications."""
    patches = state.get("patch_embed.proj.weight")
    if patches is not None and patches.ndim == 4 and patches.shape[-1] != backbone.patch:
        raise PicieError(  # timm would resize them without a word
            f"{source} has patches of {patches.shape[-1]} px, the backbone {name} wants {backbone.patch} px; "
            "give --backbone and --weights that belong together"
        )
    # DINOv2 trains its blocks in chunks: blocks.1.7.norm1 is in chunk 1 and, counted through all chunks, block 7.
    state = {re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", key): value for key, value in state.items()}
    convert = import_module(type(backbone.vit).__module__).checkpoint_filter_fn
    try:
        if isinstance(backbone, DinoBackbone) and "pos_embed" in state:  # of a training at another size, say
            state["pos_embed"] = resized_positions(state["pos_embed"], *backbone.vit.patch_embed.grid_size)
        state = convert(state, backbone.vit)
    except Exception as error:
        raise PicieError(
            f"{source} does not fit the backbone {name} ({reason_of(error)}); give the state dict of timm's "
            f"{backbone.name} or of its publication"
        ) from error
    for part in ("weight", "bias"):  # networks that average before their last norm call it so
        if f"fc_norm.{part}" in state:
            state.setdefault(f"norm.{part}", state[f"fc_norm.{part}"])
    return state


def _fill(backbone: Backbone, state: dict[str, Tensor], name: str, source: str) -> None:
    """Copies published tensors into the stages in use, without classifier and unused stages."""
    own = backbone.published_tensors()
    missing = [one for one in own if one not in state and not one.endswith("num_batches_tracked")]
    if missing:
        library, called = ("torchvision", name) if isinstance(backbone, ConvBackbone) else ("timm", backbone.name)
        raise PicieError(
            f"{source} has no {missing[0]!r} ({len(missing)} tensors are missing): it does not fit the backbone "
            f"{name}; give the state dict of a {library} {called}"
        )
    extra = [one for one in state if backbone.takes(one) and one not in own]
    if extra:  # resnet18's tensors are all in a resnet34, but half a resnet34 is no network
        raise PicieError(
            f"{source} has {extra[0]!r} ({len(extra)} tensors too many): it does not fit the backbone {name}; "
            "give --backbone and --weights that belong together"
        )
    for one, target in own.items():
        value = state.get(one, target)
        if value.shape != target.shape:
            raise PicieError(
                f"{source}: {one!r} has shape {tuple(value.shape)}, the backbone {name} wants "
                f"{tuple(target.shape)}; give --backbone and --weights that belong together"
            )
        target.copy_(value)
