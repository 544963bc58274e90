"""Real processes of the command line that start within milliseconds, can be held at a point of the code, and killed.

They are forked off a server that has loaded the training and computed nothing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.conftest import Said

LIMIT_S = 120
"""No process may keep a test waiting for longer."""
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "picie_core.training.trainer",
        "picie_core.cli.commands",
        "picie_core.data.labelled_sets.datasets",
        "picie_core.training.checkpoint",
        "faiss",
    ]
)


def start_process(*words: object, **environment: str) -> subprocess.Popen[str]:
    """The command line as a person starts it, with one thread, in a process group of its own."""
    command = [sys.executable, "-m", "picie_core", *map(str, words)]
    pipe = subprocess.PIPE
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, text=True, stdout=pipe, stderr=pipe, env=surroundings, start_new_session=True)


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Comes back when the process has written `words` to its standard error; fails when it ends before."""
    assert process.stderr is not None
    for line in iter(lambda: process.stderr.readline(200), ""):  # a progress bar ends no line
        if words in line:
            return
    raise AssertionError(f"the process ended before it wrote {words!r}")


class Started:
    """A command line at work."""

    def __init__(self, words: tuple[object, ...], log: Path, environment: dict[str, str], prepare: Callable | None):
        self.log, (self.pipe, other) = log, _SERVER.Pipe()
        arguments = ([str(word) for word in words], str(log), environment, prepare, other)
        self.process = _SERVER.Process(target=_run, args=arguments)
        self.process.start()
        other.close()

    def wait_until_held(self) -> None:
        """Comes back when the process is at the point where it is held; fails when it ends before."""
        assert self.pipe.poll(LIMIT_S), "the process came neither to the point nor to its end"
        try:
            assert self.pipe.recv() == "held"
        except EOFError:
            raise AssertionError(f"the process ended before the point: {self.end()}") from None

    def kill(self) -> None:
        """Ends it with SIGKILL, wherever it is."""
        self.process.kill()
        self.process.join()

    def end(self) -> Said:
        """Waits for its end and returns what it left; the code is minus the signal that ended it."""
        self.process.join(LIMIT_S)
        assert self.process.exitcode is not None, "the process did not end"
        return Said(self.process.exitcode, *(self.log.with_suffix(f".{one}").read_text() for one in ("out", "err")))


@contextlib.contextmanager
def started(*words: object, log: Path, prepare: Callable | None = None, **environment: str) -> Iterator[Started]:
    """Starts a command line; prepare: what to call in its process first. Nothing of it is left afterwards."""
    log.parent.mkdir(parents=True, exist_ok=True)
    running = Started(words, log, environment, prepare)
    try:
        yield running
    finally:
        running.kill()


@contextlib.contextmanager
def started_by_torchrun(
    *words: object, log: Path, prepare: tuple[Callable | None, Callable | None] = (None, None), machines: int = 1
) -> Iterator[list[Started]]:
    """Starts a command line in two processes on one or two machines, told by the environment as torchrun tells them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    local, group = (("0", "1"), ("0", "0")) if machines == 1 else (("0", "0"), ("0", "1"))
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                started(
                    *words,
                    log=log.with_name(f"{log.name}-{rank}"),
                    prepare=prepare[rank],
                    **shared,
                    RANK=str(rank),
                    LOCAL_RANK=local[rank],
                    GROUP_RANK=group[rank],
                    LOCAL_WORLD_SIZE=str(2 // machines),
                )
            )
            for rank in (0, 1)
        ]


def _run(words: list[str], log: str, environment: dict[str, str], prepare: Callable | None, pipe: Connection) -> None:
    global _pipe
    _pipe = pipe
    os.environ.update(environment)
    for number, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{log}.{suffix}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    from picie_core.cli.commands import COMMANDS
    from picie_core.cli.parser import run_command

    if prepare is not None:
        prepare()
    sys.exit(run_command(COMMANDS, words))


def replace_name(dotted: str, change: Callable[[Any], Any]) -> None:
    """Puts `change(value)` where the module or class attribute `dotted`, such as `a.b.Class.method`, was."""
    parts = dotted.split(".")
    split = next(i for i in range(len(parts), 0, -1) if _is_module(".".join(parts[:i])))
    owner = import_module(".".join(parts[:split]))
    for part in parts[split:-1]:
        owner = getattr(owner, part)
    setattr(owner, parts[-1], change(getattr(owner, parts[-1])))


def _is_module(name: str) -> bool:
    try:
        import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def hold(dotted: str, count: int = 1, half: Callable | None = None) -> None:
    """Lets a process wait for ever at call `count` of a function; half: what to do there with its arguments first."""

    def change(function: Callable) -> Callable:
        left = iter(range(count - 1))

        def held(*args: Any, **more: Any) -> Any:
            if next(left, None) is not None:
                return function(*args, **more)
            if half is not None:
                half(*args, **more)
            _pipe.send("held")
            while True:
                signal.pause()

        return held

    replace_name(dotted, change)
