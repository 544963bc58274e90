"""What trainings agree with; one file a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from picie_core.settings import TrainSettings
    from picie_core.training.losses.objective import Objective, Processes

METHODS = ("picie", "mdc", "iic", "supervised", "probe")


def make_objective(
    method: str,
    settings: TrainSettings,
    dim: int,
    seed: int,
    device: torch.device,
    processes: Processes,
) -> Objective:
    """Returns the objective of one of METHODS for embeddings of width `dim`."""
    if method == "picie":
        from picie_core.training.losses.picie import Picie

        return Picie(settings, seed, device, processes)
    if method == "mdc":
        from picie_core.training.losses.mdc import ModifiedDeepCluster

        return ModifiedDeepCluster(settings, dim, seed, device, processes)
    if method == "iic":
        from picie_core.training.losses.iic import InvariantInformation

        return InvariantInformation(settings, dim, seed, device, processes)
    from picie_core.training.losses.supervised import Probe, Supervised

    return (Probe if method == "probe" else Supervised)(settings, dim, seed, device, processes)
