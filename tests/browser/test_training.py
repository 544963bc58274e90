"""A training in a real browser: started, refreshed in the middle, stopped, resumed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from picie_core.workspace.workspace import Workspace
from tests.browser.stage import Server, Watch, running_app
from tests.browser.test_whole_way import check_no_error, go_to, wait_for

pytestmark = pytest.mark.browser
LONG_MS = 120_000


@pytest.fixture
def server(finished_copy: Workspace, scenes: Path, tmp_path: Path) -> Iterator[Server]:
    """The app on a finished workspace of six scenes."""
    (tmp_path / "app").mkdir()
    roots = {"PICIE_ROOTS": f"{finished_copy.root}:{scenes}"}
    with running_app(tmp_path / "app", ["--workspace", str(finished_copy.root)], roots) as started:
        yield started


def set_number(page: Page, label: str, value: int) -> None:
    """Types a number into a field of the form."""
    field = page.get_by_test_id("stMain").get_by_role("spinbutton", name=label, exact=True)
    field.fill(str(value))
    field.press("Enter")
    expect(field).to_have_value(str(value))


def trained(space: Workspace) -> list[str]:
    """The states of the trained runs of the workspace."""
    return [run.state for run in space.runs() if run.method == "picie"]


def test_a_training_outlives_a_refresh_and_can_be_stopped(
    server: Server, page: Page, watch: Watch, finished_copy: Workspace
) -> None:
    """F5 in the middle shows the same training; Stop ends it with a checkpoint, and the page offers to go on."""
    page.goto(server.url)
    go_to(page, "Train")
    page.get_by_text("Train on these images").click()
    set_number(page, "Clusters K", 4)
    set_number(page, "Image size, px", 64)
    set_number(page, "Epochs", 1000)
    ready = page.get_by_role("button", name=re.compile(r"^Train ≈ \d+ min"))  # the page has heard of the epochs
    expect(ready).to_be_visible()
    ready.click()
    epoch = page.get_by_text(re.compile(r"epoch \d+/1000")).first
    wait_for(page, epoch, LONG_MS)
    page.reload()
    expect(page.get_by_text(re.compile("Training PiCIE")).first).to_be_visible()
    expect(page.get_by_text(re.compile(r"epoch \d+/1000")).first).to_be_visible()
    assert trained(finished_copy) == ["running"]
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text(re.compile("Training was stopped after"))).to_be_visible(timeout=LONG_MS)
    assert trained(finished_copy) == ["stopped"]
    page.reload()
    resume = page.get_by_role("button", name="Resume the training")
    expect(resume).to_be_visible()
    check_no_error(page)
    resume.click()
    wait_for(page, page.get_by_text(re.compile(r"epoch \d+/1000")).first, LONG_MS)
    assert trained(finished_copy) == ["running"]
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text(re.compile("Training was stopped after"))).to_be_visible(timeout=LONG_MS)
    assert watch.complaints == []
