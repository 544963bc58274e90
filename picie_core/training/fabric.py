"""What a training runs on: device, precision and processes through Lightning Fabric, and the optimiser's rates."""

from __future__ import annotations

import inspect
import math
import os
from datetime import timedelta
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, distributed, nn

from picie_core.errors import PicieError
from picie_core.models.embedder import Embedder, fast_precision
from picie_core.settings import TrainSettings
from picie_core.training.distributed import Place

PATIENCE = timedelta(hours=12)
"""Processes wait this long for each other, as the first one prepares and clusters alone; a death ends it earlier."""
ALONE = Place()


def make_fabric(settings: TrainSettings, device: str, place: Place = ALONE) -> Fabric:
    """Returns the engine for a device (auto, cpu, cuda), a precision and the processes that `place` is one of."""
    accelerator = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise PicieError("device=cuda but torch finds no CUDA device here: use --device auto or cpu")
    if accelerator == "cuda" and place.local_world > (found := torch.cuda.device_count()):
        raise PicieError(
            f"{place.local_world} processes need as many CUDA devices on this machine, torch finds {found}: use fewer "
            "processes or --device cpu"
        )
    fast = "bf16-mixed" if fast_precision(torch.device(accelerator)) == torch.bfloat16 else "32-true"
    precision: Any = fast if settings.precision == "auto" else settings.precision
    quiet: Any = {_sync_buffers(): False}
    try:
        if place.world == 1:
            return Fabric(accelerator=accelerator, devices=1, precision=precision)
        return Fabric(
            accelerator=accelerator,
            devices=place.local_world,
            num_nodes=place.world // place.local_world,
            precision=precision,
            strategy=DDPStrategy(timeout=PATIENCE, **quiet),
            plugins=[TorchElasticEnvironment()],
        )
    except ValueError as error:  # `fabric run` was told something else
        raise PicieError(
            f"{error} Put `--` before `train`, so that `fabric run` takes none of its options; give it no --precision."
        ) from error


def _sync_buffers() -> str:
    """Returns what torch calls the option that copies the first process's batch norm statistics at every forward pass.

    It is switched off, as two passes come before one backward pass; the training shares them after each step.
    """
    names = inspect.signature(nn.parallel.DistributedDataParallel).parameters
    return "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"


def launch(fabric: Fabric) -> Fabric:
    """Returns the engine after it met the other processes; `fabric run` lets it meet them at once."""
    if os.environ.get("LT_CLI_USED") != "1":
        fabric.launch()
    return fabric


def leave_processes(threads: int, after_error: bool) -> None:
    """Leaves the other processes: a later training may meet others, and this process has its `threads` again."""
    torch.set_num_threads(threads)
    if distributed.is_initialized() and not (after_error and distributed.get_backend() == "nccl"):  # it could wait
        distributed.destroy_process_group()


class FabricProcesses:
    """The processes of a Fabric run, as the objectives see them."""

    def __init__(self, fabric: Fabric):
        self.world, self.rank, self.device = fabric.world_size, fabric.global_rank, fabric.device

    def sum(self, value: Tensor) -> Tensor:
        """Returns the sum of `value` over all processes, outside of the gradient."""
        value = value.detach()
        if self.world > 1:
            value = value.clone(memory_format=torch.contiguous_format)
            distributed.all_reduce(value)  # Fabric's waits at a barrier first
        return value

    def mean(self, value: Tensor) -> Tensor:
        """Returns the mean of `value` over all processes."""
        return self.sum(value) / self.world

    def broadcast(self, value: Tensor) -> Tensor:
        """Returns the first process's `value`; all give one of the same shape, on the engine's device."""
        if self.world > 1:
            value = value.contiguous()
            distributed.broadcast(value, 0)
        return value

    def gather(self, rows: Tensor) -> Tensor:
        """Returns the rows (N_r, ...) of all processes, one process after another, in every process."""
        if self.world == 1:
            return rows
        counts = self.sum(torch.eye(self.world, dtype=torch.int64, device=self.device)[self.rank] * len(rows)).tolist()
        padded = torch.zeros(max(counts), *rows.shape[1:], dtype=rows.dtype, device=self.device)
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)]).to(rows.device)

    def gather_tables(self, table: dict[int, str]) -> dict[int, str]:
        """Returns the union of the tables of all processes, in every process."""
        if self.world == 1:
            return table
        tables: list[dict[int, str]] = [{} for _ in range(self.world)]
        distributed.all_gather_object(tables, table)
        return {key: value for one in tables for key, value in one.items()}


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
