"""Progress of a long job: the event, the meter that adds rate and ETA, the status file that other processes read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

from picie_core.atomic_files import write_text

WRITERS = ("embed", "train")
"""The commands that write images and runs: only one of them may work on a workspace at a time."""
HEARTBEAT_S = 1.0
"""A status file is rewritten at least this often while its job makes progress, in seconds."""


@dataclass(frozen=True)
class Progress:
    """One step of a job: its phase, its speed and its latest metrics."""

    phase: str
    done: int
    total: int
    rate: float = 0.0
    """Items (images unless the phase says otherwise) per second; 0 while unknown."""
    eta_s: float | None = None
    """Seconds left of this phase; None while unknown."""
    metrics: dict[str, float] = field(default_factory=dict)


Report = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """Drops the event: the default report of every long function."""


class Meter:
    """Turns counts into Progress events with rate and ETA, for one phase; `done` items are done already."""

    def __init__(self, phase: str, total: int, report: Report, metrics: dict[str, float] | None = None, done: int = 0):
        self.phase, self.total, self.report = phase, total, report
        self.metrics = metrics or {}
        self.done, self.before, self.start = done, done, time.monotonic()
        self.advance(0)

    def advance(self, count: int, **metrics: float) -> None:
        """Adds `count` finished items and the newest metrics, and reports."""
        self.done += count
        self.metrics = {**self.metrics, **metrics}
        elapsed = time.monotonic() - self.start
        rate = (self.done - self.before) / elapsed if elapsed > 0 else 0.0
        eta = (self.total - self.done) / rate if rate else None
        self.report(Progress(self.phase, self.done, self.total, rate, eta, self.metrics))


@dataclass(frozen=True)
class JobStatus:
    """The content of a status file; `state` is running, done, stopped or failed."""

    command: str
    state: str
    pid: int
    pid_start: float
    """Start time of the process, seconds since the epoch: a reused pid has another one."""
    started: float
    heartbeat: float
    progress: Progress | None = None
    message: str = ""
    run: str = ""
    result: dict = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """True while the process that wrote the status still runs (a zombie counts as dead)."""
        return self.state == "running" and pid_start_time(self.pid) == self.pid_start


def pid_start_time(pid: int) -> float | None:
    """Returns when process `pid` started (seconds since the epoch), None if it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


class StatusFile:
    """Writes `W/jobs/<command>.json` while a job runs; also a Report. Without a path it only keeps the status."""

    def __init__(self, path: Path | None, command: str):
        self.path, self.written = path, 0.0
        pid, now = os.getpid(), time.time()
        self.status = JobStatus(command, "running", pid, pid_start_time(pid) or 0.0, now, now)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self.write()

    def __call__(self, progress: Progress) -> None:
        """Stores the progress; touches the disk at most a few times a second."""
        changed_phase = self.status.progress is None or self.status.progress.phase != progress.phase
        self.status = replace(self.status, progress=progress)
        if changed_phase or time.time() - self.written > HEARTBEAT_S / 4 or progress.done == progress.total:
            self.write()

    def finish(self, state: str, message: str = "", **result: object) -> None:
        """Writes the final state of the job: done, stopped or failed."""
        self.status = replace(self.status, state=state, message=message, result=result)
        self.write()

    def name_run(self, run: str) -> None:
        """Stores which run the job works on, so that another process can show its curve."""
        self.status = replace(self.status, run=run)
        self.write()

    def write(self) -> None:
        """Writes the status by rename, so that a reader never reads half of it."""
        self.written = time.time()
        self.status = replace(self.status, heartbeat=self.written)
        if self.path is not None:
            write_text(self.path, json.dumps(asdict(self.status)))


def read_status(path: Path) -> JobStatus | None:
    """Returns the job status in `path`, None where no job of that command ever ran or the file cannot be parsed."""
    try:
        record = json.loads(path.read_text())
        progress = record.pop("progress")
        return JobStatus(**record, progress=Progress(**progress) if progress else None)
    except FileNotFoundError:
        return None
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ):  # by another version of the program: history, no error
        return None
