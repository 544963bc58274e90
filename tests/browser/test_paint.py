"""Paint to name in a real browser: a click on the picture, a contradiction, a split of that cluster alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.clustering.clustering import Clustering
from picie_core.segmentation.masks import cluster_mask
from picie_core.workspace.workspace import Workspace
from tests.browser.stage import REPOSITORY, Server, Watch, running_app
from tests.browser.test_whole_way import OVERLAY, check_no_error

pytestmark = pytest.mark.browser
WIDTH, HEIGHT = 320, 240
IMAGES = range(0, 48, 8)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, embedded with random weights, in eight clusters without names; no test writes there."""
    work = str(tmp_path_factory.mktemp("embedded") / "work")
    embed = ["embed", str(REPOSITORY / "sample_data" / "images"), "--workspace", work, "--weights", "none"]
    assert run_command(COMMANDS, [*embed, "--size", "120", "--pixels", "20000", "--dim", "32"]) == 0
    assert run_command(COMMANDS, ["cluster", "--workspace", work, "--k", "8"]) == 0
    return Path(work)


@pytest.fixture
def space(embedded: Path, tmp_path: Path) -> Workspace:
    """A copy to write in."""
    shutil.copytree(embedded, tmp_path / "work")
    return Workspace.open(tmp_path / "work")


@pytest.fixture
def app(space: Workspace, tmp_path: Path) -> Iterator[Server]:
    """The app on this workspace, started as the README says."""
    with running_app(tmp_path, ["--workspace", str(space.root)]) as started:
        yield started


def masks(space: Workspace) -> tuple[dict[int, np.ndarray], Clustering]:
    """The clusters of some images at full size, as they are now on disk."""
    run = space.current_run()
    found, dense = run.clustering(), run.dense_features()
    return {image: cluster_mask(dense.get(image), found, HEIGHT, WIDTH) for image in IMAGES}, found


def names(space: Workspace) -> dict[int, str]:
    """The name of each named cluster, as it is now on disk."""
    classes = {item.id: item.name for item in space.label_map.classes()}
    key = space.current_run().clustering().key
    return {cluster: classes[owner] for cluster, owner in space.label_map.classes_of(key).items()}


def deep_inside(mask: np.ndarray, cluster: int) -> list[tuple[int, int]]:
    """Places (x, y) of a cluster whose surroundings are of it too, from the top to the bottom."""
    inside = mask == cluster
    deep = np.ones_like(inside[4:-4, 4:-4])
    for y in (0, 4, 8):
        for x in (0, 4, 8):
            deep &= inside[y : y + deep.shape[0], x : x + deep.shape[1]]
    return [(int(x) + 4, int(y) + 4) for y, x in np.argwhere(deep)]


def picture(page: Page) -> Locator:
    """The picture that takes clicks."""
    return page.get_by_role("img", name=OVERLAY)


def choose(page: Page, name: str) -> None:
    """Says what is painted from now on."""
    field = page.get_by_role("combobox", name="Brush")
    field.click()
    field.fill(name)
    field.press("Enter")
    expect(field).to_have_value(name)


def point(page: Page, place: tuple[int, int], to: tuple[int, int] | None = None) -> None:
    """Clicks at a pixel of the image, or brushes from there to another one."""
    box = picture(page).bounding_box()
    assert box is not None
    spots = [(box["x"] + (x + 0.5) * box["width"] / WIDTH, box["y"] + (y + 0.5) * box["height"] / HEIGHT)
             for x, y in (place, to or place)]  # fmt: skip
    page.mouse.move(*spots[0])
    page.mouse.down()
    if to is not None:
        page.mouse.move(*spots[1], steps=12)
    page.mouse.up()


def test_paint_to_name(space: Workspace, app: Server, page: Page, watch: Watch) -> None:
    """A click names the cluster under it; a contradicting one offers a split, which changes only that cluster."""
    before, _ = masks(space)
    ranked = [int(cluster) for cluster in np.argsort(-np.bincount(before[0].ravel()))]
    cluster, other = ranked[:2]
    places = deep_inside(before[0], cluster)
    page.goto(f"{app.url}/masks")
    expect(picture(page)).to_be_visible()

    point(page, places[0])
    expect(page.get_by_text(f"Cluster {cluster}: no name yet")).to_be_visible()
    assert names(space) == {}

    choose(page, "water")
    point(page, places[0])
    expect(page.get_by_text(f"Now called water: cluster {cluster}.")).to_be_visible()
    assert names(space) == {cluster: "water"}

    choose(page, "shore")
    brushed = deep_inside(before[0], other)
    point(page, brushed[0], to=brushed[1])
    expect(page.get_by_text(f"Now called shore: cluster {other}.")).to_be_visible()
    assert names(space) == {cluster: "water", other: "shore"}

    point(page, places[-1])
    expect(page.get_by_text(f"Cluster {cluster} is water.")).to_be_visible()
    page.get_by_role("button", name=re.compile("Split off")).click()
    expect(page.get_by_text(f"Cluster {cluster} is split")).to_be_visible()
    after, now = masks(space)
    assert now.k == 9 and names(space) == {cluster: "water", other: "shore", 8: "shore"}
    x, y = places[-1]
    assert after[0][y, x] == 8 and after[0][places[0][1], places[0][0]] == cluster
    for image, mask in before.items():
        np.testing.assert_array_equal(after[image][mask != cluster], mask[mask != cluster])
    check_no_error(page)
    assert not watch.complaints, "\n".join(watch.complaints)


def test_pointing_without_a_mouse(space: Workspace, app: Server, page: Page, watch: Watch) -> None:
    """The arrow keys turn pages, and on the picture they move the mark, whose place Enter asks about."""
    page.goto(f"{app.url}/masks")
    expect(picture(page)).to_have_attribute("alt", re.compile("scene_000"))
    page.get_by_role("heading", name="Masks", exact=True).click()
    page.keyboard.press("ArrowRight")
    expect(picture(page)).to_have_attribute("alt", re.compile("scene_001"))
    stage = page.get_by_role("application")
    expect(stage).to_have_attribute("aria-label", re.compile("Enter clicks"))
    stage.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    spoken = stage.locator(".spoken")
    expect(spoken).to_have_text(re.compile(r"cluster \d"))
    title = spoken.text_content() or ""
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"{title.capitalize()}: no name yet")).to_be_visible()
    expect(picture(page)).to_have_attribute("alt", re.compile("scene_001"))  # the page was not turned
    assert not watch.complaints, "\n".join(watch.complaints)
