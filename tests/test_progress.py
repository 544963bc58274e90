"""Progress of a job: rate and ETA by hand, the status file that another process reads, files that are whole."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from picie_core.atomic_files import disk_error, folder_atomic, open_atomic, sweep, write_array, write_json, write_text
from picie_core.errors import PicieError
from picie_core.progress import Meter, Progress, StatusFile, pid_start_time, read_status


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until its only entry is changed."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


# -- meter


def test_rate_and_eta_by_hand(clock):
    """10 of 40 in 5 seconds: 2 a second, 15 seconds left; the first report has neither."""
    seen: list[Progress] = []
    meter = Meter("embed", 40, seen.append, {"loss": 3.0})
    clock[0] += 5
    meter.advance(10, loss=2.0)
    clock[0] += 15
    meter.advance(30)
    assert seen[0] == Progress("embed", 0, 40, 0.0, None, {"loss": 3.0})
    assert seen[1] == Progress("embed", 10, 40, 2.0, 15.0, {"loss": 2.0})
    assert seen[2] == Progress("embed", 40, 40, 2.0, 0.0, {"loss": 2.0})


def test_nothing_to_do(clock):
    """A phase without items reports itself and divides by nothing."""
    seen: list[Progress] = []
    Meter("scan", 0, seen.append)
    assert seen == [Progress("scan", 0, 0)]


# -- status file


def test_status_round_trip(tmp_path):
    """A reader gets what the job wrote: command, run, progress, result."""
    path = tmp_path / "jobs" / "train.json"
    job = StatusFile(path, "train")
    job.name_run("picie-k27-1f3a")
    job(Progress("epoch 1/5", 16, 16, 3.5, 0.0, {"loss": 1.5}))
    assert read_status(path) == job.status
    assert read_status(path).alive
    job.finish("done", run="picie-k27-1f3a", images=16)
    read = read_status(path)
    assert (read.state, read.run, read.result["images"], read.alive) == ("done", "picie-k27-1f3a", 16, False)


def test_the_disk_is_touched_a_few_times_a_second(tmp_path, clock):
    """Of many steps at one moment only the first is written; later ones, a new phase and the last step are."""
    job = StatusFile(tmp_path / "embed.json", "embed")

    def stored(phase: str, done: int, later_s: float = 0.0) -> bool:
        clock[0] += later_s
        job(Progress(phase, done, 10))
        return read_status(tmp_path / "embed.json").progress == Progress(phase, done, 10)

    assert [stored("scan", 0), stored("scan", 1), stored("scan", 2, 0.3), stored("scan", 3)] == [1, 0, 1, 0]
    assert [stored("embed", 1), stored("embed", 2), stored("embed", 10)] == [1, 0, 1]


def test_a_dead_or_reused_pid_is_not_alive(tmp_path):
    """A job is alive only while the very process that wrote it runs: not a dead one, a zombie or a later one."""
    job = StatusFile(tmp_path / "x.json", "x").status
    assert job.alive
    assert not replace(job, pid_start=job.pid_start - 5).alive
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        other_job = replace(job, pid=other.pid, pid_start=pid_start_time(other.pid))
        assert other_job.alive
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, but not yet collected
        assert not other_job.alive
    assert not other_job.alive


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"command": "embed"}', '{"progress": null, "later": 1}'])
def test_status_that_cannot_be_parsed(tmp_path, text):
    """No file, half a file, a file of another version: no job, no error."""
    path = tmp_path / "embed.json"
    if text is not None:
        path.write_text(text)
    assert read_status(path) is None


# -- whole or absent


def test_files_are_whole(tmp_path):
    """What was written is read back, folders on the way are made, nothing else is left."""
    write_text(tmp_path / "a" / "b" / "t.txt", "Grüße\n")
    write_json(tmp_path / "a" / "r.json", {"ü": [1, None]})
    write_array(tmp_path / "a" / "x.npy", np.arange(3))
    assert (tmp_path / "a" / "b" / "t.txt").read_bytes() == "Grüße\n".encode()
    assert json.loads((tmp_path / "a" / "r.json").read_text()) == {"ü": [1, None]}
    np.testing.assert_array_equal(np.load(tmp_path / "a" / "x.npy"), np.arange(3))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "r.json", "t.txt", "x.npy"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("x"), KeyboardInterrupt]
)
def test_a_failed_write_changes_nothing(tmp_path, error):
    """Whatever stops a write, the old file and the old folder stay, and no temporary one is left."""
    path, folder = tmp_path / "file", tmp_path / "folder"
    write_text(path, "old")
    with folder_atomic(folder) as temporary:
        (temporary / "x").write_text("old")
    expected = PicieError if isinstance(error, OSError) else type(error) if isinstance(error, Exception) else error
    with pytest.raises(expected), open_atomic(path) as file:
        file.write(b"new")
        raise error
    with pytest.raises(expected), folder_atomic(folder) as temporary:
        (temporary / "x").write_text("new")
        raise error
    assert (path.read_text(), (folder / "x").read_text()) == ("old", "old")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    """Nothing of the old folder stays in the new one."""
    for name in ("old", "new"):
        with folder_atomic(tmp_path / "folder") as temporary:
            (temporary / name).touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_sweeping_takes_old_leftovers_only(tmp_path):
    """What a killed writer left long ago goes; a write under way and everything else stays."""
    for name in ("runs/.sample.1a2b.tmp", "runs/.dense.1a2b.old"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".run.json.3c4d.tmp").touch()
    for name in (".run.json.5e6f.tmp", "kept.tmp", "run.json"):
        (tmp_path / name).touch()
    long_ago = time.time() - 7200
    for name in ("runs/.sample.1a2b.tmp", "runs/.dense.1a2b.old", ".run.json.3c4d.tmp", "kept.tmp", "run.json"):
        os.utime(tmp_path / name, (long_ago, long_ago))
    sweep(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == [".run.json.5e6f.tmp", "kept.tmp", "run.json", "runs"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left"), "cannot write /x: No space left; free some space or choose another"),
        (
            OSError(errno.EACCES, "Permission denied"),
            "cannot write /x: Permission denied; choose a folder that you may",
        ),
        (OSError(errno.EROFS, "Read-only"), "cannot write /x: Read-only; choose a folder that you may write to"),
        (OSError("900 requested and 0 written"), "cannot write /x: No space left on device; free some space"),
        (OSError(errno.EIO, "I/O error"), "cannot write /x: I/O error; check the disk"),
    ],
)
def test_errors_of_the_disk_say_what_to_do(error, message):
    """File, reason and remedy, also for numpy's way to report a full disk."""
    assert str(disk_error(Path("/x"), error)).startswith(message)
