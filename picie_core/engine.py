"""What a training runs on: device, precision and processes through Lightning Fabric, and the optimiser's rates."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

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


class FabricProcesses:
    """The processes of a Fabric run, as the objectives see them."""

    def __init__(self, fabric: Fabric):
        self.fabric, self.world, self.rank = fabric, fabric.world_size, fabric.global_rank

    def sum(self, value: Tensor) -> Tensor:
        """Returns the sum of `value` over all processes, outside of the gradient."""
        if self.world == 1:
            return value.detach()
        return torch.as_tensor(self.fabric.all_reduce(value.detach().clone(), reduce_op="sum"))

    def mean(self, value: Tensor) -> Tensor:
        """Returns the mean of `value` over all processes."""
        return self.sum(value) / self.world

    def broadcast(self, value: Tensor) -> Tensor:
        """Returns the first process's `value`."""
        return value if self.world == 1 else self.fabric.broadcast(value)

    def gather(self, rows: Tensor) -> Tensor:
        """Returns the rows (N_r, ...) of all processes, one process after another, in every process."""
        if self.world == 1:
            return rows
        counts = torch.as_tensor(self.fabric.all_gather(torch.tensor(len(rows), device=rows.device)))
        padded = torch.zeros(int(counts.max()), *rows.shape[1:], dtype=rows.dtype, device=rows.device)
        padded[: len(rows)] = rows
        gathered = torch.as_tensor(self.fabric.all_gather(padded))  # (world, most, ...)
        return torch.cat([part[:count] for part, count in zip(gathered, counts.tolist(), strict=True)])


def parameter_groups(embedder: Embedder, settings: TrainSettings) -> list[dict[str, Any]]:
    """Returns the optimiser's groups, decoder and backbone; a rate of 0 and `frozen_stages` leave parts as they are."""
    stages = embedder.stage_parameters()
    frozen = len(stages) if settings.lr_backbone == 0 else settings.frozen_stages
    for stage, parameters in enumerate(stages):
        for parameter in parameters:
            parameter.requires_grad_(stage >= frozen)
    backbone = [parameter for parameters in stages[frozen:] for parameter in parameters]
    groups = [(list(embedder.decoder.parameters()), settings.lr_decoder), (backbone, settings.lr_backbone)]
    return [{"params": part, "lr": rate, "full_lr": rate} for part, rate in groups if part]


def head_optimizer(parameters: list[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer | None:
    """Returns an optimiser of its own for an objective's classifiers; None when it has none."""
    if not parameters:
        return None
    return torch.optim.Adam([{"params": parameters, "lr": settings.lr_head, "full_lr": settings.lr_head}])


def set_learning_rates(optimizer: Any, schedule: str, done: int, total: int, epoch: int) -> None:
    """Sets the rates for step `done` of `total`.

    cosine: a warm-up over half an `epoch` of steps, then a cosine to zero; constant: the full rates.
    """
    warm = min(1.0, (done + 1) / max(epoch / 2, 1))
    factor = warm * 0.5 * (1 + math.cos(math.pi * done / total)) if schedule == "cosine" else 1.0
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor
