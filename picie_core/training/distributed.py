"""Distributed training on Lightning Fabric: device, precision, process group and collectives.

Every worker trains on its shard of each batch. Rank 0 alone writes into the workspace.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, distributed, nn

from picie_core.errors import PicieError, WorkersLost
from picie_core.models.inference import fast_precision, pick_device
from picie_core.training.worker import ALONE, Worker

TIMEOUT = timedelta(hours=12)
"""Collectives wait this long, because rank 0 prepares and clusters alone; a closed connection ends them at once."""
Value = TypeVar("Value")
CONNECTION_ERRORS = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Timed out waiting",
    "NCCL",
)


def make_fabric(precision: str, device: str, worker: Worker = ALONE) -> Fabric:
    """Returns Lightning Fabric, launched: connected to the other workers, where there are any.

    precision: auto, 32-true or bf16-mixed. device: auto, cpu or cuda.
    Raises PicieError when there is no such device, or fewer than one for each worker of this machine.
    """
    accelerator = pick_device(device)
    if accelerator.type == "cuda" and worker.local_world_size > (found := torch.cuda.device_count()):
        raise PicieError(
            f"{worker.local_world_size} workers need as many CUDA devices on this machine, torch finds {found}: use "
            "fewer processes or --device cpu"
        )
    if precision == "auto":
        precision = "bf16-mixed" if fast_precision(accelerator) == torch.bfloat16 else "32-true"
    options: dict[str, Any] = {"accelerator": accelerator.type, "precision": precision}
    if worker.world_size == 1:
        return Fabric(devices=1, **options)
    fabric = Fabric(
        devices=worker.local_world_size,
        num_nodes=worker.world_size // worker.local_world_size,
        strategy=DDPStrategy(timeout=TIMEOUT, **_unsynchronised_buffers()),
        plugins=[TorchElasticEnvironment()],
        **options,
    )
    fabric.launch()
    return fabric


def _unsynchronised_buffers() -> dict[str, Any]:
    """Returns DDP's option against copying rank 0's batch norm statistics to all ranks at every forward pass.

    Two forward passes precede each backward pass, which that copy would break; the trainer averages them per step.
    """
    names = inspect.signature(nn.parallel.DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers": False}


@contextmanager
def process_group(worker: Worker, run: str = "") -> Iterator[None]:
    """Leaves the process group at the end, and turns a broken connection into WorkersLost.

    run: the run to resume, once it is known.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and not any(one in str(error) for one in CONNECTION_ERRORS):
            raise
        resume = f"; the last checkpoint is good, go on with {worker.resume_words(run)}" if run else ""
        raise WorkersLost(f"rank {worker.rank} of {worker.world_size} lost the other workers{resume}") from error
    finally:
        # After an error NCCL could wait for the others for ever; the exit of the process closes its connections.
        if distributed.is_initialized() and not (sys.exc_info()[0] and distributed.get_backend() == "nccl"):
            distributed.destroy_process_group()


class FabricWorkers:
    """The collectives of a Fabric, for objectives and metrics; a single worker gets back what it gives."""

    def __init__(self, fabric: Fabric):
        self.world_size, self.rank, self.device = fabric.world_size, fabric.global_rank, fabric.device

    def sum(self, value: Tensor) -> Tensor:
        """Returns the sum of `value` over all workers, without a gradient."""
        value = value.detach()
        if self.world_size > 1:
            value = value.clone(memory_format=torch.contiguous_format)
            distributed.all_reduce(value)  # Fabric's would wait at a barrier first
        return value

    def mean(self, value: Tensor) -> Tensor:
        """Returns the mean of `value` over all workers, without a gradient."""
        return self.sum(value) / self.world_size

    @torch.no_grad()
    def average_batch_norm(self, module: nn.Module) -> None:
        """Gives the running statistics of every batch norm their mean over all workers."""
        if self.world_size > 1:
            named = module.named_buffers()
            names = ("running_mean", "running_var", "num_batches_tracked")
            running = [buffer for name, buffer in named if name.endswith(names)]
            means = self.mean(torch.cat([buffer.flatten().float() for buffer in running]))
            for buffer, mean in zip(running, means.split([buffer.numel() for buffer in running]), strict=True):
                buffer.copy_(mean.view_as(buffer))

    def broadcast(self, value: Tensor) -> Tensor:
        """Returns the `value` of rank 0; all ranks pass one of the same shape, on Fabric's device."""
        if self.world_size > 1:
            value = value.contiguous()
            distributed.broadcast(value, 0)
        return value

    def gather(self, rows: Tensor) -> Tensor:
        """Returns the rows (N_r, ...) of all workers, in the order of their ranks, in every worker."""
        if self.world_size == 1:
            return rows
        counts = self.sum(torch.eye(self.world_size, dtype=torch.int64, device=self.device)[self.rank] * len(rows))
        sizes = counts.tolist()
        padded = torch.zeros(max(sizes), *rows.shape[1:], dtype=rows.dtype, device=self.device)
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)]).to(rows.device)

    def gather_tables(self, table: dict[int, Value]) -> dict[int, Value]:
        """Returns the union of the tables of all workers, in every worker."""
        if self.world_size == 1:
            return table
        tables: list[dict[int, Value]] = [{} for _ in range(self.world_size)]
        distributed.all_gather_object(tables, table)
        return {key: value for one in tables for key, value in one.items()}
