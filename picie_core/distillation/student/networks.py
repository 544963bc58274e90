"""The students: small segmentation networks on pretrained backbones, images in, class scores out.

[1] Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017.
[2] Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation" (DeepLabV3), 2017.
[3] Howard et al., "Searching for MobileNetV3" (LRASPP), ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from picie_core.distillation.settings import StudentSettings
from picie_core.models.backbones import IMAGENET_MEAN, IMAGENET_STD, ConvBackbone
from picie_core.models.pretrained_weights import load_backbone_weights, load_torchvision_weights
from picie_core.settings import EmbedderSettings

FPN_WIDTH = 128
DILATIONS = (2, 4, 8)
"""Of the context at the coarsest map, stride 32: a pixel sees 8 * 32 px to each side, and the mean of the image."""


class Student(nn.Module):
    """A segmentation network: normalised images (B, 3, H, W) to class scores (B, C, H, W), before the softmax."""

    mean, std = IMAGENET_MEAN, IMAGENET_STD

    def __init__(self, backbone: nn.Module, head: nn.Module):
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Tensor:
        scores = self.head(self.backbone(images))  # (B, C, h, w)
        return F.interpolate(scores, images.shape[2:], mode="bilinear", align_corners=False)


class ContextPyramid(nn.Module):
    """A feature pyramid [1] whose coarsest map sees wide context [2]: stage maps to scores (B, C, H / 4, W / 4).

    All 3x3 convolutions are depthwise separable, so that the pyramid costs less than the backbone.
    """

    def __init__(self, channels: Sequence[int], classes: int, width: int = FPN_WIDTH):
        super().__init__()
        self.laterals = nn.ModuleList(_conv(one, width) for one in channels)
        self.context = nn.ModuleList(_separable(width, width, dilation) for dilation in DILATIONS)
        self.image = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1), nn.ReLU())
        self.fuse = _conv((2 + len(DILATIONS)) * width, width)
        self.smooth = nn.ModuleList(_separable(width, width) for _ in channels[:-1])
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        *finer, coarsest = [lateral(one) for lateral, one in zip(self.laterals, maps, strict=True)]
        image = self.image(coarsest).expand(-1, -1, *coarsest.shape[2:])
        x = self.fuse(torch.cat([coarsest, image, *(branch(coarsest) for branch in self.context)], 1))
        for lateral, smooth in zip(reversed(finer), reversed(self.smooth), strict=True):
            x = smooth(lateral + F.interpolate(x, lateral.shape[2:], mode="bilinear", align_corners=False))
        return self.classify(x)  # (B, C, H / 4, W / 4)


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _separable(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=dilation, dilation=dilation, groups=inputs, bias=False)
    return nn.Sequential(depthwise, nn.BatchNorm2d(inputs), *_conv(inputs, outputs))


class LastMap(nn.Module):
    """A DeepLabV3 head [2] on the last of several stage maps."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.deeplab = torchvision.models.segmentation.deeplabv3.DeepLabHead(channels, classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.deeplab(maps[-1])


class NamedMaps(nn.Module):
    """The head of a torchvision network on the named maps of its backbone."""

    def __init__(self, head: nn.Module, takes_all: bool):
        super().__init__()
        self.head, self.takes_all = head, takes_all

    def forward(self, maps: dict[str, Tensor]) -> Tensor:
        return self.head(maps if self.takes_all else maps["out"])


def make_student(settings: StudentSettings, classes: int, *, weights: str | None = None) -> Student:
    """Returns the network that the settings name for `classes` classes; its head is random.

    weights: instead of those of the settings, such as `none` where all weights are read from a file afterwards.
    Raises PicieError when a download or a file fails or does not fit the backbone.
    """
    kind, _, name = settings.network.partition("_")
    weights = weights or settings.weights
    if name == "resnet18":
        return _on_resnet18(kind, classes, weights)
    make: Any = getattr(torchvision.models.segmentation, settings.network)
    net = make(weights=None, weights_backbone=None, num_classes=classes)
    load_torchvision_weights(net.backbone, name, weights, prefix="features." if "mobilenet" in name else "")
    return Student(net.backbone, NamedMaps(net.classifier, takes_all=kind == "lraspp"))


def _on_resnet18(kind: str, classes: int, weights: str) -> Student:
    """The networks on the project's own ResNet-18; torchvision's cannot dilate."""
    backbone = ConvBackbone("resnet18", stages=4)
    load_backbone_weights(backbone, EmbedderSettings(backbone="resnet18", weights=weights, stages=4))
    if kind == "fpn":
        return Student(backbone, ContextPyramid(backbone.channels, classes))
    for module in backbone.layers[-1].modules():
        if isinstance(module, nn.Conv2d):  # stride 16 instead of 32, seeing as far
            module.stride = (1, 1)
            if module.kernel_size == (3, 3):
                module.dilation = module.padding = (2, 2)
    return Student(backbone, LastMap(backbone.channels[-1], classes))
