"""Takes the pictures of docs/screenshots: every screen empty, at work and full, light and dark.

    python docs/gallery.py --workspace W [--out docs/screenshots]

W is a workspace with an embedder, clusters and some names; what is at work is taken from new workspaces of its images,
so W is only looked at. The app is started as the README says and driven in headless Chromium.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from picie_core.workspace.workspace import Workspace  # noqa: E402
from tests.browser.stage import find_chromium, headless_chromium, running_app  # noqa: E402

SCREENS = ("Images", "Train", "Clusters", "Map", "Masks", "Export")
THEMES = ("light", "dark")
VIEW = {"width": 1400, "height": 900}
QUALITY = 80
IMAGE = "231"
"""The image on the Masks screen, by its number."""


def settled(page: Page) -> None:
    """Waits until the app has drawn all that it is going to draw by itself."""
    page.wait_for_timeout(500)  # for what was clicked to reach the server
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=120_000)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=120_000)
    page.wait_for_load_state("networkidle")


def take(page: Page, path: Path) -> None:
    """Stores what is on the screen."""
    page.mouse.move(700, 4)
    with Image.open(io.BytesIO(page.screenshot(animations="disabled"))) as shot:
        shot.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
    print(path.name, flush=True)


def visit(page: Page, screen: str) -> None:
    """Opens a screen by its link."""
    page.get_by_role("link", name=screen, exact=True).click()
    settled(page)


def empty(page: Page, save: Callable[[str], None]) -> None:
    """Every screen before there is a workspace."""
    for screen in SCREENS:
        visit(page, screen)
        save(f"{screen.lower()}-empty")


def full(page: Page, save: Callable[[str], None]) -> None:
    """Every screen of a workspace with names."""
    for screen in SCREENS:
        visit(page, screen)
        if screen == "Map":
            lasso(page)
        if screen == "Masks":
            page.get_by_test_id("stMain").get_by_role("spinbutton").first.fill(IMAGE)
            page.keyboard.press("Enter")
            settled(page)
        save(screen.lower())
        if screen == "Clusters":
            cluster_views(page, save)


def cluster_views(page: Page, save: Callable[[str], None]) -> None:
    """The other views of the Clusters screen; the review queue at a cluster of which two crops are picked."""
    for view in ("Look alike", "Tree", "Classes", "Choosing K", "Review queue"):
        page.get_by_role("radio", name=view, exact=True).click()
        settled(page)
        if view != "Review queue":
            save(f"clusters-{view.lower().replace(' ', '-')}")
    while not page.get_by_text("Do all crops show the same?").is_visible():
        at = page.get_by_text(re.compile(r" \d+ of \d+\.")).inner_text()
        page.get_by_role("button", name=re.compile("^(Skip|Yes, go on)")).click()
        expect(page.get_by_text(at)).to_be_hidden()
    sheet, title = page.get_by_role("img", name=re.compile("^Random crops")), page.locator(".st-key-naming_bar .title")
    box = sheet.bounding_box()
    assert box is not None
    for crop, picked in ((2, "1 crop"), (7, "2 crops")):
        sheet.click(position={"x": (crop + 0.5) * box["width"] / 12, "y": 0.1 * box["height"]})
        expect(title).to_have_text(picked)
    settled(page)
    save("clusters-review-queue")


def lasso(page: Page) -> None:
    """Draws a lasso over the middle of the map and waits for the crops beside it."""
    box = page.locator(".js-plotly-plot .nsewdrag").bounding_box()
    assert box is not None
    places = [(0.55, 0.35), (0.7, 0.35), (0.7, 0.6), (0.55, 0.6), (0.55, 0.37)]
    for i, (across, down) in enumerate(places):
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"], steps=5)
        if i == 0:
            page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("img", name=re.compile("Crops"))).to_be_visible(timeout=60_000)
    settled(page)


def wait_for_progress(page: Page) -> None:
    """Waits until a job says how far it is, and the page around it is drawn."""
    main = page.get_by_test_id("stMain")
    expect(main.get_by_role("button", name="Stop")).to_be_visible(timeout=60_000)
    expect(main.get_by_text(re.compile(r"\d+ of \d+"))).to_be_visible(timeout=60_000)
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def busy(page: Page, save: Callable[[str], None]) -> None:
    """Images while it embeds, Train while it trains, Map while UMAP is made, Export while it writes."""
    visit(page, "Images")
    page.get_by_role("button", name=re.compile("^Embed")).first.click()
    wait_for_progress(page)
    save("images-busy")
    visit(page, "Map")  # waits for the embedding
    page.get_by_role("radio", name="UMAP").click(timeout=400_000)
    page.get_by_role("button", name="Compute UMAP").click()
    wait_for_progress(page)
    save("map-busy")
    visit(page, "Train")
    page.get_by_role("button", name=re.compile("^Train")).click()
    expect(page.get_by_test_id("stMain").get_by_text(re.compile("epoch 2/")).first).to_be_visible(timeout=400_000)
    save("train-busy")
    page.get_by_role("button", name="Stop").first.click()


def main() -> None:
    """Takes all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "screenshots")
    parser.add_argument("--states", nargs="+", default=["empty", "full", "busy"])
    arguments = parser.parse_args()
    executable = find_chromium()
    if executable is None:
        sys.exit("no Chromium on the PATH")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with headless_chromium(executable) as browser:
        for theme in THEMES:
            for state in arguments.states:
                with tempfile.TemporaryDirectory() as folder:
                    shoot(browser, arguments, theme, state, Path(folder))


def shoot(browser: Browser, arguments: argparse.Namespace, theme: str, state: str, folder: Path) -> None:
    """Takes the pictures of one state in one theme, with an app of its own."""
    work: dict[str, tuple[Callable[[Page, Callable[[str], None]], None], list[str]]] = {
        "empty": (empty, []),
        "full": (full, ["--workspace", str(arguments.workspace)]),
        "busy": (busy, ["--workspace", str(folder / "work")]),
    }
    steps, words = work[state]
    if state == "busy":
        Workspace.create(folder / "work", Workspace.open(arguments.workspace).images_root).scan()
    with running_app(folder, words) as server:
        context = browser.new_context(viewport=VIEW, color_scheme="dark" if theme == "dark" else "light")
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(server.url)
        settled(page)
        ending = "" if theme == "light" else "-dark"
        steps(page, lambda name: take(page, arguments.out / f"{name}{ending}.webp"))
        context.close()


if __name__ == "__main__":
    main()
