"""Adam for the network and the classifier heads, and the learning-rate schedule.

differs from PiCIE: decoder and backbone have learning rates of their own, and a cosine schedule is the default.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from picie_core.models.embedder import Embedder
from picie_core.training.settings import TrainSettings


def network_optimizer(embedder: Embedder, settings: TrainSettings) -> torch.optim.Optimizer:
    """Returns Adam over the decoder and the stages of the backbone that train; all others are frozen.

    A learning rate of 0 freezes the whole backbone.
    """
    stages = embedder.stage_parameters()
    trained = stages[-settings.train_stages :] if settings.lr_backbone > 0 else []  # [-0:] is all of them
    backbone = [parameter for stage in trained for parameter in stage]
    embedder.backbone.requires_grad_(False)
    for parameter in backbone:
        parameter.requires_grad_(True)
    groups = [_group(list(embedder.decoder.parameters()), settings.lr_decoder)]
    return torch.optim.Adam(groups + ([_group(backbone, settings.lr_backbone)] if backbone else []))


def head_optimizer(parameters: list[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer | None:
    """Returns a separate Adam for the classifier heads of an objective; None when it has none."""
    return torch.optim.Adam([_group(parameters, settings.lr_head)]) if parameters else None


def _group(parameters: list[nn.Parameter], rate: float) -> dict[str, Any]:
    return {"params": parameters, "lr": rate, "full_lr": rate}


def set_learning_rates(optimizer: Any, schedule: str, step: int, steps: int, steps_per_epoch: int) -> None:
    """Sets the learning rates of `step` (from 0) of `steps`.

    cosine: a linear warm-up over half an epoch, then a cosine to zero; constant: the full rates.
    """
    warm_up = min(1.0, (step + 1) / max(steps_per_epoch / 2, 1))
    factor = warm_up * 0.5 * (1 + math.cos(math.pi * step / steps)) if schedule == "cosine" else 1.0
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor
