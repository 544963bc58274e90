"""A job on the screens: each shows the same progress and stop button, and the same sentence when it ended badly."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict

import pytest
from streamlit.testing.v1 import AppTest

from picie_core.progress import JobStatus, Progress, pid_start_time
from picie_core.workspace.workspace import Workspace
from tests.app.conftest import button_labels, text_of

OpenScreen = Callable[..., AppTest]
SCREENS = {"images": "embed", "train": "train", "export": "export", "map": "project", "clusters": "scores"}
TITLES = {"embed": "Embedding", "train": "Training", "export": "Exporting", "project": "UMAP", "scores": "Trying K"}


def write_status(workspace: Workspace, command: str, state: str, pid: int, message: str = "") -> None:
    """Leaves what a job that began ten seconds ago says of itself."""
    now, started = time.time(), pid_start_time(pid) or 1.0
    status = JobStatus(command, state, pid, started, now - 10, now, Progress("half", 3, 6, 1.5, 2.0), message)
    workspace.job_path(command).write_text(json.dumps(asdict(status)))


def open_with_job(workspace: Workspace, open_screen: OpenScreen, screen: str) -> AppTest:
    """Opens the part of a screen that shows its job: the export of clusters, the UMAP, the curve over K."""
    tab = open_screen(screen, workspace)
    if screen == "export":
        tab.toggle(key="export_raw").set_value(True).run()
    elif screen == "map":
        tab.segmented_control(key="map_kind").set_value("UMAP").run()
    elif screen == "clusters":
        tab.segmented_control(key="cluster_view").set_value("k").run()
    return tab


@pytest.mark.parametrize("screen", SCREENS)
def test_a_running_job_is_shown_and_can_be_stopped(workspace: Workspace, open_screen: OpenScreen, screen: str) -> None:
    """Progress in numbers and one button; once it was pressed it says that it waits for the step."""
    command = SCREENS[screen]
    write_status(workspace, command, "running", os.getpid())
    tab = open_with_job(workspace, open_screen, screen)
    assert not tab.exception and not tab.error, text_of(tab)
    assert any(bar.proto.text.startswith("half · 3 of 6") for bar in tab.main.get("progress"))
    assert "Stop" in button_labels(tab)
    tab.session_state["picie"].stop_asked[command] = time.time()
    assert "Stopping after this step" in button_labels(tab.run())


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("state", ["failed", "running"])
def test_how_a_job_ended_is_said_with_its_log(
    workspace: Workspace, open_screen: OpenScreen, screen: str, state: str
) -> None:
    """A failure gives its reason, a process that is gone says so; both name the log."""
    if screen == "images":
        for path in workspace.root.glob("runs/*/run.json"):
            path.write_text(path.read_text().replace('"done"', '"failed"'))  # else nothing is left to embed
    command = SCREENS[screen]
    write_status(workspace, command, state, 2**22 + 1, "the disk is full: free some space")
    tab = open_with_job(workspace, open_screen, screen)
    words = "failed: the disk is full" if state == "failed" else "ended without a word after 10 s"
    assert len(tab.main.error) == 1 and f"{TITLES[command]} {words}" in tab.error[0].value, text_of(tab)
    assert f"{command}.log" in tab.error[0].value and not tab.exception


def test_a_job_that_was_stopped_is_no_error(workspace: Workspace, open_screen: OpenScreen) -> None:
    """Whoever stopped an export reads that it was, and after how long."""
    write_status(workspace, "export", "stopped", 2**22 + 1)
    tab = open_with_job(workspace, open_screen, "export")
    assert "Exporting was stopped after 10 s." in text_of(tab) and not tab.error
