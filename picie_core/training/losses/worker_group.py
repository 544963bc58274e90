"""The workers of a training, as objectives need them."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class WorkerGroup(Protocol):
    """The workers of a training, as an objective needs them."""

    world_size: int
    rank: int

    def sum(self, value: Tensor) -> Tensor:
        """Returns the sum of `value` over all workers, without a gradient."""

    def broadcast(self, value: Tensor) -> Tensor:
        """Returns the `value` of rank 0."""


class SingleWorker:
    """A group of one."""

    world_size, rank = 1, 0

    def sum(self, value: Tensor) -> Tensor:
        return value

    def broadcast(self, value: Tensor) -> Tensor:
        return value


ALONE = SingleWorker()
