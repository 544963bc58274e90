"""Speed of the Masks screen as a person meets it: the documented command, a real browser, a clock.

    python -m benchmarks.masks_speed --workspace W

W is copied, so nothing in it changes. Times from a click until the new picture is decoded on the screen. Needs the
packages of requirements-test.txt and Chromium. Prints a Markdown table; other work on the machine shows.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Page, expect

from benchmarks.app_speed import PATIENCE_MS, Figure, go_to, timed, visit
from picie_core.workspace.workspace import Workspace
from tests.browser.stage import find_chromium, headless_chromium

STEPS = 9
PLACES = ((0.5, 0.9), (0.5, 0.1), (0.1, 0.5), (0.9, 0.5), (0.5, 0.5), (0.3, 0.35), (0.7, 0.35), (0.2, 0.8), (0.8, 0.8))
"""Where the picture is clicked, as shares of its width and height: each click names what is there."""
PICTURE = re.compile("drawn over it")
STATE = (
    "image => image.complete && image.naturalWidth ? `${image.alt} ${image.src.length} ${image.src.slice(-400)}` : ''"
)
CHANGED = "([image, before]) => { const state = (" + STATE + ")(image); return state && state !== before }"
IDLE = "() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Gives a copy of a workspace, its clusterings included, without names; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="picie-speed-", dir=root.parent) as folder:
        left_out = shutil.ignore_patterns("exports", "labels.sqlite*")
        yield Path(shutil.copytree(root, Path(folder) / root.name, ignore=left_out))


def until_redrawn(page: Page, act: Callable[[], None]) -> float:
    """Returns the seconds from an act until the picture is another one."""
    page.wait_for_function(IDLE)
    image = page.get_by_role("img", name=PICTURE).element_handle()
    before = image.evaluate(STATE)
    start = time.perf_counter()
    act()
    page.wait_for_function(CHANGED, arg=[image, before], polling="raf", timeout=30_000)
    return time.perf_counter() - start


def click_at(page: Page, place: tuple[float, float]) -> None:
    """Clicks on the picture."""
    box = page.get_by_role("img", name=PICTURE).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"])


def paint_all(page: Page) -> list[float]:
    """Names what is at each place after another, each with a name of its own; returns the seconds until it shows."""
    page.get_by_role("radio", name="Class").click()
    seconds = []
    for number, place in enumerate(PLACES):
        page.wait_for_function(IDLE)
        field = page.get_by_role("combobox", name="Brush")
        field.fill(f"thing {number}")
        field.press("Enter")
        expect(field).to_have_value(f"thing {number}")
        page.wait_for_function(IDLE)
        if named_already(page, place):
            continue
        seconds.append(until_redrawn(page, lambda: click_at(page, place)))  # noqa: B023 (called at once)
    return seconds


def named_already(page: Page, place: tuple[float, float]) -> bool:
    """Whether what is at a place has a name, by what stands beside the pointer there."""
    box = page.get_by_role("img", name=PICTURE).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"])
    return not (page.locator(".tip").text_content() or "").startswith("cluster ")


def measure(root: Path) -> list[Figure]:
    """Returns the time of a page that is new, of one that was seen before, and from a name to its overlay."""
    executable = find_chromium()
    if executable is None:
        raise SystemExit("no Chromium on the PATH: install it first (Debian: apt-get install chromium)")
    with headless_chromium(executable) as browser, copied(root) as copy:
        images = len(Workspace.open(copy).image_list().readable)
        with visit(browser, ["--workspace", str(copy)]) as (_, page, _):
            go_to(page, "Masks")
            expect(page.get_by_role("img", name=PICTURE)).to_be_visible(timeout=PATIENCE_MS)
            forth, back = (page.get_by_role("button", name=re.compile(name)) for name in ("Next", "Previous"))
            new = [until_redrawn(page, forth.click) for _ in range(STEPS)]
            seen = [until_redrawn(page, back.click) for _ in range(STEPS)]
            named = paint_all(page)
    return [
        timed(f"{images} images: the next image on the Masks screen", 1, new),
        timed(f"{images} images: an image that was seen before", 1, seen),
        timed(f"{images} images: from a click that names a cluster to its overlay", 1, named),
    ]


def main(words: list[str]) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True, help="an embedded and clustered workspace")
    root = parser.parse_args(words).workspace.absolute()
    load = psutil.getloadavg()[0]
    figures = measure(root)
    print(f"{os.cpu_count()} cores, load {load:.1f} at the start and {psutil.getloadavg()[0]:.1f} at the end\n")
    print("| what | target | measured | met |\n|---|---:|---:|---|")
    print("\n".join(figure.line() for figure in figures))


if __name__ == "__main__":
    main(sys.argv[1:])
