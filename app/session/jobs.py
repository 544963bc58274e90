"""Background jobs: start one as a process of the command line, watch its status file, ask it to stop.

A job belongs to the workspace, not to a browser tab: it goes on when the tab is closed or the server restarts, and
what the page shows is read from `W/jobs/<command>.json` and `.log` every time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from picie_core.errors import WorkspaceBusy
from picie_core.progress import WRITERS, JobStatus, pid_start_time, read_status
from picie_core.workspace.workspace import Workspace

KILL_AFTER_S = 20
STALE_AFTER_S = 60
_children: list[subprocess.Popen] = []


@dataclass(frozen=True)
class Job:
    """What the page says of the last job of one command."""

    status: JobStatus
    log: Path

    @property
    def state(self) -> str:
        """starting, running, done, stopped, failed, or crashed (the process is gone and said nothing)."""
        if self.status.state != "running":
            return self.status.state
        if not self.status.alive:
            return "crashed"
        return "running" if self.status.progress else "starting"

    @property
    def is_running(self) -> bool:
        """True while the process works."""
        return self.state in ("starting", "running")

    @property
    def silent_s(self) -> float:
        """Seconds since the last sign of life."""
        return max(0.0, time.time() - self.status.heartbeat)

    @property
    def seconds(self) -> float:
        """How long the job has run, or ran."""
        return (time.time() if self.is_running else self.status.heartbeat) - self.status.started


def job_of(workspace: Workspace, command: str) -> Job | None:
    """Returns the last job of `command`, None if there never was one."""
    _children[:] = [child for child in _children if child.poll() is None]
    path = workspace.job_path(command)
    status = read_status(path)
    return Job(status, path.with_suffix(".log")) if status else None


def running_jobs(workspace: Workspace) -> list[Job]:
    """Returns the jobs that work on this workspace now, the oldest first."""
    stems = (path.stem for path in (workspace.root / "jobs").glob("*.json"))
    commands = sorted(stem for stem in stems if "." not in stem)  # train.rank1 and the like belong to train
    jobs = [job for command in commands if (job := job_of(workspace, command)) and job.is_running]
    return sorted(jobs, key=lambda job: job.status.started)


def command_line(workspace: Workspace, command: str, arguments: list[str]) -> list[str]:
    """Returns the command that does the same in a terminal, as a list of words."""
    return ["python", "-m", "picie_core", command, *arguments, "--workspace", str(workspace.root)]


def start(
    workspace: Workspace,
    command: str,
    arguments: list[str],
    spawn: Callable[..., subprocess.Popen] = subprocess.Popen,
) -> int:
    """Starts the command in the background and returns its pid. Raises WorkspaceBusy while one is at work."""
    for job in running_jobs(workspace):
        if job.status.command == command or {job.status.command, command} <= set(WRITERS):
            raise WorkspaceBusy(
                f"`{job.status.command}` is already running on this workspace: wait for it or stop it first"
            )
    path = workspace.job_path(command)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    words = [sys.executable, *command_line(workspace, command, arguments)[1:]]
    with open(path.with_suffix(".log"), "wb") as log:
        log.write(f"$ {' '.join(command_line(workspace, command, arguments))}\n".encode())
        log.flush()
        child = spawn(words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    _children.append(child)
    write_first_status(path, command, child.pid)
    return child.pid


def write_first_status(path: Path, command: str, pid: int) -> None:
    """Says that the job is starting, until the process says so itself; never replaces what the process wrote."""
    now = time.time()
    status = JobStatus(command, "running", pid, pid_start_time(pid) or 0.0, now, now)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    temporary.write_text(json.dumps(asdict(status)))
    try:
        os.link(temporary, path)
    except FileExistsError:
        return  # the process was faster
    except OSError:  # a disk without hard links
        if not path.exists():
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def stop(job: Job, force: bool = False) -> None:
    """Asks the job to stop after its current step; `force` ends it at once."""
    if not job.status.alive:
        return
    sign = signal.SIGKILL if force else signal.SIGTERM
    try:
        if os.getpgid(job.status.pid) == job.status.pid:
            os.killpg(job.status.pid, sign)
        else:
            os.kill(job.status.pid, sign)
    except ProcessLookupError:
        return


def log_tail(job: Job, lines: int = 12) -> str:
    """Returns the last lines of the job's log; of a progress bar that redraws itself only the last drawing."""
    try:
        with open(job.log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    drawn = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    return "\n".join([line for line in drawn if line][-lines:])
