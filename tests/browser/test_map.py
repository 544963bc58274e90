"""The Map screen in a real browser: lasso, mosaic, name; legend, pointer and zoom, which only a browser has."""

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
from picie_core.clustering.lasso import selected_rows
from picie_core.workspace.workspace import Workspace
from tests.browser.stage import REPOSITORY, Server, Watch, running_app, wait_until_drawn
from tests.browser.test_whole_way import check_no_error, go_to

pytestmark = pytest.mark.browser
K = 12
PIXELS = 20_000
SMALL = ("--weights", "none", "--size", "120", "--pixels", str(PIXELS), "--dim", "32")
DRAWN = """() => { const plot = document.querySelector(".js-plotly-plot")
  return plot?._fullData && plot.calcdata && plot._fullData.reduce((sum, trace) => sum + trace._length, 0) >= 10000 }"""
# where points of a trace are on the screen
ON_SCREEN = """(plot, number) => { const { xaxis: x, yaxis: y } = plot._fullLayout, box = plot.getBoundingClientRect()
  const { x: across, y: down } = plot._fullData[number]
  return Array.from(across, (value, i) =>
    [box.x + x._offset + x.l2p(value), box.y + y._offset + y.l2p(down[i])]) }"""
CARD = """() => { for (const one of document.querySelectorAll("*")) {
  const card = one.shadowRoot?.querySelector("#card"), image = card?.querySelector("img")
  if (card) return { shown: getComputedStyle(card).display !== "none", text: card.innerText,
    picture: image.naturalWidth, seen: image.style.visibility === "visible" } } }"""


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample images, embedded and clustered on the command line; tests work on copies."""
    root = str(tmp_path_factory.mktemp("map") / "work")
    images = str(REPOSITORY / "sample_data" / "images")
    assert run_command(COMMANDS, ["embed", images, "--workspace", root, *SMALL]) == 0
    assert run_command(COMMANDS, ["cluster", "--workspace", root, "--k", str(K)]) == 0
    return Path(root)


@pytest.fixture
def workspace(made_once: Path, tmp_path: Path) -> Workspace:
    """A copy of it."""
    return Workspace.open(shutil.copytree(made_once, tmp_path / "work"))


@pytest.fixture
def server(workspace: Workspace, tmp_path: Path) -> Iterator[Server]:
    """The app with that workspace."""
    with running_app(tmp_path, ["--workspace", str(workspace.root)]) as started:
        yield started


def open_map(page: Page, url: str) -> Locator:
    """Opens the Map screen and returns its chart once all points are drawn."""
    page.goto(url)
    go_to(page, "Map")
    page.wait_for_function(DRAWN)
    return page.locator(".js-plotly-plot")


def lasso(page: Page, chart: Locator, corners: list[tuple[float, float]]) -> None:
    """Draws a lasso; corners are parts of the width and height of the drawing, 0 to 1."""
    box = chart.locator(".nsewdrag").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in [*places[1:], places[0]]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def count_selected(page: Page) -> int:
    """Returns how many pixels the page says are selected."""
    facts = page.get_by_text(re.compile(r"[\d,]+ of 20,000 sampled pixels"))
    expect(facts).to_be_visible()
    return int(facts.inner_text().split(" of ")[0].replace(",", ""))


def test_lasso_to_mosaic_to_name(server: Server, workspace: Workspace, page: Page, watch: Watch) -> None:
    """What is drawn around is selected in the whole sample, shown as crops, and the clusters inside get one name."""
    chart = open_map(page, server.url)
    lasso(page, chart, [(0.02, 0.02), (0.5, 0.02), (0.5, 0.98), (0.02, 0.98)])
    mosaic = page.get_by_role("img", name=re.compile("Crops around 20 of the selected pixels"))
    expect(mosaic).to_be_visible()
    assert mosaic.evaluate("image => image.decode().then(() => image.naturalWidth)") == 5 * 100 - 4
    run = workspace.current_run()
    found, pca = run.clustering(), np.asarray(run.sample().pca)
    drawn = chart.evaluate("plot => plot.layout.selections[0].path")
    corners = np.array([[float(x) for x in pair.split(",")] for pair in drawn.strip("MZ").split("L")])
    selected = selected_rows(pca, {"lasso": [{"x": corners[:, 0], "y": corners[:, 1]}]})
    assert count_selected(page) == len(selected) > 1000
    inside = np.bincount(found.labels[selected], minlength=K) / found.counts
    mostly = [cluster for cluster in range(K) if inside[cluster] > 0.5]
    field = page.get_by_role("combobox", name="Name of the checked clusters")
    field.fill("meadow")
    field.press("Enter")
    expect(page.get_by_text(f"{len(mostly)} clusters: meadow")).to_be_visible()
    assert sorted(workspace.label_map.classes_of(found.key)) == mostly and mostly
    page.get_by_role("radio", name="Class", exact=True).click()
    page.wait_for_function("() => document.querySelector('.js-plotly-plot')?._fullData?.length === 2")
    assert count_selected(page) == len(selected)
    expect(chart).to_have_count(1)
    assert chart.evaluate("plot => plot.layout.selections.length") == 1
    dimmed = chart.evaluate("plot => plot._fullData.reduce((sum, trace) => sum + trace.selectedpoints.length, 0)")
    assert 0 < dimmed < 10_000
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Draw a lasso around some points")).to_be_visible()
    check_no_error(page)
    assert not watch.complaints, "\n".join(watch.complaints)


def test_what_the_legend_hides_is_not_selected(server: Server, workspace: Workspace, page: Page) -> None:
    """A double click in the legend leaves one cluster; a lasso around everything then holds only that one.

    Not quite all of it: the few pixels beyond the outermost points that are shown lie outside of the drawing.
    """
    chart = open_map(page, server.url)
    line = chart.locator(".legendtoggle").nth(2).bounding_box()
    assert line is not None
    page.mouse.dblclick(line["x"] + line["width"] / 2, line["y"] + line["height"] / 2)
    page.wait_for_function("""() => document.querySelector(".js-plotly-plot").data
        .filter(trace => trace.visible !== "legendonly").length === 1""")
    lasso(page, chart, [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)])
    found = workspace.current_run().clustering()
    assert 0.98 * found.counts[2] <= count_selected(page) <= found.counts[2]
    expect(page.get_by_role("checkbox", name=re.compile("2"))).to_have_count(1)


def test_the_pointer_shows_the_crop_and_a_click_leads_to_the_image(server: Server, page: Page, watch: Watch) -> None:
    """A card beside the pointer shows where the point is from; it goes with the pointer, a click opens the image."""
    chart = open_map(page, server.url)
    x, y = chart.evaluate(ON_SCREEN, 0)[0]
    page.mouse.move(x - 2, y - 2)
    page.mouse.move(x, y)
    page.wait_for_function(f"() => {{ const card = ({CARD})(); return card?.shown && card.seen && card.picture > 0 }}")
    card = page.evaluate(CARD)
    assert re.search(r"\.jpg|\.png", card["text"]) and card["picture"] == 144
    page.mouse.click(x, y)
    button = page.get_by_role("link", name="Open in Masks")
    expect(button).to_be_visible()
    page.mouse.move(5, 5)
    page.wait_for_function(f"() => !({CARD})().shown")
    shown = page.get_by_text(re.compile(r" in \S+\.(png|jpg)$")).inner_text().rsplit(" in ", 1)[1]
    wait_until_drawn(page)
    button.click()
    expect(page.get_by_role("heading", name="Masks", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(f"^{re.escape(shown)} with its"))).to_be_visible()
    check_no_error(page)
    assert not watch.complaints, "\n".join(watch.complaints)


def test_other_colours_keep_the_view(server: Server, page: Page) -> None:
    """Zoomed in and coloured by image, the map shows the same part as before."""
    chart = open_map(page, server.url)
    box = chart.locator(".nsewdrag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = chart.evaluate("plot => [...plot._fullLayout.xaxis.range]")
    for _ in range(4):
        page.mouse.wheel(0, -100)
    page.wait_for_function(
        "width => { const r = document.querySelector('.js-plotly-plot')._fullLayout.xaxis.range;"
        " return r[1] - r[0] < 0.9 * width }",
        arg=before[1] - before[0],
    )
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').layout.xaxis.autorange === false")
    zoomed = chart.evaluate("plot => [...plot._fullLayout.xaxis.range]")
    page.get_by_role("radio", name="Confidence", exact=True).click()
    page.wait_for_function("() => document.querySelector('.js-plotly-plot')?._fullData?.length === 1")
    expect(chart).to_have_count(1)
    after = chart.evaluate("plot => [...plot._fullLayout.xaxis.range]")
    np.testing.assert_allclose(after, zoomed, rtol=0.05, atol=0.02)
