"""Pictures in a real browser: one that a run of the script took away before it was fetched comes all the same."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from picie_core.workspace.workspace import Workspace
from tests.browser.stage import running_app

pytestmark = pytest.mark.browser
ALL_LOADED = "() => [...document.images].every(one => one.complete && one.naturalWidth > 0)"


def test_a_picture_that_is_lost_at_first_is_asked_for_again(finished_copy: Workspace, page: Page, tmp_path: Path):
    """Each picture is refused twice, as when it is gone, and is on the page in the end."""
    asked = Counter[str]()

    def refuse_twice(route: Route) -> None:
        asked[route.request.url] += 1
        if asked[route.request.url] <= 2:
            route.fulfill(status=404)
        else:
            route.continue_()

    page.route("**/media/**", refuse_twice)
    (tmp_path / "app").mkdir()
    with running_app(tmp_path / "app", ["--workspace", str(finished_copy.root)]) as server:
        page.goto(f"{server.url}/clusters")
        sheets = page.get_by_role("img", name=re.compile(r"crops of cluster \d+"))
        expect(sheets).to_have_count(6, timeout=90_000)
        page.wait_for_function(ALL_LOADED, timeout=30_000)
        assert sorted(asked.values())[-6:] == [3] * 6
