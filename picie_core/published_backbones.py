"""Published backbones: what each is for, how large its download and how slow it is, for help, app and documents.

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021, table 1.
[2] Hahn, Araslanov, Schaub-Meyer, Roth, "Boosting Unsupervised Semantic Segmentation with Principal Mask Proposals",
    TMLR 2024, the baselines in the README of its repository.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedBackbone:
    """A network that `--backbone` takes by a short name, and what a person needs to choose it."""

    name: str
    meaning: str
    """What it is good for, in a few words."""
    network: str
    download_mb: int
    """Its published weights, in MB of 2^20 bytes."""
    cpu_time: float
    """How many times as long as ResNet-18 it takes for an image of 320 px on one core of a CPU, in float32.

    Measured by `benchmarks/backbone_speed.py`, with three stages as they are the default.
    """
    source: str
    timm: str = ""
    """What timm calls a transformer, published weights included; empty for torchvision's networks."""
    quality: str = ""
    """Published figures [1, 2]."""

    @property
    def offer(self) -> str:
        """Says in one line what it is: `knows objects: DINOv2 small, 84 MB, 5 times slower on a CPU`."""
        words = f"{self.meaning}: {self.network}, {self.download_mb} MB"
        if 0.75 < self.cpu_time < 1.5:
            return words
        if self.cpu_time < 1:
            return f"{words}, {1 / self.cpu_time:.1f} times faster on a CPU"
        return f"{words}, {self.cpu_time:.0f} times slower on a CPU"


TRAINED_27 = "trained by PiCIE: accuracy 48.1 %, mIoU 13.8 % on COCO-Stuff-27 (its paper)"
FROZEN_27 = "frozen, clustered by k-means: accuracy {} %, mIoU {} % on COCO-Stuff-27 (PriMaPs, TMLR 2024)"
TORCHVISION = "torchvision, IMAGENET1K_V1"

PUBLISHED_BACKBONES = (
    PublishedBackbone("resnet18", "fast", "ResNet-18", 45, 1.0, TORCHVISION, quality=TRAINED_27),
    PublishedBackbone("resnet34", "deeper", "ResNet-34", 83, 1.8, TORCHVISION),
    PublishedBackbone("resnet50", "more channels", "ResNet-50", 98, 3.6, TORCHVISION),
    PublishedBackbone("mobilenet_v2", "lightest", "MobileNetV2", 14, 0.6, TORCHVISION),
    PublishedBackbone(
        "dinov2_s14",
        "knows objects",
        "DINOv2 small",
        84,
        8.1,
        "DINOv2 (Oquab et al., TMLR 2024), as timm stores it",
        "vit_small_patch14_dinov2.lvd142m",
        FROZEN_27.format(44.5, 22.9),
    ),
    PublishedBackbone(
        "dinov2_s14_reg",
        "knows objects, maps without outliers",
        "DINOv2 small with registers",
        84,
        8.5,
        "DINOv2 with registers (Darcet et al., ICLR 2024), as timm stores it",
        "vit_small_patch14_reg4_dinov2.lvd142m",
    ),
    PublishedBackbone(
        "dino_s16",
        "knows objects, in patches of 16 px",
        "DINO small",
        83,
        5.9,
        "DINO (Caron et al., ICCV 2021), as timm stores it",
        "vit_small_patch16_224.dino",
    ),
    PublishedBackbone(
        "dino_s8",
        "knows objects, in fine patches of 8 px",
        "DINO small",
        83,
        37.0,
        "DINO (Caron et al., ICCV 2021), as timm stores it",
        "vit_small_patch8_224.dino",
        FROZEN_27.format(34.2, 9.5),
    ),
    PublishedBackbone(
        "dinov3_s16",
        "knows objects, at any size",
        "DINOv3 small",
        82,
        6.4,
        "DINOv3 (Siméoni et al., 2025), as timm stores it",
        "vit_small_patch16_dinov3.lvd1689m",
    ),
)
CONV_BACKBONES = tuple(one.name for one in PUBLISHED_BACKBONES if not one.timm)
"""The convolutional networks, under their torchvision names."""
VIT_BACKBONES = {one.name: one.timm for one in PUBLISHED_BACKBONES if one.timm}
"""Short names of vision transformers and what timm calls them."""
TIMM_PREFIX = "timm:"


class BackboneNames(tuple[str, ...]):
    """The backbones that a list offers; `timm:NAME`, any vision transformer of timm, is one as well."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or re.fullmatch(rf"{TIMM_PREFIX}\w[\w.]*", str(name)) is not None


BACKBONES = BackboneNames(one.name for one in PUBLISHED_BACKBONES)


def published(name: str) -> PublishedBackbone | None:
    """Returns what is known of a backbone; None of `timm:NAME`."""
    return next((one for one in PUBLISHED_BACKBONES if one.name == name), None)
