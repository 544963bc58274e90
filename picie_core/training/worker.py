"""Which worker of a distributed training this process is; torchrun tells it by the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from picie_core.errors import SettingError


@dataclass(frozen=True)
class Worker:
    """One process of a training; without torchrun it is the only one."""

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1
    """Workers on this machine."""
    by_option: bool = False
    """Whether `--processes` asked for the workers, rather than a torchrun command."""

    @classmethod
    def from_environment(cls, processes: int = 1) -> Worker:
        """Returns the worker that torchrun made of this process; outside of torchrun the only one.

        processes: the world size that was asked for, 1 where torchrun alone decides.
        Raises SettingError when torchrun started another number.
        """
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        rank, world_size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        if processes not in (1, world_size):
            raise SettingError(f"processes={processes} but torchrun started {world_size}: leave --processes out")
        return cls(rank, world_size, local, by_option=processes > 1)

    def resume_words(self, run: str) -> str:
        """Returns how to resume run `run` with as many workers."""
        if self.world_size > 1 and not self.by_option:
            return f"the same torchrun command with --resume {run}"
        return f"--resume {run}" + (f" --processes {self.world_size}" if self.world_size > 1 else "")


ALONE = Worker()
