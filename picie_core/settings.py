"""Settings: small frozen dataclasses whose fields say default, meaning and range; the command line reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any

from picie_core.errors import SettingError


def setting(
    default: Any,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[Any] | None = None,
) -> Any:
    """Returns a dataclass field with its meaning and range; `check_settings` enforces the range."""
    return field(default=default, metadata={"help": meaning, "low": low, "high": high, "choices": choices})


def check_settings(settings: Any) -> None:
    """Raises SettingError for the first field that is outside its range; called from `__post_init__`."""
    for one in fields(settings):
        problem = _problem(one, getattr(settings, one.name))
        if problem:
            raise SettingError(problem)


def _problem(one: Field, value: Any) -> str | None:
    low, high, choices = (one.metadata.get(key) for key in ("low", "high", "choices"))
    option = one.name.removesuffix("_px").replace("_", "-")
    if choices is not None and value not in choices:
        return f"{option}={value!r} is unknown: choose one of {', '.join(map(str, choices))}"
    if low is not None and not value >= low:
        return f"{option}={value} is too small: give at least {low:g}"
    if high is not None and value > high:
        return f"{option}={value} is too large: give at most {high:g}"
    return None


CONV_BACKBONES = ("resnet18", "resnet34", "resnet50", "mobilenet_v2")
"""The convolutional networks, under their torchvision names."""
VIT_BACKBONES = {
    "dinov2_s14": "vit_small_patch14_dinov2.lvd142m",
    "dinov2_s14_reg": "vit_small_patch14_reg4_dinov2.lvd142m",
    "dino_s16": "vit_small_patch16_224.dino",
    "dino_s8": "vit_small_patch8_224.dino",
    "dinov3_s16": "vit_small_patch16_dinov3.lvd1689m",
}
"""Short names of vision transformers and what timm calls them, published weights included."""
TIMM_PREFIX = "timm:"


class BackboneNames(tuple[str, ...]):
    """The backbones that a list offers; `timm:NAME`, any vision transformer of timm, is one as well."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or re.fullmatch(rf"{TIMM_PREFIX}\w[\w.]*", str(name)) is not None


BACKBONES = BackboneNames((*CONV_BACKBONES, *VIT_BACKBONES))


@dataclass(frozen=True)
class EmbedderSettings:
    """What the network is made of; the paper's is 4 stages, stage-norm none, pool 1 and a random decoder."""

    backbone: str = setting(
        "resnet18",
        "backbone; resnet18 is the paper's, mobilenet_v2 the lightest; dino... and timm:NAME (any vision transformer "
        "that timm knows) are slower and mean more; they need timm",
        choices=BACKBONES,
    )
    weights: str = setting(
        "imagenet",
        "imagenet (the published weights of the backbone, downloaded once), none (random: fine for textures, weaker on "
        "objects, not for transformers) or the PATH of a state dict",
    )
    stages: int = setting(
        3,
        "backbone stages in use, of a transformer its last blocks; the paper uses 4, 3 is faster and clusters better "
        "frozen",
        low=1,
        high=4,
    )
    dim: int = setting(128, "embedding width D", low=2, high=1024)
    pool: int = setting(
        3, "cells to average features over; 1 is none, as in the paper; 3 to 5 cluster better", low=1, high=31
    )
    context: int = setting(
        32, "cells of a second, wide average of each stage that the decoder sees too; 0 is none, as in the paper", low=0
    )
    decoder: str = setting(
        "pca", "start of the linear decoder: pca of the stages, or random as in the paper", choices=("pca", "random")
    )
    stage_norm: str = setting(
        "unit", "unit: each stage at unit length, so that stages compare; none is the paper's", choices=("unit", "none")
    )
    padding: str = setting(
        "zeros",
        "what convolutions see beyond the border: zeros, as published, or replicate: then picture borders get no "
        "clusters of their own",
        choices=("zeros", "replicate"),
    )
    scales: str = setting(
        "1",
        "scales of an image whose embeddings are averaged when it is embedded, not in training; 1,2 sees finer things "
        "for 5 times the work",
    )

    @property
    def scale_factors(self) -> tuple[float, ...]:
        """The scales as numbers."""
        return tuple(float(one) for one in self.scales.split(","))

    def __post_init__(self) -> None:
        check_settings(self)
        if re.fullmatch(r"\d+(\.\d+)?(,\d+(\.\d+)?)*", self.scales) is None or not all(
            0.25 <= one <= 4 for one in self.scale_factors
        ):
            raise SettingError(f"scales={self.scales!r} must be numbers from 0.25 to 4 with commas, such as 1,2")
        if self.weights == "none" and self.backbone not in CONV_BACKBONES:
            raise SettingError(
                f"weights=none does not go with backbone={self.backbone}: a transformer with random weights tells "
                "nothing apart; give --weights PATH or imagenet, or --backbone resnet18"
            )


@dataclass(frozen=True)
class SampleSettings:
    """How much of the images the embedding sample and the dense cells hold."""

    size_px: int = setting(
        320, "shorter side of the images in the network; larger sees smaller things", low=32, high=4096
    )
    pixels: int = setting(200_000, "pixels in the embedding sample", low=100, high=10_000_000)
    batch: int = setting(16, "images a step; halve it when memory is short", low=1, high=1024)
    dense_mb: int = setting(
        10_240,
        "disk for the dense cells of a run, MB; the images beyond it are embedded again when they are looked at",
        low=0,
    )
    seed: int = setting(0, "seed of every random draw", low=0)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class TrainSettings:
    """The objective and its optimiser; `size_px`, `batch`, `seed` and the sample are in SampleSettings."""

    k: int = setting(27, "clusters that the training agrees with", low=2, high=1000)
    overcluster: int = setting(
        0, "clusters of a second, finer clustering with a loss of its own; 100 is the paper's +H, 0 is none", low=0
    )
    epochs: int = setting(10, "passes over the images", low=1, high=1000)
    lr_decoder: float = setting(3e-4, "learning rate of the decoder (Adam)", low=0)
    lr_backbone: float = setting(3e-5, "learning rate of the backbone; 0 freezes it", low=0)
    lr_head: float = setting(1e-2, "learning rate of the classifier of mdc, iic, supervised and probe", low=0)
    schedule: str = setting(
        "cosine", "cosine warms up and falls to zero, constant is the paper's", choices=("cosine", "constant")
    )
    temperature: float = setting(
        0.1, "divides the cosine in the loss; 1 is the paper's and flattens out early", low=1e-3
    )
    balance: float = setting(
        -0.5, "class weights are frequency to this power; 0 is none, 1 is the authors' code", low=-1, high=1
    )
    labels: str = setting(
        "step",
        "who labels the pixels: the network of this step, of the epoch's start (the paper's) or an averaged teacher",
        choices=("step", "epoch", "teacher"),
    )
    momentum: float = setting(0.99, "share of itself that the averaged teacher keeps each step", low=0, high=0.9999)
    hold_shares: float = setting(
        1.0, "how firmly labels keep to their clusters' shares within an epoch; 0 lets clusters swallow others", low=0
    )
    centroids: str = setting(
        "kept", "kept starts an epoch's clustering from the one before, anew is the paper's", choices=("kept", "anew")
    )
    clustered: str = setting(
        "steps",
        "what an epoch clusters: cells of the last steps of the epoch before, or of a pass of its own (the paper's)",
        choices=("steps", "pass"),
    )
    batch_norm: str = setting(
        "frozen", "frozen keeps the backbone's statistics, train is the paper's", choices=("frozen", "train")
    )
    frozen_stages: int = setting(0, "early backbone stages that do not train, the stem with the first", low=0, high=4)
    cluster_images: int = setting(64, "images that each epoch's clustering sees", low=1)
    displacement: int = setting(1, "cells by which iic moves one view against the other at most", low=0, high=10)
    settle: float = setting(
        0.0, "stop when a smaller share of the labels changes in an epoch; 0 runs all epochs", low=0, high=1
    )
    keep_epochs: int = setting(
        0, "store the network after every so many epochs, as epochs/N of the run; 0 keeps the last alone", low=0
    )
    precision: str = setting(
        "auto", "auto, 32-true or bf16-mixed (Lightning Fabric)", choices=("auto", "32-true", "bf16-mixed")
    )
    processes: int = setting(
        1, "processes on this machine, one a GPU; also with --resume, which keeps all other settings", low=1
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if 0 < self.overcluster <= self.k:
            raise SettingError(f"overcluster={self.overcluster} is not finer than k={self.k}: give more, or 0 for none")
