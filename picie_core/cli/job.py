"""A command at work: its progress bar, its status in the workspace, and what it does when it is asked to stop."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from picie_core.cli.output import plain
from picie_core.errors import Stopped
from picie_core.progress import Progress, StatusFile
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from tqdm import tqdm

Handler = Callable[[int, Any], None]


class Job:
    """A running command: a progress bar on a terminal, a status file in the workspace if any; use as a context."""

    def __init__(self, workspace: Workspace | None, command: str):
        self.status = StatusFile(None if workspace is None else workspace.job_path(command), command)
        self.bar: tqdm | None = None

    def __call__(self, progress: Progress) -> None:
        """Shows and stores one step."""
        from tqdm import tqdm

        self.status(progress)
        if self.bar is None or self.bar.desc.rstrip(": ") != progress.phase:
            self._close()
            self.bar = tqdm(
                total=progress.total,
                desc=progress.phase,
                unit="step" if self.status.status.command in ("project", "scores") else "image",
                file=sys.stderr,
                mininterval=0.2 if sys.stderr.isatty() else 10.0,  # seldom in a log
            )
        self.bar.n = progress.done
        if progress.metrics:
            self.bar.set_postfix({name: plain(value) for name, value in progress.metrics.items()}, refresh=False)
        self.bar.update(0)
        if progress.done == progress.total:
            self.bar.refresh()

    def note(self, line: str) -> None:
        """Writes a line to the log, without tearing the bar."""
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)

    def done(self, result: dict[str, Any]) -> dict[str, Any]:
        """Stores the result as the last word of the job and returns it."""
        self.status.finish("done", **result)
        return result

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> Job:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._close()
        if isinstance(error, (KeyboardInterrupt, Stopped)):
            self.status.finish("stopped", str(error))
        elif error is not None:
            self.status.finish("failed", str(error) or type(error).__name__)


@contextmanager
def answer_signals(handler: Handler, *numbers: int) -> Iterator[None]:
    """Lets `handler` answer these signals within the block; does nothing beside the main thread, which they reach."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def stop_on_signal(*, second_ends: bool = True) -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether Ctrl-C or SIGTERM came; a second one ends the process at once.

    second_ends: False lets any number of signals ask for the same stop.
    """
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def receive(number: int, frame: object) -> None:
        received.append(number)
        for one, handler in before.items() if second_ends else ():
            signal.signal(one, handler)

    with answer_signals(receive, *before):
        yield lambda: bool(received)
