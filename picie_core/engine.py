"""What a training runs on: device, precision and processes through Lightning Fabric, and the optimiser's rates."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning_fabric import Fabric

from picie_core.embedder import Embedder, fast_precision
from picie_core.errors import PicieError
from picie_core.settings import TrainSettings


def make_fabric(settings: TrainSettings, device: str) -> Fabric:
    """Returns the engine for a device (auto, cpu, cuda), precision and number of processes."""
    accelerator = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise PicieError("device=cuda but torch finds no CUDA device here: use --device auto or cpu")
    fast = "bf16-mixed" if fast_precision(torch.device(accelerator)) == torch.bfloat16 else "32-true"
    precision: Any = fast if settings.precision == "auto" else settings.precision
    return Fabric(accelerator=accelerator, devices=settings.processes, precision=precision)


def parameter_groups(embedder: Embedder, settings: TrainSettings) -> list[dict[str, Any]]:
    """Returns the optimiser's groups, decoder and backbone; a rate of 0 freezes the backbone."""
    decoder = list(embedder.decoder.parameters())
    backbone = embedder.backbone_parameters()
    for parameter in backbone:
        parameter.requires_grad_(settings.lr_backbone > 0)
    groups = [{"params": decoder, "lr": settings.lr_decoder, "full_lr": settings.lr_decoder}]
    if settings.lr_backbone > 0:
        groups.append({"params": backbone, "lr": settings.lr_backbone, "full_lr": settings.lr_backbone})
    return groups


def set_learning_rates(optimizer: Any, done: int, total: int, epoch: int) -> None:
    """Sets the rates for step `done` of `total`: a warm-up over half an `epoch` of steps, then a cosine to zero."""
    warm = min(1.0, (done + 1) / max(epoch / 2, 1))
    factor = warm * 0.5 * (1 + math.cos(math.pi * done / total))
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor
