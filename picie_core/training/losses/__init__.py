"""The objectives; one file per method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from picie_core.training.losses.objective import Objective
    from picie_core.training.losses.worker_group import WorkerGroup
    from picie_core.training.settings import TrainSettings


class MakeObjective(Protocol):
    """Returns an objective, as `make_objective` does: the place to put in one of your own."""

    def __call__(
        self,
        method: str,
        settings: TrainSettings,
        dim: int,
        seed: int,
        device: torch.device,
        workers: WorkerGroup,
    ) -> Objective: ...


def make_objective(
    method: str,
    settings: TrainSettings,
    dim: int,
    seed: int,
    device: torch.device,
    workers: WorkerGroup,
) -> Objective:
    """Returns the objective of one of METHODS, but probe, which trains no network, for embeddings of width `dim`."""
    if method == "picie":
        from picie_core.training.losses.picie import Picie

        return Picie(settings, seed, device, workers)
    if method == "mdc":
        from picie_core.training.losses.mdc import ModifiedDeepCluster

        return ModifiedDeepCluster(settings, dim, seed, device, workers)
    if method == "iic":
        from picie_core.training.losses.iic import InvariantInformation

        return InvariantInformation(settings, dim, seed, device, workers)
    from picie_core.training.losses.supervised import Supervised

    return Supervised(settings, dim, seed, device, workers)
