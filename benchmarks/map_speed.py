"""How fast the Map screen is, in a real browser: first paint, lasso to mosaic, pointer to crop; and UMAP, cold.

    python -m benchmarks.map_speed --workspace W [--repeats 5] [--no-umap]

W is copied, so nothing in it changes; it needs an embedder and a clustering. Needs the packages of
requirements-test.txt and Chromium. Prints a Markdown table; other work on the machine shows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Page, expect

from benchmarks.app_speed import PATIENCE_MS, Figure, go_to, timed, visit
from picie_core.workspace.workspace import Workspace
from tests.browser.stage import find_chromium, headless_chromium

LASSO_PIXELS = 2_000
PAINTED = """() => { const plot = document.querySelector(".js-plotly-plot")
  return plot?._fullData && plot.calcdata && plot.querySelector("canvas.gl-canvas-context")
    && plot._fullData.reduce((sum, trace) => sum + trace._length, 0) >= 10000 }"""
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
PLACES = """(plot, at) => { const { xaxis: x, yaxis: y } = plot._fullLayout, box = plot.getBoundingClientRect()
  return at.map(([across, down]) => [box.x + x._offset + x.l2p(across), box.y + y._offset + y.l2p(down)]) }"""
POINTS = "plot => { const { x, y } = plot._fullData[0]; return Array.from(x, (one, i) => [one, y[i]]) }"
MOSAIC = """before => { const image = document.querySelector('img[alt*="Crops around"]')
  return image?.complete && image.naturalWidth > 0 && image.src !== before && !image.closest('[data-stale="true"]') }"""
CROP = """before => { for (const one of document.querySelectorAll("*")) {
  const image = one.shadowRoot?.querySelector("#card img")
  if (image) return image.style.visibility === "visible" && image.src !== before } }"""
SHOWN = """() => { for (const one of document.querySelectorAll("*")) {
  const image = one.shadowRoot?.querySelector("#card img")
  if (image) return image.src } }"""


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Gives a copy of a workspace without its exports and maps, removed at the end."""
    ignored = shutil.ignore_patterns("exports", "umap-*")
    with tempfile.TemporaryDirectory(prefix="picie-map-", dir=root.parent) as folder:
        yield Path(shutil.copytree(root, Path(folder) / root.name, ignore=ignored))


def first_paint(page: Page) -> float:
    """Returns the seconds from the click on Map until its points are drawn."""
    go_to(page, "Clusters")
    expect(page.locator("img[alt*='crops of cluster']").last).to_be_visible(timeout=PATIENCE_MS)
    start = time.perf_counter()
    page.get_by_role("link", name="Map", exact=True).click()
    page.wait_for_function(PAINTED, polling="raf")
    page.evaluate(TWO_FRAMES)
    return time.perf_counter() - start


def circles(pca: np.ndarray, count: int) -> list[np.ndarray]:
    """Returns lassos, (24, 2) each, around LASSO_PIXELS of the sampled pixels."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    around = []
    for row in np.random.default_rng(0).choice(len(pca), count, replace=False):
        away = np.linalg.norm(pca - pca[row], axis=1)
        radius = np.partition(away, min(LASSO_PIXELS, len(pca) - 1))[min(LASSO_PIXELS, len(pca) - 1)]
        around.append(pca[row] + radius * np.stack([np.cos(turn), np.sin(turn)], 1))
    return around


def lasso(page: Page, corners: np.ndarray) -> float:
    """Draws a lasso and returns the seconds from its end until the mosaic of it is on the screen."""
    places = page.locator(".js-plotly-plot").evaluate(PLACES, corners.tolist())
    mosaic = page.locator("img[alt*='Crops around']")
    before = mosaic.get_attribute("src") if mosaic.count() else None
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in [*places[1:], places[0]]:
        page.mouse.move(*place)
    start = time.perf_counter()
    page.mouse.up()
    page.wait_for_function(MOSAIC, arg=before and page.evaluate("path => new URL(path, location).href", before))
    return time.perf_counter() - start


def hover(page: Page, at: list[float]) -> float:
    """Moves the pointer to a point and returns the seconds until its crop is shown."""
    (place,) = page.locator(".js-plotly-plot").evaluate(PLACES, [at])
    before = page.evaluate(SHOWN)
    page.mouse.move(place[0] - 1, place[1])
    start = time.perf_counter()
    page.mouse.move(*place)
    page.wait_for_function(CROP, arg=before, polling="raf")
    return time.perf_counter() - start


def measure_screen(root: Path, repeats: int) -> list[Figure]:
    """Returns the times of the screen."""
    executable = find_chromium()
    if executable is None:
        raise SystemExit("no Chromium on the PATH: install it first (Debian: apt-get install chromium)")
    space = Workspace.open(root)
    pca = np.asarray(space.current_run().sample().pca)
    with headless_chromium(executable) as browser, visit(browser, ["--workspace", str(root)]) as (_, page, _start):
        cold = first_paint(page)
        warm = [first_paint(page) for _ in range(repeats)]
        lassos = [lasso(page, corners) for corners in circles(pca, repeats + 1)][1:]
        points = page.locator(".js-plotly-plot").evaluate(POINTS)
        hovers = [hover(page, at) for at in points[:: len(points) // (repeats + 1)][: repeats + 1]][1:]
    return [
        timed("Map: first paint in a new browser, with Plotly to load", 2, [cold]),
        timed("Map: first paint of 10,000 points", 2, warm),
        timed(f"Map: from a lasso around {LASSO_PIXELS:,} pixels to their mosaic", 1, lassos),
        timed("Map: from the pointer to the crop of a point", 0.3, hovers),
    ]


def measure_umap(root: Path) -> list[Figure]:
    """Returns the time of a UMAP of 10,000 points in a cold process, by the clock and of the processor."""
    command = [sys.executable, "-m", "picie_core", "project", "--workspace", str(root), "--json"]
    start = time.perf_counter()
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    clock = time.perf_counter() - start
    used = json.loads(said.stdout.splitlines()[-1])["cpu_seconds"]
    return [
        timed("UMAP of 10,000 points and places for all others, cold process", 30, [clock]),
        timed("the same, processor seconds", 30, [used]),
    ]


def main(words: list[str]) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True, help="an embedded and clustered workspace")
    parser.add_argument("--repeats", type=int, default=5, help="how often each is measured (default 5)")
    parser.add_argument("--no-umap", action="store_true", help="leave UMAP out")
    options = parser.parse_args(words)
    load = psutil.getloadavg()[0]
    with copied(options.workspace.absolute()) as root:
        figures = measure_screen(root, options.repeats) + ([] if options.no_umap else measure_umap(root))
    print(f"{os.cpu_count()} cores, load {load:.1f} at the start and {psutil.getloadavg()[0]:.1f} at the end\n")
    print("| what | target | measured | met |\n|---|---:|---:|---|")
    print("\n".join(figure.line() for figure in figures))


if __name__ == "__main__":
    main(sys.argv[1:])
