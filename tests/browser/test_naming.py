"""Naming in a real browser: by keys only, a split and its undo, names that survive another K, clicks on the curve."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.workspace.k_curve import compute_k_curve
from picie_core.workspace.workspace import Workspace
from tests.browser.stage import Watch, running_app, wait_until_drawn
from tests.conftest import draw_scene

pytestmark = pytest.mark.browser
K = 8
POINT = """(plot, k) => { const { xaxis: x, yaxis: y } = plot._fullLayout, box = plot.getBoundingClientRect()
  const { x: ks, y: values } = plot._fullData[0], at = Array.from(ks).indexOf(k)
  return [box.x + x._offset + x.d2p(ks[at]), box.y + y._offset + y.d2p(values[at])] }"""
"""Where the point of a K is on the screen, in the first of the small charts."""


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded workspace of six small scenes with eight clusters; tests work on copies."""
    from PIL import Image

    root = tmp_path_factory.mktemp("naming")
    (root / "images").mkdir()
    for seed in range(6):
        Image.fromarray(draw_scene(seed)[0]).save(root / "images" / f"scene-{seed}.png")
    work = str(root / "work")
    embed = [
        "embed",
        str(root / "images"),
        "--workspace",
        work,
        "--weights",
        "none",
        "--size",
        "64",
        "--pixels",
        "2000",
    ]
    assert run_command(COMMANDS, embed) == 0
    assert run_command(COMMANDS, ["cluster", "--workspace", work, "--k", str(K)]) == 0
    return root / "work"


@pytest.fixture
def made(made_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made_once, tmp_path / "work")


def title(page: Page) -> Locator:
    """What the naming bar names: the number of the cluster in focus."""
    return page.locator(".st-key-naming_bar .title")


def field(page: Page) -> Locator:
    """The field of the naming bar."""
    return page.locator(".st-key-naming_bar").get_by_role("combobox")


def facts(page: Page) -> Locator:
    """The line below the headline, which says how many clusters there are."""
    return page.get_by_test_id("stMain").locator(".picie-facts").first


def on_card(page: Page, cluster: int | str) -> Locator:
    """The name field on a card."""
    return page.locator(f".st-key-card_{cluster}").get_by_role("combobox")


def names_of(workspace: Workspace) -> dict[int, str]:
    """Cluster to name, as the workspace has it; 255 is ignored."""
    names = {item.id: item.name for item in workspace.label_map.classes()} | {255: "ignore"}
    owners = workspace.label_map.classes_of(workspace.current_run().clustering().key)
    return {cluster: names[owner] for cluster, owner in owners.items()}


def go_into_field(page: Page) -> None:
    """Presses Enter until the field has the focus: the bar listens to keys once the browser has started it."""
    for _ in range(40):
        page.keyboard.press("Enter")
        try:
            expect(field(page)).to_be_focused(timeout=500)
            return
        except AssertionError:
            continue
    expect(field(page)).to_be_focused()


def name_by_keys(page: Page) -> list[str]:
    """Names the first five clusters without the mouse, and returns them in the order in which they came."""
    order = []
    wait_until_drawn(page)
    expect(field(page)).to_have_value("")
    go_into_field(page)
    for name in ("grass", "sky"):
        order.append(title(page).inner_text())
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        expect(title(page)).not_to_have_text(order[-1])
    page.keyboard.type("gr")
    expect(page.get_by_role("option", name="grass")).to_be_visible()
    page.keyboard.press("Tab")
    expect(field(page)).to_have_value("grass")
    order.append(title(page).inner_text())
    page.keyboard.press("Enter")
    expect(title(page)).not_to_have_text(order[-1])
    page.keyboard.press("Escape")
    expect(field(page)).not_to_be_focused()
    for key in ("i", "l"):
        order.append(title(page).inner_text())
        page.keyboard.press(key)
        expect(title(page)).not_to_have_text(order[-1])
    return order


def split_and_undo(page: Page, workspace: Workspace, cluster: str) -> None:
    """A split adds two clusters, keeps every name, and its undo leaves what was there."""
    before = names_of(workspace)
    page.locator(f".st-key-split_{cluster} button").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name="3").click()
    expect(dialog.get_by_role("img")).to_have_count(3)
    dialog.get_by_role("button", name="Split into 3").click()
    expect(facts(page)).to_contain_text(f"{K + 2} clusters of")
    assert names_of(workspace) == before | {K: before[int(cluster)], K + 1: before[int(cluster)]}
    page.locator(".st-key-undo_split button").click()
    expect(facts(page)).to_contain_text(re.compile(rf"^{K} clusters of"))
    assert names_of(workspace) == before


def transfer_to_another_k(page: Page, workspace: Workspace) -> None:
    """Names come along to more clusters, a line says so, and its undo takes them away again."""
    number = page.get_by_role("spinbutton", name="Any K")
    number.fill(str(K + 4))
    number.press("Enter")
    expect(page.get_by_text(f"transferred from K = {K}")).to_be_visible()
    assert {"grass", "sky"} <= set(names_of(workspace).values())
    page.locator(".st-key-undo_transfer button").click()
    expect(page.get_by_text("0 % of pixels named")).to_be_visible()
    assert names_of(workspace) == {}


def review_crops(page: Page, workspace: Workspace) -> None:
    """The review queue: a group gets a name, and crops that are picked are split off under another one."""
    page.get_by_role("radio", name="Review queue").click()
    expect(page.get_by_text("What do these show?")).to_be_visible()
    wait_until_drawn(page)
    field(page).fill("wall")
    field(page).press("Enter")
    expect(page.get_by_text(" 2 of ")).to_be_visible()
    named = names_of(workspace)
    assert set(named.values()) == {"wall"}
    while not page.get_by_text("Do all crops show the same?").is_visible():
        at = page.get_by_text(re.compile(r" \d+ of \d+\.")).inner_text()
        page.get_by_role("button", name=re.compile("^(Skip|Yes, go on)")).click()
        expect(page.get_by_text(at)).to_be_hidden()
    cluster = int(title(page).inner_text().removeprefix("Cluster "))
    sheet = page.get_by_role("img", name=f"Random crops of cluster {cluster}")
    box = sheet.bounding_box()
    assert box is not None
    for crop in (0, 2):
        sheet.click(position={"x": (crop + 0.5) * box["width"] / 12, "y": 0.1 * box["height"]})
        expect(title(page)).to_have_text("1 crop" if crop == 0 else "2 crops")
    field(page).fill("door")
    field(page).press("Enter")
    expect(facts(page)).to_contain_text(f"{K + 1} clusters of")
    assert names_of(workspace)[K] == "door"
    page.get_by_test_id("stSidebar").get_by_role("button", name="Undo").click()
    expect(facts(page)).to_contain_text(re.compile(rf"^{K} clusters of"))
    assert names_of(workspace) == named
    page.get_by_role("radio", name="Cards").click()
    facts(page).click()  # the letters are keys again


def test_naming_by_keys_a_split_and_another_k(page: Page, watch: Watch, made: Path, tmp_path: Path) -> None:
    """What is typed is in the workspace, on its card and after a reload; nothing is lost by a split or another K."""
    workspace = Workspace.open(made)
    with running_app(tmp_path, ["--workspace", str(made)]) as server:
        page.goto(f"{server.url}/clusters")
        expect(page.get_by_role("img", name=re.compile(r"Typical crops of cluster \d+"))).to_have_count(K)
        review_crops(page, workspace)
        workspace.label_map.undo()
        expect(page.get_by_text("0 % of pixels named")).to_be_visible()
        order = name_by_keys(page)
        wanted = dict(zip(map(int, order), ("grass", "sky", "grass", "ignore", "grass"), strict=True))
        expect(on_card(page, order[4])).to_have_value("grass")
        assert names_of(workspace) == wanted
        page.reload()
        expect(on_card(page, order[1])).to_have_value("sky")
        split_and_undo(page, workspace, order[0])
        transfer_to_another_k(page, workspace)
        assert "Traceback" not in server.log.read_text()
    assert not watch.complaints, "\n".join(watch.complaints)


def test_undo_keys_in_a_field_are_of_the_field(page: Page, made: Path, tmp_path: Path, watch: Watch) -> None:
    """Ctrl+Z takes back what was typed where the focus is in a text field, and an edit everywhere else."""
    workspace = Workspace.open(made)
    key = workspace.current_run().clustering().key
    for cluster, name in enumerate(("grass", "sky", "wall")):
        workspace.label_map.name_clusters(key, [cluster], name)
    with running_app(tmp_path, ["--workspace", str(made)]) as server:
        page.goto(f"{server.url}/clusters")
        expect(on_card(page, 2)).to_have_value("wall")
        wait_until_drawn(page)
        bar = field(page)
        for place in (bar, on_card(page, 2), page.get_by_role("spinbutton", name="Any K")):
            place.click()
            page.keyboard.type("2")
            expect(place).to_have_value(re.compile("2"))
            page.keyboard.press("Control+z")
            if place is bar:  # the others are React's, which has no undo
                expect(place).to_have_value("")
            page.keyboard.press("Escape")
            wait_until_drawn(page)
        assert names_of(workspace) == {0: "grass", 1: "sky", 2: "wall"}
        facts(page).click()
        page.keyboard.press("Control+z")
        expect(page.get_by_text("Undid: named cluster 2 wall")).to_be_visible()
        assert names_of(workspace) == {0: "grass", 1: "sky"}
    assert not watch.complaints, "\n".join(watch.complaints)


def test_every_click_on_the_curve_moves_k(page: Page, made: Path, tmp_path: Path, watch: Watch) -> None:
    """A second click on the same point, after K was changed elsewhere, counts as the first did."""
    workspace = Workspace.open(made)
    compute_k_curve(workspace.current_run(), [4, 6, K], seeds=2)
    with running_app(tmp_path, ["--workspace", str(made)]) as server:
        page.goto(f"{server.url}/clusters")
        page.get_by_role("radio", name="Choosing K").click()
        for _ in range(2):
            expect(facts(page)).to_contain_text(re.compile(rf"^{K} clusters of"))
            chart = page.locator(".js-plotly-plot:visible")
            expect(chart).to_have_count(1)
            wait_until_drawn(page)
            page.mouse.click(*chart.evaluate(POINT, 4))
            expect(facts(page)).to_contain_text(re.compile("^4 clusters of"))
            wait_until_drawn(page)
            number = page.get_by_role("spinbutton", name="Any K")
            number.fill(str(K))
            number.press("Enter")
        expect(facts(page)).to_contain_text(re.compile(rf"^{K} clusters of"))
    assert not watch.complaints, "\n".join(watch.complaints)
