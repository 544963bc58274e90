"""The zoom in a real browser: wheel, dragging and navigator change the view; a click in it says what is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.workspace.masks.image_masks import mask_windows
from picie_core.workspace.workspace import Workspace
from tests.browser.stage import Server, Watch, running_app, wait_until_drawn
from tests.browser.test_whole_way import check_no_error
from tests.factories import draw_scene, embedded

pytestmark = pytest.mark.browser
WIDTH, HEIGHT = 1600, 1200
FACTS = re.compile(r"([\d,]+) × ([\d,]+) px at ([\d,]+), ([\d,]+)")


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A large image in tiles, in six clusters without names."""
    root = tmp_path_factory.mktemp("tiled")
    (root / "images").mkdir()
    Image.fromarray(draw_scene(0, HEIGHT, WIDTH)[0]).save(root / "images" / "large.png")
    made = embedded(root / "work", root / "images", "--downsample", "2", "--tile", "512", "--overlap", "128")
    assert run_command(COMMANDS, ["cluster", "--workspace", str(made.root), "--k", "6"]) == 0
    return made


@pytest.fixture
def app(space: Workspace, tmp_path: Path) -> Iterator[Server]:
    """The app on this workspace, started as the README says."""
    with running_app(tmp_path, ["--workspace", str(space.root)]) as started:
        yield started


def view_of(page: Page) -> tuple[int, ...]:
    """Width, height, left and top of the part that is shown, as the page says them."""
    wait_until_drawn(page)
    facts = page.locator(".st-key-zoom_row").get_by_text(FACTS)
    expect(facts).to_be_visible()
    found = FACTS.search(facts.inner_text())
    assert found is not None
    return tuple(int(number.replace(",", "")) for number in found.groups())


def test_one_finds_a_place_and_names_it(app: Server, space: Workspace, page: Page, watch: Watch) -> None:
    """Ctrl and the wheel zoom about the pointer, a drag moves, the navigator jumps; a click asks for its pixel."""
    page.goto(f"{app.url}/masks")
    stage = page.locator(".stage")
    expect(stage.locator(".image")).to_have_js_property("complete", True)
    wait_until_drawn(page)
    expect(page.locator(".navigator")).to_be_hidden()
    box = stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    expect(page.locator(".navigator")).to_be_visible()
    width, height, left, top = view_of(page)
    assert (width, height) == (1024, 768) and abs(left - 288) <= 2 and abs(top - 216) <= 2
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect(page.locator(".st-key-zoom_row")).not_to_contain_text(f"at {left:,}, {top:,}")
    assert view_of(page)[0] == 1024 and abs(view_of(page)[2] - (left + 256)) <= 3
    page.get_by_role("button", name="1:1").click()
    expect(page.locator(".st-key-zoom_row")).to_contain_text("960 × 720 px")
    wait_until_drawn(page)
    navigator = page.locator(".navigator").bounding_box()
    assert navigator is not None
    page.mouse.click(navigator["x"] + 2, navigator["y"] + navigator["height"] - 2)
    expect(page.locator(".st-key-zoom_row")).to_contain_text("960 × 720 px at 0, 480")
    wait_until_drawn(page)
    x, y = 240, 480 + 540
    page.mouse.click(box["x"] + (x + 0.5) / 960 * box["width"], box["y"] + (y - 480 + 0.5) / 720 * box["height"])
    run, record = space.current_run(), space.image_list().records[0]
    cluster = int(
        mask_windows(run, run.clustering(), record, None, dense=run.dense_features()).window(y, x, 1, 1)[0, 0]
    )
    expect(page.locator(".st-key-brush_row")).to_contain_text(f"Cluster {cluster}: no name yet")
    page.get_by_role("button", name="Fit").click()
    expect(page.locator(".navigator")).to_be_hidden()
    check_no_error(page)
    assert watch.complaints == []
