"""Edits in a real browser: keys, two tabs, a split from elsewhere, and names that survive another K."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from picie_core.clustering.split_proposals import propose_split
from picie_core.workspace.cluster_edits import split_cluster
from picie_core.workspace.workspace import Workspace
from tests.browser.stage import Server, Watch, running_app
from tests.browser.test_whole_way import check_no_error, give_name, name_field

pytestmark = pytest.mark.browser
FIRST_PAGE_MS = 90_000


@pytest.fixture
def server(finished_copy: Workspace, scenes: Path, tmp_path: Path) -> Iterator[Server]:
    """The app on a finished workspace of six scenes, six clusters."""
    (tmp_path / "app").mkdir()
    roots = {"PICIE_ROOTS": f"{finished_copy.root}:{scenes}"}
    with running_app(tmp_path / "app", ["--workspace", str(finished_copy.root)], roots) as started:
        yield started


def open_clusters(page: Page, server: Server) -> None:
    """Opens the Clusters screen with its six cards."""
    page.goto(f"{server.url}/clusters")
    expect(page.get_by_role("img", name=re.compile(r"crops of cluster \d+"))).to_have_count(6, timeout=FIRST_PAGE_MS)


def press(page: Page, button: str, keys: str) -> None:
    """Presses the keys of a button of the sidebar, once it can be used, while no field has the focus."""
    expect(page.get_by_test_id("stSidebar").get_by_role("button", name=button, exact=True)).to_be_enabled()
    page.get_by_role("heading", name="Clusters", exact=True).click()
    page.keyboard.press(keys)


def test_edits_are_undone_by_keys_in_any_tab(
    server: Server, page: Page, context: BrowserContext, watch: Watch, finished_copy: Workspace
) -> None:
    """What one tab names, another takes back with Ctrl+Z and makes again; both show it; a reload changes nothing."""
    open_clusters(page, server)
    other = context.new_page()
    open_clusters(other, server)
    give_name(page, 0, "grass")
    expect(name_field(other, 0)).to_have_value("grass")
    press(other, "Undo", "Control+z")
    expect(other.get_by_text("Undid: named cluster 0 grass")).to_be_visible()
    for tab in (page, other):
        expect(name_field(tab, 0)).to_have_value("")
    page.reload()
    press(page, "Redo", "Control+Shift+z")
    for tab in (page, other):
        expect(name_field(tab, 0)).to_have_value("grass")
    found = finished_copy.current_run().clustering()
    split_cluster(found, 0, propose_split(found, found.sample().embeddings, 0, 2))
    for tab in (page, other):
        expect(tab.get_by_role("img", name=re.compile("crops of cluster 6, grass"))).to_be_visible()
    page.get_by_test_id("stSidebar").get_by_role("button", name="Undo", exact=True).click()
    for tab in (page, other):
        expect(tab.get_by_role("img", name=re.compile(r"crops of cluster \d+"))).to_have_count(6)
    check_no_error(page)
    check_no_error(other)
    assert watch.complaints == []


def test_another_k_transfers_names_and_a_snapshot_brings_them_back(server: Server, page: Page, watch: Watch) -> None:
    """The notice counts the names, its button takes them away; the history lists it all; a snapshot is returned to."""
    open_clusters(page, server)
    give_name(page, 0, "grass")
    give_name(page, 1, "water")
    page.get_by_role("button", name="History").click()
    page.get_by_role("textbox", name="Name of the snapshot").fill("two names")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("saved snapshot “two names”")).to_be_visible()
    page.keyboard.press("Escape")
    field = page.get_by_test_id("stMain").get_by_role("spinbutton", name="Any K")
    field.fill("12")
    field.press("Enter")
    notice = page.get_by_text(re.compile(r"names were transferred from K = 6"))
    expect(notice).to_be_visible()
    page.locator(".st-key-label_transfer").get_by_role("button", name="Undo", exact=True).click()
    expect(notice).to_have_count(0)
    page.get_by_role("button", name="History").click()
    expect(page.get_by_text(re.compile(r"undid: transferred \d+ names from K = 6"))).to_be_visible()
    page.get_by_role("button", name="Return", exact=True).click()
    expect(page.get_by_text("returned to snapshot “two names”")).to_have_count(0)  # nothing had changed since
    check_no_error(page)
    assert watch.complaints == []
