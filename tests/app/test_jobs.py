"""Background jobs: started as processes, watched through their status file, stopped on request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.session import jobs
from picie_core.errors import WorkspaceBusy
from picie_core.progress import Progress, StatusFile, read_status
from picie_core.workspace.workspace import Workspace

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


@pytest.fixture
def sleeper(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose jobs do nothing for ever; whatever is left of them is ended afterwards."""
    popen = subprocess.Popen
    started: list[subprocess.Popen] = []

    def start(words: list[str], **options: object) -> subprocess.Popen:
        started.append(popen(SLEEPER, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(jobs.subprocess, "Popen", start)
    yield workspace
    for child in started:
        child.kill()
        child.wait()


def test_a_job_is_known_from_its_first_moment(sleeper: Workspace) -> None:
    """Before the process has written anything, the page says that it is starting; its group is its own."""
    pid = jobs.start(sleeper, "embed", ["IMAGES"])
    job = jobs.job_of(sleeper, "embed")
    assert job is not None and job.state == "starting" and job.is_running
    assert os.getpgid(pid) == pid
    assert jobs.log_tail(job).startswith("$ python -m picie_core embed IMAGES --workspace")


def test_two_writers_are_refused_and_a_reader_is_not(sleeper: Workspace) -> None:
    """`train` does not start while `embed` is at work; `export` does."""
    jobs.start(sleeper, "embed", [])
    with pytest.raises(WorkspaceBusy, match="embed"):
        jobs.start(sleeper, "train", [])
    jobs.start(sleeper, "export", [])
    assert {job.status.command for job in jobs.running_jobs(sleeper)} == {"embed", "export"}


def test_stop_ends_the_whole_group_and_is_seen(sleeper: Workspace) -> None:
    """A process that ends without a last word is shown as crashed, even while it is a zombie."""
    pid = jobs.start(sleeper, "embed", [])
    job = jobs.job_of(sleeper, "embed")
    assert job is not None
    jobs.stop(job)
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_status == signal.SIGTERM
    after = jobs.job_of(sleeper, "embed")
    assert after is not None and after.state == "crashed" and not jobs.running_jobs(sleeper)


def test_the_first_status_never_replaces_what_the_process_wrote(workspace: Workspace) -> None:
    """A fast process writes its own status before the page does: that one stays."""
    path = workspace.job_path("cluster")
    StatusFile(path, "cluster")(Progress("kmeans", 3, 10))
    jobs._write_first_status(path, "cluster", os.getpid())
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
