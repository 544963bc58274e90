"""Two processes that train together, as two threads: what one sums or sends, the other one sees."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from picie_core.training.losses.worker_group import WorkerGroup

Made = TypeVar("Made")
PATIENCE_S = 60


class OneOfTwo:
    """One of two processes; both have to sum and to broadcast in the same order."""

    world_size = 2

    def __init__(self, rank: int, shelf: list[Tensor], barrier: threading.Barrier):
        self.rank, self.shelf, self.barrier = rank, shelf, barrier

    def sum(self, value: Tensor) -> Tensor:
        """Returns the sum of both values, outside of the gradient."""
        return self._exchange(value)[0] + self._exchange(value)[1]

    def broadcast(self, value: Tensor) -> Tensor:
        """Returns the first process's value."""
        return self._exchange(value)[0]

    def _exchange(self, value: Tensor) -> list[Tensor]:
        self.shelf[self.rank] = value.detach().clone()
        self.barrier.wait(PATIENCE_S)
        both = list(self.shelf)
        self.barrier.wait(PATIENCE_S)
        return both


def on_two_processes(work: Callable[[WorkerGroup], Made]) -> list[Made]:
    """Returns what `work` gives in each of two processes that run it together."""
    shelf, barrier = [torch.zeros(0)] * 2, threading.Barrier(2)

    def run(rank: int) -> Made:
        try:
            return work(OneOfTwo(rank, shelf, barrier))
        except BaseException:
            barrier.abort()  # else the other one would wait
            raise

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, range(2)))
