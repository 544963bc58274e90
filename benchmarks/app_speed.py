"""Speed and memory of the app as a person meets them: the documented command, a real browser, a clock.

    python -m benchmarks.app_speed                     the sample only
    python -m benchmarks.app_speed --workspace W       and moving K and naming on a workspace of your own

W is copied, so nothing in it changes; its stored clusterings are left out of the copy, so that every K is computed:
the usual ones (12, 27, 60, 100) by the app beside the page, the others when they are asked for.
Needs the packages of requirements-test.txt and Chromium. Prints a Markdown table; other work on the machine shows.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, expect

from app.session.clustering import QUICK_K
from picie_core.workspace.workspace import Workspace
from tests.browser.stage import Server, find_chromium, headless_chromium, running_app

KS = (30, 60, 45, 100, 80)
PATIENCE_MS = 180_000
SAMPLED_EVERY_S = 0.2
# drawn for this K: the headline says so, and every card's picture is new, loaded and not greyed as out of date
REDRAWN = """([k, before]) => {
  const main = document.querySelector('[data-testid="stMain"]');
  const sheets = [...main.querySelectorAll('img[alt*="crops of cluster"]')];
  const fresh = sheets.filter(sheet => sheet.complete && sheet.naturalWidth > 0 && !before.includes(sheet.src)
    && !sheet.closest('[data-stale="true"]'));
  return main.innerText.includes(`${k} clusters`) && sheets.length === Math.min(k, 12)
    && fresh.length === sheets.length;
}"""
# named: the card of the cluster has the name (unless its page was left), and the line above says another share
NAMED = """([cluster, name, before]) => {
  const card = document.querySelector(`.st-key-card_${cluster} input[role=combobox]`);
  return (!card || card.value === name) && document.querySelector('.st-key-named').innerText !== before;
}"""
NAMES = ("road", "sky", "building", "tree", "pavement", "car", "fence", "pole")


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    target: str
    measured: str
    met: bool

    def line(self) -> str:
        """Returns the line in Markdown."""
        return f"| {self.what} | {self.target} | {self.measured} | {'yes' if self.met else 'no'} |"


class Memory:
    """The most memory that the server and the jobs that it started held at once, in bytes resident."""

    def __init__(self) -> None:
        self.server = 0
        self.family = 0

    @contextmanager
    def watching(self, process: psutil.Process) -> Iterator[None]:
        """Looks several times a second while the block runs."""
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(process, done), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _watch(self, process: psutil.Process, done: threading.Event) -> None:
        while not done.wait(SAMPLED_EVERY_S):
            held = [resident(process)]
            held += [resident(child) for child in process.children(recursive=True)]
            self.server, self.family = max(self.server, held[0]), max(self.family, sum(held))


def resident(process: psutil.Process) -> int:
    """Returns the bytes that a process holds, 0 once it is gone."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


@contextmanager
def visit(browser: Browser, arguments: list[str]) -> Iterator[tuple[Server, Page, float]]:
    """Gives a new server, a tab that has its first page drawn, and the seconds from the command until then."""
    with tempfile.TemporaryDirectory(prefix="picie-speed-") as folder:
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        start = time.perf_counter()
        with running_app(Path(folder), arguments) as server:
            page.goto(server.url)
            first = "Choose images" if not arguments else "Images"
            expect(page.get_by_role("heading", name=first, exact=True)).to_be_visible(timeout=PATIENCE_MS)
            expect(page.get_by_test_id("stMain").get_by_role("img").first).to_be_visible(timeout=PATIENCE_MS)
            yield server, page, time.perf_counter() - start
        page.close()


def measure_sample(browser: Browser, repeats: int) -> list[Figure]:
    """Returns the time to the first page, from the click on the sample to its first overlay, and the memory."""
    first_page, overlay, memory = [], [], Memory()
    for _ in range(repeats):
        with visit(browser, []) as (server, page, seconds), memory.watching(server.process):
            first_page.append(seconds)
            start = time.perf_counter()
            page.get_by_role("button", name="Try the sample").click()
            painted = page.get_by_role("img", name=re.compile("with its clusters drawn over it"))
            expect(painted).to_be_visible(timeout=PATIENCE_MS)
            painted.evaluate("image => image.decode()")
            overlay.append(time.perf_counter() - start)
    return [
        timed("from the command to the first page", 5, first_page),
        timed("sample: from one click to the first coloured overlay", 30, overlay),
        weighed("sample: app server", memory.server),
        weighed("sample: app server with the jobs that it starts", memory.family),
    ]


def measure_workspace(browser: Browser, root: Path, ks: list[int]) -> list[Figure]:
    """Returns the time from a new K to redrawn mosaics on a workspace, and the memory over all screens."""
    memory = Memory()
    with copied(root) as copy, visit(browser, ["--workspace", str(copy)]) as (server, page, _):
        images = len(Workspace.open(copy).image_list().readable)
        with memory.watching(server.process):
            go_to(page, "Clusters")
            wait_for_cards(page, 27, [])
            moved = [move_k(page, k) for k in ks]
            named = [name_next(page, name) for name in NAMES]
            for screen, picture in (("Map", ".js-plotly-plot"), ("Masks", "img[alt*='drawn over it']")):
                go_to(page, screen)
                expect(page.locator(picture).first).to_be_visible(timeout=PATIENCE_MS)
    usual = [(k, seconds) for k, seconds in zip(ks, moved, strict=True) if k in QUICK_K]
    other = [(k, seconds) for k, seconds in zip(ks, moved, strict=True) if k not in QUICK_K]
    return [
        *(
            timed(
                f"{images} images: from {name} K to redrawn mosaics (K = {', '.join(str(k) for k, _ in group)})",
                1.5,
                [seconds for _, seconds in group],
            )
            for name, group in (("a usual", usual), ("any other", other))
            if group
        ),
        timed(f"{images} images: from Enter to the name on its card and the new share", 0.3, named),
        weighed(f"{images} images: app server after all screens", memory.server),
    ]


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Gives a copy of a workspace without its clusterings, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="picie-speed-", dir=root.parent) as folder:
        yield Path(shutil.copytree(root, Path(folder) / root.name, ignore=shutil.ignore_patterns("derived", "exports")))


def go_to(page: Page, screen: str) -> None:
    """Opens a screen by its link."""
    page.get_by_role("link", name=screen, exact=True).click()
    expect(page.get_by_role("heading", name=screen, exact=True)).to_be_visible(timeout=PATIENCE_MS)


def wait_for_cards(page: Page, k: int, before: list[str]) -> None:
    """Returns once the cards of K clusters are drawn, all with other pictures than those `before`."""
    page.wait_for_function(REDRAWN, arg=[k, before], polling="raf")


def move_k(page: Page, k: int) -> float:
    """Types another K and returns the seconds until the mosaics of it are on the screen."""
    before = page.locator("img[alt*='crops of cluster']").evaluate_all("sheets => sheets.map(sheet => sheet.src)")
    field = page.get_by_role("spinbutton", name="Any K")
    field.fill(str(k))
    start = time.perf_counter()
    field.press("Enter")
    wait_for_cards(page, k, before)
    return time.perf_counter() - start


def name_next(page: Page, name: str) -> float:
    """Types a name for the cluster in focus and returns the seconds until it is on its card and counted."""
    bar = page.locator(".st-key-naming_bar")
    cluster, before = bar.locator(".title").inner_text(), page.locator(".st-key-named").inner_text()
    bar.get_by_role("combobox").fill(name)
    start = time.perf_counter()
    bar.get_by_role("combobox").press("Enter")
    page.wait_for_function(NAMED, arg=[cluster, name, before], polling="raf")
    seconds = time.perf_counter() - start
    expect(bar.locator(".title")).not_to_have_text(cluster)
    return seconds


def timed(what: str, target_s: float, seconds: list[float]) -> Figure:
    """Returns the median of some times, and all of them."""
    middle = statistics.median(seconds)
    digits = 1 if target_s >= 1 else 2
    each = f" ({', '.join(f'{one:.{digits}f}' for one in seconds)})" if len(seconds) > 1 else ""
    return Figure(what, f"{target_s:g} s", f"{middle:.{digits}f} s{each}", middle <= target_s)


def weighed(what: str, held: int) -> Figure:
    """Returns the most memory held, against the limit of 2.5 GB."""
    return Figure(what, "2.5 GB", f"{held / 1e9:.2f} GB", held < 2.5e9)


def parse(words: list[str]) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, help="an embedded workspace to move K on")
    parser.add_argument("--ks", type=int, nargs="+", default=list(KS), help="the K to move to, one after the other")
    parser.add_argument("--repeats", type=int, default=3, help="how often the sample is tried (default 3)")
    return parser.parse_args(words)


def main(words: list[str]) -> None:
    """Measures and prints the table."""
    options = parse(words)
    executable = find_chromium()
    if executable is None:
        raise SystemExit("no Chromium on the PATH: install it first (Debian: apt-get install chromium)")
    load = psutil.getloadavg()[0]
    with headless_chromium(executable) as browser:
        figures = measure_sample(browser, options.repeats)
        if options.workspace:
            figures += measure_workspace(browser, options.workspace.absolute(), options.ks)
    print(f"{os.cpu_count()} cores, load {load:.1f} at the start and {psutil.getloadavg()[0]:.1f} at the end\n")
    print("| what | target | measured | met |\n|---|---:|---:|---|")
    print("\n".join(figure.line() for figure in figures))


if __name__ == "__main__":
    main(sys.argv[1:])
