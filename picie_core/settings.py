"""Settings: small frozen dataclasses whose fields say default, meaning and range; the command line reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any

from picie_core.errors import SettingError
from picie_core.published_backbones import BACKBONES, CONV_BACKBONES, PUBLISHED_BACKBONES


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


def option_name(name: str) -> str:
    """Returns how the command line spells a setting after its two dashes: without a unit, words joined by dashes."""
    return name.removesuffix("_px").replace("_", "-")


def check_settings(settings: Any) -> None:
    """Raises SettingError for the first field that is outside its range; called from `__post_init__`."""
    for one in fields(settings):
        problem = _problem(one, getattr(settings, one.name))
        if problem:
            raise SettingError(problem)


def _problem(one: Field, value: Any) -> str | None:
    low, high, choices = (one.metadata.get(key) for key in ("low", "high", "choices"))
    option = option_name(one.name)
    if choices is not None and value not in choices:
        return f"{option}={value!r} is unknown: choose one of {', '.join(map(str, choices))}"
    if low is not None and not value >= low:
        return f"{option}={value} is too small: give at least {low:g}"
    if high is not None and value > high:
        return f"{option}={value} is too large: give at most {high:g}"
    return None


TOTAL_STRIDE = 32
"""Pixels per position of the coarsest stage: tiles begin at multiples of it, so their grids coincide."""
MASK_METHODS = ("supervised", "probe")
"""The training methods that learn from masks: K is the number of their classes."""
METHODS = ("picie", "mdc", "iic", *MASK_METHODS)


@dataclass(frozen=True)
class EmbedderSettings:
    """What the network is made of; the paper's is the recipe of that name."""

    backbone: str = setting(
        "resnet18",
        f"backbone: {', '.join(f'{one.name} ({one.offer})' for one in PUBLISHED_BACKBONES)} or timm:NAME, any vision "
        "transformer of timm; dino... and timm:NAME need timm. The paper's is resnet18",
        choices=BACKBONES,
    )
    weights: str = setting(
        "imagenet",
        "imagenet (the published weights of the backbone, downloaded once), none (random: fine for textures, weaker on "
        "objects, not for transformers) or the PATH of a state dict",
    )
    stages: int = setting(
        3,
        "backbone stages in use, of a transformer its last blocks; the paper uses 4, but 3 are faster and cluster "
        "better frozen",
        low=1,
        high=4,
    )
    dim: int = setting(128, "embedding width D", low=2, high=1024)
    pool: int = setting(
        3,
        "side of the average pooling of features, in stride-4 positions; 1 is none, the paper's; 3 to 5 cluster better",
        low=1,
        high=31,
    )
    context: int = setting(
        32,
        "side of a second, wide average pooling of each stage, an additional input of the decoder, in stride-4 "
        "positions; 0 is none, as in the paper",
        low=0,
    )
    decoder: str = setting(
        "pca", "initial linear decoder: pca of the stage features, or random as in the paper", choices=("pca", "random")
    )
    stage_norm: str = setting(
        "unit",
        "unit normalises each stage to unit length, so that stages share a scale; none is the paper's",
        choices=("unit", "none"),
    )
    padding: str = setting(
        "replicate",
        "padding of the convolutions: replicate or reflect keep image borders from becoming clusters of their own; "
        "zeros is as published, the paper's",
        choices=("zeros", "replicate", "reflect"),
    )
    upsampling: str = setting(
        "direct",
        "how the decoder brings the stages to stride 4: direct, each in one step, or pyramid, from stage to stage (the "
        "paper's)",
        choices=("direct", "pyramid"),
    )
    scales: str = setting(
        "1",
        "image scales whose embeddings are averaged, in inference only; 1,2 resolves smaller objects and takes 5 times "
        "as long",
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
    """What is embedded: image size, embedding sample and dense features."""

    size_px: int = setting(
        320, "shorter side of the images at the network's input, px; larger resolves smaller objects", low=32, high=4096
    )
    pixels: int = setting(200_000, "pixels in the embedding sample", low=100, high=10_000_000)
    batch: int = setting(16, "batch size, in images; halve it when memory is short", low=1, high=1024)
    dense_mb: int = setting(
        10_240,
        "disk for the dense features of a run, MB; images beyond it are embedded again when they are shown",
        low=0,
    )
    seed: int = setting(0, "seed of all random numbers", low=0)

    def __post_init__(self) -> None:
        check_settings(self)


DOWNSAMPLES = (0, 1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class TilingSettings:
    """How large images are embedded: at which resolution, and in which tiles."""

    downsample: int = setting(
        0,
        "image pixels per pixel of the network's input, along a side: 1 embeds at full resolution, 4 at a quarter, "
        "large images in tiles; 0 resizes every image to --size",
        choices=DOWNSAMPLES,
    )
    tile_px: int = setting(
        1280,
        "side of a tile at the network's input, px, a multiple of 32; smaller ones take less memory",
        low=256,
        high=8192,
    )
    overlap_px: int = setting(
        256,
        "pixels that neighbouring tiles share, a multiple of 32; with more the tiled result is closer to the untiled",
        low=0,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        for name, value in (("tile", self.tile_px), ("overlap", self.overlap_px)):
            if value % TOTAL_STRIDE:
                below = value // TOTAL_STRIDE * TOTAL_STRIDE
                raise SettingError(f"{name}={value} must be a multiple of {TOTAL_STRIDE}: give {below} or "
                                   f"{below + TOTAL_STRIDE}")  # fmt: skip
        if self.overlap_px > self.tile_px // 2:
            raise SettingError(f"overlap={self.overlap_px} must be at most half of tile={self.tile_px}: lower it")
