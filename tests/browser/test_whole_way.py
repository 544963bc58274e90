"""The whole way in a real browser: one click on the sample to named masks on disk."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.film import Film
from tests.browser.stage import Server, Watch, wait_until_drawn

pytestmark = pytest.mark.browser
OVERLAY = re.compile("with its (clusters|classes) drawn over it")
ERRORS = "[data-testid=stException], [data-testid=stAlertContentError]"
FIRST_OVERLAY_MS = 120_000
EXPORT_MS = 90_000
K = 16
SCENES = 48


def go_to(page: Page, screen: str) -> None:
    """Opens a screen by its link and waits for its headline."""
    page.get_by_role("link", name=screen, exact=True).click()
    expect(page.get_by_role("heading", name=screen, exact=True)).to_be_visible()


def check_no_error(page: Page) -> None:
    """Nothing on the page is an exception, an error message or a broken picture."""
    errors = page.locator(ERRORS)
    assert errors.count() == 0, errors.all_inner_texts()
    # a picture that was replaced before it was fetched is asked for again, a few times
    page.wait_for_function("() => ![...document.images].some(one => one.complete && !one.naturalWidth)")


def wait_for(page: Page, awaited: Locator, timeout_ms: float) -> None:
    """Waits for something slow to be drawn; an error message ends the wait, and the test."""
    expect(awaited.or_(page.locator(ERRORS)).first).to_be_visible(timeout=timeout_ms)
    check_no_error(page)
    expect(awaited).to_be_visible()


def seen(picture: Locator) -> np.ndarray:
    """Returns a picture as it is on the screen: (height, width, 3) float32."""
    expect(picture).to_be_visible()
    picture.evaluate("image => image.decode()")
    with Image.open(io.BytesIO(picture.screenshot(animations="disabled"))) as shot:
        return np.asarray(shot.convert("RGB"), np.float32)


def name_field(page: Page, cluster: int) -> Locator:
    """Returns the field that names a cluster on its card; one that was replaced stays for a moment, unseen."""
    fields = page.get_by_test_id("stMain").get_by_role("combobox", name=re.compile(rf"Name of cluster {cluster}\b"))
    return fields.filter(visible=True)


def give_name(page: Page, cluster: int, name: str) -> None:
    """Types a name on the card of a cluster; the line above the cards counts it when it is in the workspace."""
    named = page.locator(".st-key-named")
    before = named.inner_text()
    name_field(page, cluster).click()
    name_field(page, cluster).fill(name)
    name_field(page, cluster).press("Enter")
    expect(named).not_to_have_text(before)
    expect(name_field(page, cluster)).to_have_value(name)


def try_the_sample(page: Page, url: str) -> None:
    """One click embeds the sample, with its progress, and ends at coloured clusters over an image."""
    page.goto(url)
    page.get_by_role("button", name="Try the sample").click()
    expect(page.get_by_role("progressbar").first).to_be_visible()
    wait_for(page, page.get_by_role("img", name=OVERLAY), FIRST_OVERLAY_MS)
    expect(page.get_by_role("heading", name="Masks", exact=True)).to_be_visible()


def change_k(page: Page) -> None:
    """Another K gives that many clusters, each a card with crops."""
    go_to(page, "Clusters")
    expect(page.get_by_role("img", name=re.compile("crops of cluster 0"))).to_be_visible()
    field = page.get_by_role("spinbutton", name="Any K")
    field.fill(str(K))
    field.press("Enter")
    expect(page.get_by_test_id("stMain").get_by_text(f"{K} clusters")).to_be_visible()
    wait_until_drawn(page)  # until then the cards may be those of the K before
    expect(page.get_by_role("img", name=re.compile(r"Typical crops of cluster \d+"))).to_have_count(12)
    check_no_error(page)


def name_two_clusters(page: Page, context: BrowserContext) -> None:
    """Names are there after a reload and in a second tab; what the second tab names shows in the first by itself."""
    give_name(page, 0, "sky")
    give_name(page, 1, "ground")
    page.reload()
    expect(name_field(page, 0)).to_have_value("sky")
    expect(name_field(page, 1)).to_have_value("ground")
    second = context.new_page()
    second.goto(page.url)
    expect(name_field(second, 0)).to_have_value("sky")
    expect(name_field(second, 1)).to_have_value("ground")
    give_name(second, 2, "ground")
    expect(name_field(page, 2)).to_have_value("ground")
    check_no_error(second)
    check_no_error(page)
    second.close()


def look_at_masks(page: Page) -> None:
    """The overlay colours the image: it differs from the untouched one beside it, and has the names in its legend."""
    go_to(page, "Masks")
    page.get_by_text("Show the original beside it").click()
    plain = seen(page.get_by_role("img", name=re.compile("untouched$")))
    painted = seen(page.get_by_role("img", name=OVERLAY))
    height, width = np.minimum(plain.shape[:2], painted.shape[:2])
    changed = np.abs(plain[:height, :width] - painted[:height, :width]).max(-1) > 12
    assert changed.mean() > 0.6, f"only {changed.mean():.0%} of the picture is coloured"
    assert plain.std() > 10 and painted.std() > 10
    page.get_by_role("radio", name="class").click()
    expect(page.get_by_role("img", name=re.compile("with its classes drawn over it"))).to_be_visible()
    expect(page.get_by_text("2 classes named")).to_be_visible()
    check_no_error(page)


def look_at_the_map(page: Page) -> None:
    """The map draws thousands of points in many colours, and a lasso fills the mosaic beside it."""
    go_to(page, "Map")
    chart = page.locator(".js-plotly-plot")
    expect(page.get_by_text(re.compile(r"10,000 points of [\d,]+ sampled pixels"))).to_be_visible()
    expect(chart.locator("canvas.gl-canvas-context")).to_be_visible()
    points = chart.evaluate("plot => plot._fullData.reduce((sum, trace) => sum + trace._length, 0)")
    assert points == 10_000
    box = chart.locator(".nsewdrag").bounding_box()
    assert box is not None
    x, y, width, height = box["x"], box["y"], box["width"], box["height"]
    page.mouse.move(x + 0.2 * width, y + 0.1 * height)
    page.mouse.down()
    for across, down in ((0.8, 0.1), (0.8, 0.9), (0.2, 0.9), (0.2, 0.12)):
        page.mouse.move(x + across * width, y + down * height, steps=4)
    page.mouse.up()
    expect(page.get_by_role("img", name=re.compile("Crops around"))).to_be_visible()
    check_no_error(page)


def write_masks(page: Page, home: Path) -> Path:
    """Writes index PNG masks and returns the folder; the download holds the same files."""
    go_to(page, "Export")
    page.get_by_role("button", name=f"Write {SCENES} masks").click()
    button = page.get_by_role("button", name="Download")
    wait_for(page, button, EXPORT_MS)
    (folder,) = (home / "workspaces" / "sample" / "exports").glob("png-*")
    with page.expect_download() as started:
        button.click()
    with zipfile.ZipFile(started.value.path()) as archive:
        zipped = {Path(name).name for name in archive.namelist()}
    assert zipped >= {path.name for path in folder.rglob("*.png")} | {"classes.txt"}
    return folder


def check_masks(folder: Path) -> None:
    """The masks have the size of their images, hold ids of the two classes or 255, and the names stand beside them."""
    assert (folder / "classes.txt").read_text(encoding="utf-8").split() == ["sky", "ground"]
    masks = sorted((folder / "masks").glob("*.png"))
    assert [path.stem for path in masks] == [f"scene_{number:03d}" for number in range(SCENES)]
    values = set()
    for path in masks:
        with Image.open(path) as mask:
            assert (mask.mode, mask.size) == ("L", (320, 240)), path.name
            values |= set(np.unique(np.asarray(mask)).tolist())
    assert values == {0, 1, 255}


@pytest.fixture
def film(request: pytest.FixtureRequest) -> Iterator[Film]:
    """Pictures of the way, stored where `--film` says."""
    path = request.config.getoption("--film")
    made = Film(Path(path) if path else None)
    yield made
    made.save()


def test_whole_way(server: Server, page: Page, context: BrowserContext, watch: Watch, film: Film) -> None:
    """A new user gets from the sample to named masks without an error, and nothing leaves the machine."""
    page.goto(server.url)
    expect(page.get_by_role("button", name="Try the sample")).to_be_visible()
    film.shot(page)
    try_the_sample(page, server.url)
    film.shot(page)
    change_k(page)
    film.shot(page)
    name_two_clusters(page, context)
    film.shot(page)
    look_at_masks(page)
    film.shot(page)
    look_at_the_map(page)
    film.shot(page)
    check_masks(write_masks(page, server.home))
    film.shot(page, 2.5)
    assert not watch.complaints, "\n".join(watch.complaints)
    assert "Traceback" not in server.log.read_text()
