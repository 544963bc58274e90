"""Background jobs: started as processes, watched through their status file, stopped on request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.session import jobs
from picie_core.errors import WorkspaceBusy
from picie_core.progress import Progress, StatusFile, read_status
from picie_core.workspace.workspace import Workspace

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


Start = Callable[[str], int]


@pytest.fixture
def start(workspace: Workspace) -> Iterator[Start]:
    """Starts a command of the workspace that does nothing for ever; whatever is left of them is ended afterwards."""
    started: list[subprocess.Popen] = []

    def spawn(words: list[str], **options: Any) -> subprocess.Popen:
        started.append(subprocess.Popen(SLEEPER, **options))
        return started[-1]

    yield lambda command: jobs.start(workspace, command, ["IMAGES"], spawn)
    for child in started:
        child.kill()
        child.wait()


def test_a_job_is_known_from_its_first_moment(workspace: Workspace, start: Start) -> None:
    """Before the process has written anything, the page says that it is starting; its group is its own."""
    pid = start("embed")
    job = jobs.job_of(workspace, "embed")
    assert job is not None and job.state == "starting" and job.is_running
    assert os.getpgid(pid) == pid
    assert jobs.log_tail(job).startswith("$ python -m picie_core embed IMAGES --workspace")


def test_two_writers_are_refused_and_a_reader_is_not(workspace: Workspace, start: Start) -> None:
    """`train` does not start while `embed` is at work; `export` does."""
    start("embed")
    with pytest.raises(WorkspaceBusy, match="embed"):
        start("train")
    start("export")
    assert {job.status.command for job in jobs.running_jobs(workspace)} == {"embed", "export"}


def test_stop_ends_the_whole_group_and_is_seen(workspace: Workspace, start: Start) -> None:
    """A process that ends without a last word is shown as crashed, even while it is a zombie."""
    pid = start("embed")
    job = jobs.job_of(workspace, "embed")
    assert job is not None
    jobs.stop(job)
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_status == signal.SIGTERM
    after = jobs.job_of(workspace, "embed")
    assert after is not None and after.state == "crashed" and not jobs.running_jobs(workspace)


def test_the_first_status_never_replaces_what_the_process_wrote(workspace: Workspace) -> None:
    """A fast process writes its own status before the page does: that one stays."""
    path = workspace.job_path("cluster")
    StatusFile(path, "cluster")(Progress("kmeans", 3, 10))
    jobs.write_first_status(path, "cluster", os.getpid())
    status = read_status(path)
    assert status is not None and status.progress is not None and status.progress.done == 3
    assert [file.name for file in path.parent.glob(".*")] == []


def test_of_a_progress_bar_only_the_last_drawing_is_shown(workspace: Workspace) -> None:
    """Carriage returns in the log do not fill the page."""
    StatusFile(workspace.job_path("embed"), "embed")
    path = workspace.job_path("embed").with_suffix(".log")
    Path(path).write_bytes(b"scan\rscan 1\rscan 2\nembed 10 %\rembed 99 %\r\nlast\n")
    job = jobs.job_of(workspace, "embed")
    assert job is not None and jobs.log_tail(job) == "scan 2\nembed 99 %\nlast"
