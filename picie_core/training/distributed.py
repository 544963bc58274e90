"""The processes of one training: which one this is, how the first starts the others, and what a death among them does.

torchrun (or `fabric run`) starts all of them, on one machine or on several; with `--processes` the first one starts the
others on its own machine and tells them by the same variables of the environment. The first process is the only one
that writes into the workspace; the others are told by it what to train.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from picie_core.errors import PicieError, SettingError

FOLLOWS = "PICIE_FOLLOWS"
"""The variable that tells a process that the first one of a training has started it."""
GRACE_S = 10.0
"""A process that waits for a dead one ends after this time, when no error has ended it before."""
LEAVE_S = 60.0
"""The others have this long to end after a training."""
GOOD = "the last checkpoint is good"


@dataclass(frozen=True)
class Place:
    """Which of the processes of a training this one is."""

    rank: int = 0
    world: int = 1
    local_world: int = 1
    """Processes on this machine."""
    by_torchrun: bool = False

    @property
    def name(self) -> str:
        """What a person reads, such as `process 2 of 4`."""
        return f"process {self.rank + 1} of {self.world}"

    def resume_words(self, run: str) -> str:
        """Returns how to go on with run `run` on as many processes."""
        if self.by_torchrun:
            return f"the same torchrun command with --resume {run}"
        return f"--resume {run}" + (f" --processes {self.world}" if self.world > 1 else "")


def place_here(processes: int) -> Place:
    """Returns the place that the environment tells this process; without one it is the first of `processes`.

    Raises SettingError when torchrun has started another number.
    """
    by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    if not by_torchrun and FOLLOWS not in os.environ:
        return Place(0, processes, processes)
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if by_torchrun and processes not in (1, world):
        raise SettingError(f"processes={processes} but torchrun started {world}: leave --processes out")
    return Place(rank, world, local, by_torchrun)


class Others:
    """The processes that the first one starts beside itself; a context that leaves none of them behind.

    run: the run to go on with after a death. arguments: their command line after `python -m picie_core`. leave: what
    the first one does to leave them, given whether an error made it leave.
    """

    def __init__(self, place: Place, run: str, arguments: Sequence[str], leave: Callable[[bool], None]):
        self.place, self.run, self.arguments, self.leave = place, run, arguments, leave
        self.children: list[subprocess.Popen] = []
        self.ended: list[str] = []
        self.left = threading.Event()
        self.before: dict[str, str | None] = {}

    def __enter__(self) -> Others:
        if self.place.world == 1 or self.place.by_torchrun:
            return self
        package = Path(__file__).resolve().parents[2]
        port = _free_port()
        self._set_environment(_environment(0, self.place.world, port))
        path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
        for rank in range(1, self.place.world):
            more = {**_environment(rank, self.place.world, port), FOLLOWS: "1", "PYTHONPATH": path}
            words = [sys.executable, "-m", "picie_core", *self.arguments]
            # The other end of its standard input is closed when this process ends, however it does.
            child = subprocess.Popen(words, env={**os.environ, **more}, stdin=subprocess.PIPE)
            self.children.append(child)
            threading.Thread(target=self._watch, args=(rank, child), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.left.set()
        self.leave(kind is not None)
        for child in self.children:
            if kind is not None:
                child.kill()
            try:
                child.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdin is not None:
                child.stdin.close()
        self._set_environment(self.before)

    def _watch(self, rank: int, child: subprocess.Popen) -> None:
        """Waits for the end of one of the others; when it died and this process waits for it for ever, ends it."""
        code = child.wait()
        if code == 0 or self.left.is_set():
            return
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        self.ended.append(f"process {rank + 1} of {self.place.world} {how}")
        if not self.left.wait(GRACE_S):
            _end_at_once(self.words(), self.children)

    def words(self) -> str:
        """Returns what to say when the connection to the others broke: who died, and how to go on."""
        if self.children and not self.ended:
            self.left.wait(1.0)  # its end may be seen a moment after the connection broke
        who = self.ended[0] if self.ended else f"{self.place.name} has lost the others (their last words say why)"
        return f"{who}; {GOOD}, go on with {self.place.resume_words(self.run)}"

    def _set_environment(self, values: Mapping[str, str | None]) -> None:
        self.before = {name: os.environ.get(name) for name in values}
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Lifeline:
    """Ends one of the others soon after the first process is gone, so that it never waits for it for ever."""

    def __init__(self, place: Place):
        self.place, self.run = place, ""
        if FOLLOWS in os.environ:
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while os.read(0, 4096):  # comes to its end when the first process is gone
            continue
        threading.Event().wait(GRACE_S)
        _end_at_once(self.words(), [])

    def words(self) -> str:
        """Returns what to say when the connection to the others broke."""
        sys.stderr.write("\n")  # the progress bar of a dead process has left its line open
        more = f"; {GOOD}, go on with {self.place.resume_words(self.run)}" if self.run else ""
        return f"{self.place.name} has lost the others{more}"


@contextmanager
def losses_told(words: Callable[[], str]) -> Iterator[None]:
    """Turns torch's error of a broken connection into a PicieError with `words`, which say how to go on."""
    try:
        yield
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        raise PicieError(words()) from error


def _environment(rank: int, world: int, port: int) -> dict[str, str]:
    """Returns what torchrun would tell process `rank` of `world` on one machine."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_lost(error: RuntimeError) -> bool:
    """Whether an error of torch says that another process is gone."""
    from torch.distributed import DistError

    words = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting", "NCCL")
    return isinstance(error, DistError) or any(one in str(error) for one in words)


def _end_at_once(words: str, children: Sequence[subprocess.Popen]) -> None:
    """Ends this process from a thread of it: its main thread is inside a call that never comes back."""
    for child in children:
        child.kill()
    print(f"train: {words}", file=sys.stderr, flush=True)
    os._exit(1)
