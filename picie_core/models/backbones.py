"""Backbones: published networks as stages of maps, each with its stride in pixels and its channels.

[1] He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
[2] Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from picie_core.errors import SettingError
from picie_core.models.vision_transformer import VitBackbone, make_vit
from picie_core.published_backbones import CONV_BACKBONES
from picie_core.settings import EmbedderSettings

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOBILENET_CUTS = (2, 4, 7, 14, 18)
"""Where the stages of MobileNetV2 start, at blocks that halve the map; its last layer is the classifier's."""


class StageMaps(list[Tensor]):
    """The maps of the stages in use, [(B, C_s, h_s, w_s)], and the size (h, w) of the stride-4 map."""

    def __init__(self, maps: Iterable[Tensor], size: tuple[int, int]):
        super().__init__(maps)
        self.size = size


class BorderConv2d(nn.Conv2d):
    """A convolution that sees the border repeated or mirrored, and keeps no padded copy of its input to learn from.

    The gradient of the weights needs the padded input: it is padded once more then, which saves a fifth of the memory
    of a training at 480 px.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if _autocasts(input):
            input = input.to(torch.get_autocast_dtype(input.device.type))  # else the padded copy is cast, and kept
        padded = self._padded(input)
        where = padded.data_ptr()

        def keep(saved: Tensor) -> Tensor | None:
            return None if saved.data_ptr() == where else saved

        def give(kept: Tensor | None) -> Tensor:
            return self._padded(input.detach()) if kept is None else kept

        with saved_tensors_hooks(keep, give):
            return F.conv2d(padded, weight, bias, self.stride, 0, self.dilation, self.groups)

    def _padded(self, input: Tensor) -> Tensor:
        # On a CPU autocast would pad in float32, and keep that.
        with torch.autocast(input.device.type, enabled=False) if _autocasts(input) else nullcontext():
            return F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)


def _autocasts(tensor: Tensor) -> bool:
    """Whether autocast is on for the device of a tensor; `meta` has none."""
    device = tensor.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


class ConvBackbone(nn.Module):
    """A torchvision network [1, 2]: images (B, 3, H, W) to maps [(B, C_s, H / stride_s, W / stride_s)], rounded up."""

    mean, std = IMAGENET_MEAN, IMAGENET_STD

    def __init__(self, name: str, stages: int, padding: str = "zeros"):
        super().__init__()
        net = torchvision.models.get_model(name, weights=None)
        stem, layers, self.published = _mobilenet_parts(net) if "mobilenet" in name else _resnet_parts(net)
        self.stem = nn.Sequential(*stem)
        self.layers = nn.ModuleList(layers[:stages])
        mode: Any = padding  # torch types it as one of its four words
        for module in self.modules():  # max pooling ignores what is outside, so it is right for all of them
            if isinstance(module, nn.Conv2d) and module.padding != (0, 0) and mode != "zeros":
                module.padding_mode, module.__class__ = mode, BorderConv2d
        self.least_px = 1
        with torch.no_grad():
            maps = self.eval()(torch.zeros(1, 3, 64, 64))
        self.train()
        self.channels: list[int] = [one.shape[1] for one in maps]
        self.strides: list[int] = [64 // one.shape[2] for one in maps]
        if padding == "reflect":  # with less a map has a single row, which nothing reflects
            self.least_px = self.strides[-1] + 1

    def forward(self, x: Tensor) -> list[Tensor]:
        """Returns the maps of the stages. Raises SettingError for an image that is too small to be reflected."""
        if min(x.shape[2:]) < self.least_px:
            raise SettingError(
                f"padding=reflect with stages={len(self.layers)} needs at least {self.least_px} px a side, got "
                f"{x.shape[3]} x {x.shape[2]} px at the network's input: raise --size, or give --padding replicate"
            )
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return maps

    def stage_parameters(self) -> list[list[nn.Parameter]]:
        """Returns the parameters of each stage, the stem's with those of the first."""
        stages = [list(layer.parameters()) for layer in self.layers]
        return [[*self.stem.parameters(), *stages[0]], *stages[1:]]

    def published_tensors(self) -> dict[str, Tensor]:
        """Returns the tensors in use under the names that torchvision gives them: `stem.0.weight` is `conv1.weight`."""
        tensors = {}
        for name, value in self.state_dict().items():
            own = next(own for own in self.published if name.startswith(f"{own}."))
            tensors[self.published[own] + name.removeprefix(own)] = value
        return tensors

    def takes(self, name: str) -> bool:
        """Whether a published tensor belongs to the stages in use, so that one too many is another network's."""
        parts = [published for own, published in self.published.items() if int(own.split(".")[1]) < len(self.layers)]
        return name.startswith(tuple(f"{part}." for part in parts))


def _resnet_parts(net: Any) -> tuple[list[nn.Module], list[nn.Module], dict[str, str]]:
    """Returns stem, stages, and the name at torchvision of each part that has tensors."""
    layers = [net.layer1, net.layer2, net.layer3, net.layer4]
    names = {f"layers.{i}": f"layer{i + 1}" for i in range(len(layers))}
    return [net.conv1, net.bn1, net.relu, net.maxpool], layers, {"stem.0": "conv1", "stem.1": "bn1", **names}


def _mobilenet_parts(net: Any) -> tuple[list[nn.Module], list[nn.Module], dict[str, str]]:
    """Returns stem, stages, and the name at torchvision of each part that has tensors."""
    first, names = MOBILENET_CUTS[0], {}
    for stage, (start, end) in enumerate(pairwise(MOBILENET_CUTS)):
        names.update({f"layers.{stage}.{i - start}": f"features.{i}" for i in range(start, end)})
    layers: list[nn.Module] = [nn.Sequential(*net.features[start:end]) for start, end in pairwise(MOBILENET_CUTS)]
    return list(net.features[:first]), layers, {**{f"stem.{i}": f"features.{i}" for i in range(first)}, **names}


Backbone = ConvBackbone | VitBackbone


def make_backbone(settings: EmbedderSettings) -> Backbone:
    """Returns the backbone that the settings name, with random weights.

    Raises SettingError for a network that timm does not know, PicieError where timm is not installed.
    """
    if settings.backbone in CONV_BACKBONES:
        return ConvBackbone(settings.backbone, settings.stages, settings.padding)
    return make_vit(settings.backbone, settings.stages)
