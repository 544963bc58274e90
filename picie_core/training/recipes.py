"""Recipes: named sets of settings, the default, the paper's and one for transformers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from picie_core.published_backbones import CONV_BACKBONES
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.training.settings import TrainSettings

RECIPES = ("default", "paper", "vit")

PAPER: dict[str, Any] = {
    "batch": 128,
    "stages": 4,
    "pool": 1,
    "context": 0,
    "stage_norm": "none",
    "padding": "zeros",
    "decoder": "random",
    "upsampling": "pyramid",
    "views": "equal",
    "square": "centre",
    "lr_decoder": 1e-4,
    "lr_backbone": 1e-4,
    "lr_head": 1e-4,
    "schedule": "constant",
    "temperature": 1.0,
    "balance": 1.0,
    "labels": "epoch",
    "prior_matching": 0.0,
    "centroids": "anew",
    "clustered": "pass",
    "kmeans": "mini-batch",
    "cluster_images": 5120,
    "batch_norm": "train",
    "precision": "32-true",
}
"""The settings of the paper [1]; where it says nothing, those of its authors' code.

[1] Cho, Mall, Bala, Hariharan, "PiCIE", CVPR 2021, section 4 and supplement.
"""
PAPER_CITYSCAPES: dict[str, Any] = {"lr_decoder": 1e-3, "lr_backbone": 1e-3, "lr_head": 1e-3}
"""What the paper does otherwise on Cityscapes."""
PAPER_BOTTLENECK: dict[str, Any] = {"dim": 256}
"""What it does otherwise with a ResNet-50, whose blocks are bottlenecks."""

VIT: dict[str, Any] = {
    "backbone": "dinov2_s14",
    "size_px": 448,
    "batch": 8,
    "lr_backbone": 1e-5,
    "train_stages": 2,
}
"""Training a transformer: low rates, its last two blocks only, so that what it knows of objects stays.

At 448 px both views, 448 and 224 px, are whole patches of 8, 14 and 16 px.
"""
CHANGES: dict[str, dict[str, Any]] = {"default": {}, "paper": PAPER, "vit": VIT}
"""Recipe -> the settings in which it differs from the defaults."""


def usual_recipe(backbone: str) -> str:
    """Returns the recipe that fits a backbone: `vit` for a transformer, else `default`."""
    return "default" if backbone in CONV_BACKBONES else "vit"


SUPERVISED: dict[str, Any] = {
    "epochs": 20,
    "lr_decoder": 3e-4,
    "lr_backbone": 1e-4,
    "lr_head": 1e-3,
    "held_out": 0.1,
    "balance": -0.25,
    "crop_scale": 0.75,
}
"""What the default recipe does otherwise in supervised training.

Labels do not drift as pseudo-labels do, so that rates may be higher and the training longer. With lr_decoder=1e-3 and
lr_backbone=3e-4 a training on the 54 images of dubai_aerial, 140 steps, ended below its linear probe on the validation
images (54.2 and 57.9 mIoU); with these rates it ends above (60.2). Held-out images choose nothing but the epoch.
"""
PAPER_SUPERVISED: dict[str, Any] = {"balance": 0.0, "head_start": "random"}
"""What the paper's does otherwise there: the plain cross-entropy of a classifier that starts at random."""


def recipe_values(
    recipe: str, method: str = "picie", *, backbone: str = "resnet18", dataset: str = "folders"
) -> dict[str, Any]:
    """Returns the settings, by name, in which a recipe differs from the defaults of the settings classes."""
    supervised = method == "supervised"
    if recipe != "paper":
        return {**(SUPERVISED if supervised else {}), **CHANGES[recipe]}
    return {
        **PAPER,
        **(PAPER_CITYSCAPES if dataset == "cityscapes" else {}),
        **(PAPER_BOTTLENECK if backbone == "resnet50" else {}),
        **(PAPER_SUPERVISED if supervised else {}),
    }


def recipe_settings(
    recipe: str, method: str = "picie", *, dataset: str = "folders", **changes: Any
) -> tuple[TrainSettings, EmbedderSettings, SampleSettings]:
    """Returns a recipe as settings for `train`; `changes` are single settings by name, as an ablation makes them."""
    backbone = changes.get("backbone", EmbedderSettings.backbone)
    values = {**recipe_values(recipe, method, backbone=backbone, dataset=dataset), **changes}
    return (
        TrainSettings(**_of(TrainSettings, values)),
        EmbedderSettings(**_of(EmbedderSettings, values)),
        SampleSettings(**_of(SampleSettings, values)),
    )


def _of(kind: Any, values: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in values.items() if name in names}
