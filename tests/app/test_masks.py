"""The Masks screen: what a click asks, names and offers; post-processing and its coverage; ten thousand images."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.shared.components import picture
from app.shared.components.picture import Stroke, read_stroke
from picie_core.clustering.clustering import Clustering
from picie_core.segmentation.masks import cluster_mask
from picie_core.workspace.workspace import Workspace
from tests.app.conftest import text_of

OpenScreen = Callable[..., AppTest]


class Browser:
    """Stands in for the script in the browser: keeps what it was given, and has one button that sends a stroke."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.stroke: Any = None

    def mount(self, key: str, data: dict[str, Any], on_stroke_change: Callable[[], None]) -> None:
        """Draws the button in place of the picture."""
        self.data = data
        json.dumps(data)  # it has to get there

        def send() -> None:
            st.session_state[key] = SimpleNamespace(stroke=self.stroke)
            on_stroke_change()
            del st.session_state[key]

        st.button("stroke", key="send_stroke", on_click=send)

    def paint(self, tab: AppTest, *points: tuple[int, int]) -> AppTest:
        """Clicks at points of the image that is shown."""
        self.stroke = {"image": self.data["image"], "points": [list(point) for point in points]}
        return tab.button(key="send_stroke").click().run()


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    """The picture without a browser."""
    fake = Browser()
    monkeypatch.setattr(picture, "_mount", fake.mount)
    return fake


def clusters_of(space: Workspace, image: int = 0) -> tuple[np.ndarray, Clustering]:
    """The cluster of each pixel of an image, and the clustering."""
    run = space.current_run()
    found = run.clustering()
    return cluster_mask(run.dense_features().get(image), found, 72, 96), found


def a_pixel(mask: np.ndarray, cluster: int) -> tuple[int, int]:
    """(x, y) of a pixel well inside a cluster."""
    inside = mask == cluster
    deep = inside[1:-1, 1:-1] & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    y, x = np.argwhere(deep)[len(np.argwhere(deep)) // 2]
    return int(x) + 1, int(y) + 1


def names_of(space: Workspace) -> dict[int, str]:
    """The name of each named cluster."""
    found = space.current_run().clustering()
    names = {item.id: item.name for item in space.label_map.classes()} | {255: "ignore"}
    return {cluster: names[owner] for cluster, owner in space.label_map.classes_of(found.key).items()}


def largest(mask: np.ndarray) -> list[int]:
    """The clusters of a mask, the largest first."""
    return [int(cluster) for cluster in np.argsort(-np.bincount(mask.ravel()))]


def choose(tab: AppTest, space: Workspace, name: str) -> None:
    """Chooses the name of the brush, made known before: the field of the test takes nothing that is not in its list."""
    if name not in {item.name for item in space.label_map.classes()}:
        key, before = space.current_run().clustering().key, names_of(space)
        unnamed = next(cluster for cluster in range(6) if cluster not in before)
        space.label_map.name_clusters(key, [unnamed], name)
        space.label_map.name_clusters(key, [unnamed], None)
        tab.run()
    tab.selectbox(key="brush_name").set_value(name).run()


# -- brush strokes


def test_a_click_without_a_name_only_asks(workspace: Workspace, open_screen: OpenScreen, browser: Browser) -> None:
    """It says which cluster is there and how large it is; nothing is named."""
    mask, _ = clusters_of(workspace)
    tab = browser.paint(open_screen("masks", workspace), a_pixel(mask, largest(mask)[0]))
    assert f"Cluster {largest(mask)[0]}: no name yet" in text_of(tab) and "% of all pixels" in text_of(tab)
    assert names_of(workspace) == {} and not tab.exception and not tab.error


def test_a_click_names_the_cluster_under_it(workspace: Workspace, open_screen: OpenScreen, browser: Browser) -> None:
    """With a class chosen a click is a name, there at once in the sidebar, the legend and under the pointer."""
    mask, _ = clusters_of(workspace)
    tab = open_screen("masks", workspace)
    assert browser.data["name"] == ""
    choose(tab, workspace, "the road")
    assert browser.data["name"] == "the road"
    first, second = largest(mask)[:2]
    browser.paint(tab, a_pixel(mask, first))
    assert names_of(workspace) == {first: "the road"}
    assert "Now called **the road**" in text_of(tab) and browser.data["titles"][str(first)] == f"{first} the road"
    browser.paint(tab, a_pixel(mask, second))
    assert names_of(workspace) == {first: "the road", second: "the road"}
    browser.paint(tab, a_pixel(mask, second))
    assert "already" in text_of(tab) and len(workspace.label_map.classes()) == 1


def test_a_contradiction_changes_nothing_until_it_is_decided(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """Leave keeps the name, rename gives the whole cluster the other one."""
    mask, found = clusters_of(workspace)
    cluster = largest(mask)[0]
    workspace.label_map.name_clusters(found.key, [cluster], "sky")
    tab = open_screen("masks", workspace)
    choose(tab, workspace, "cloud")
    browser.paint(tab, a_pixel(mask, cluster))
    assert f"Cluster {cluster} is **sky**" in text_of(tab) and names_of(workspace) == {cluster: "sky"}
    tab.button(key="brush_leave").click().run()
    assert names_of(workspace) == {cluster: "sky"} and "brush_rename" not in {b.key for b in tab.button}
    browser.paint(tab, a_pixel(mask, cluster))
    tab.button(key="brush_rename").click().run()
    assert names_of(workspace) == {cluster: "cloud"} and not tab.exception and not tab.error


def test_a_contradiction_can_split_that_cluster_and_no_other(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """The part that is like the click gets the new name; pixels of all other clusters stay; one undo brings it back."""
    mask, found = clusters_of(workspace)
    cluster = largest(mask)[0]
    workspace.label_map.name_clusters(found.key, [cluster], "sky")
    tab = open_screen("masks", workspace)
    choose(tab, workspace, "cloud")
    browser.paint(tab, a_pixel(mask, cluster))
    tab.button(key="brush_split").click().run()
    assert not tab.exception and not tab.error, text_of(tab)
    assert names_of(workspace) == {cluster: "sky", 6: "cloud"} and "is split" in text_of(tab)
    after, now = clusters_of(workspace)
    assert now.k == 7
    np.testing.assert_array_equal(after[mask != cluster], mask[mask != cluster])
    x, y = a_pixel(mask, cluster)
    assert after[y, x] == 6
    workspace.label_map.undo()
    assert names_of(workspace) == {cluster: "sky"} and workspace.current_run().clustering().k == 6


def test_a_split_keeps_what_an_earlier_stroke_named(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """A cluster with strokes of two names is split between the two positions."""
    mask, _ = clusters_of(workspace)
    cluster = largest(mask)[0]
    inside = np.argwhere(mask == cluster)
    first, last = (tuple(int(v) for v in inside[i][::-1]) for i in (len(inside) // 8, -len(inside) // 8))
    tab = open_screen("masks", workspace)
    choose(tab, workspace, "near")
    browser.paint(tab, first)
    choose(tab, workspace, "far")
    browser.paint(tab, last)
    tab.button(key="brush_split").click().run()
    after, _ = clusters_of(workspace)
    assert (after[first[1], first[0]], after[last[1], last[0]]) == (cluster, 6)
    assert names_of(workspace) == {cluster: "near", 6: "far"}


def test_a_stroke_that_is_none_is_passed_over() -> None:
    """What comes from the browser is checked: the shape, and that points lie on the image."""
    assert read_stroke({"image": 3, "points": [[1, 2], [4, 5]]}, (10, 8)) == Stroke(3, ((1, 2), (4, 5)))
    points = [[], [[1, 8]], [[-1, 2]], [[1]], ["ab"], 3]
    for wrong in (None, {}, {"image": "x", "points": [[1, 2]]}, *({"image": 3, "points": one} for one in points)):
        assert read_stroke(wrong, (10, 8)) is None


# -- post-processing


def test_a_threshold_tells_what_it_leaves(workspace: Workspace, open_screen: OpenScreen, browser: Browser) -> None:
    """Below it pixels are left out of the mask; the share is told for this image and for all, and for the export."""
    tab = open_screen("masks", workspace)
    tab.slider(key="min_confidence").set_value(0.3).run()
    text = text_of(tab)
    assert "covers <b>" in text and "of all" in text and "below 0.30 ignored" in text
    assert "too uncertain" in {box.label for box in tab.checkbox}
    tab.segmented_control(key="mask_view").set_value("confidence").run()
    assert "confidence" in browser.data["alt"] and not tab.exception and not tab.error


@pytest.mark.parametrize("method", ["guided", "pamr"])
def test_a_refinement_shows_before_and_after(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser, method: str
) -> None:
    """The picture changes, and the one before it can stand beside it."""
    tab = open_screen("masks", workspace)
    plain = browser.data["stamp"]
    tab.selectbox(key="refine").set_value(method).run()
    assert browser.data["stamp"] != plain and not tab.exception and not tab.error, text_of(tab)
    tab.toggle(key="mask_before").set_value(True).run()
    alts = [image.alt for pictures in tab.get("image") for image in pictures.proto.imgs]
    assert any("its mask before post-processing" in alt for alt in alts) and not tab.exception


def test_the_export_screen_takes_the_post_processing_over(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """What was set on the Masks screen is in the command of the Export screen; by default it names nothing."""
    workspace.label_map.name_clusters(workspace.current_run().clustering().key, [0, 1], "sky")
    tab = open_screen("export", workspace)
    assert "--min-confidence" not in tab.code[0].value and "--refine" not in tab.code[0].value
    tab.slider(key="min_confidence").set_value(0.25).run()
    tab.selectbox(key="refine").set_value("guided").run()
    tab.number_input(key="min_area").set_value(50).run()
    assert "--min-confidence 0.25 --refine guided --min-area 50" in tab.code[0].value
    assert "below 0.25 ignored" in text_of(tab) and not tab.exception and not tab.error


# -- many images


def test_the_most_uncertain_image_comes_first_and_the_image_stays(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """Another order numbers the images anew and goes on showing the same one."""
    from picie_core.clustering.uncertainty import image_uncertainty

    run = workspace.current_run()
    ranked = list(image_uncertainty(run.sample(), run.clustering()))
    tab = open_screen("masks", workspace, image_number="4")
    assert "scene-3.png" in text_of(tab)
    tab.segmented_control(key="image_order").set_value("uncertainty").run()
    assert "scene-3.png" in text_of(tab) and tab.number_input(key="image_number").value == ranked.index(3) + 1
    tab.number_input(key="image_number").set_value(1).run()
    assert f"scene-{ranked[0]}.png" in text_of(tab) and "uncertain" in text_of(tab)


def test_another_screen_can_ask_for_an_image(workspace: Workspace, open_screen: OpenScreen, browser: Browser) -> None:
    """An image is found by its id in whatever order, and stepping goes on from there."""
    tab = open_screen("masks", workspace, image_order="uncertainty")
    tab.session_state["picie"].image_id, tab.session_state["picie"].find_image = 3, True
    tab.run()
    assert "scene-3.png" in text_of(tab) and not tab.exception
    tab.run()
    assert "scene-3.png" in text_of(tab)


def test_images_without_stored_features_are_embedded_once(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """Beyond the disk budget the network runs, once an image: naming on it and other views use what it gave."""
    from picie_core.models import inference

    calls = []
    real = inference.embed_image
    (workspace.current_run().folder / "dense" / "index.npz").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "embed_image", lambda *words: calls.append(1) or real(*words))
        tab = open_screen("masks", workspace)
        assert len(calls) == 1 and not tab.exception and not tab.error, text_of(tab)
        choose(tab, workspace, "sky")
        browser.paint(tab, (48, 10))
        tab.segmented_control(key="mask_kind").set_value("class").run()
        assert len(calls) == 1 and list(names_of(workspace).values()) == ["sky"]
        tab.button(key="next_image").click().run()
        assert len(calls) == 2


def test_ten_thousand_images_cost_no_more_than_six(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """With a list of 10,000 a step takes about as long, any number can be jumped to, and nine thumbnails are drawn."""
    few = step_time(open_screen("masks", workspace))
    lines = (workspace.root / "images.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    lines += [json.dumps({**first, "id": number, "path": f"{number:05d}.png"}) for number in range(6, 10_000)]
    (workspace.root / "images.jsonl").write_text("\n".join(lines) + "\n")
    shutil.copy(workspace.images_root / "scene-0.png", workspace.images_root / "09000.png")
    tab = open_screen("masks", workspace, image_number="9998")
    assert "of 10,000" in text_of(tab) and not tab.exception and not tab.error, text_of(tab)
    many = step_time(tab)
    assert many < few + 0.05, f"{1000 * many:.0f} ms a step, {1000 * few:.0f} ms with six images"
    assert len([button for button in tab.button if str(button.key).startswith("film_")]) == 9
    tab.number_input(key="image_number").set_value(8995).run()  # an image that came after the embedding
    assert "09000.png" in text_of(tab) and not tab.exception and not tab.error, text_of(tab)


def step_time(tab: AppTest) -> float:
    """Seconds that the processor spends on showing the second image again, the least of some."""
    spent = []
    tab.button(key="next_image").click().run()
    for _ in range(4):
        start = time.process_time()
        tab.run()
        spent.append(time.process_time() - start)
    return min(spent)
