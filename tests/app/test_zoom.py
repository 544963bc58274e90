"""The zoom of the Masks screen: parts of ordinary and of large images, and what a click in them means."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.shared.components.picture import View, read_view
from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.data.images.image_pyramid import store_pyramid
from picie_core.workspace.masks.image_masks import mask_windows
from picie_core.workspace.workspace import Workspace
from tests.app.conftest import Browser, choose, names_of, text_of
from tests.factories import draw_scene, embedded

OpenScreen = Callable[..., AppTest]
HEIGHT, WIDTH = 1100, 1600
"""Of the large image."""


@pytest.fixture(scope="module")
def tiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of one image in tiles, of which no features are stored; tests work on copies."""
    root = tmp_path_factory.mktemp("tiled")
    (root / "images").mkdir()
    Image.fromarray(draw_scene(0, HEIGHT, WIDTH)[0]).save(root / "images" / "large.png")
    options = ("--downsample", "2", "--tile", "512", "--overlap", "128", "--dense-mb", "0")
    work = embedded(root / "work", root / "images", *options)
    assert run_command(COMMANDS, ["cluster", "--workspace", str(work.root), "--k", "6"]) == 0
    return root


@pytest.fixture
def tiled(tiled_once: Path, home: Path) -> Workspace:
    """A copy of the tiled workspace."""
    shutil.copytree(tiled_once, home / "tiled")
    return Workspace.open(home / "tiled" / "work")


def drawn(browser: Browser) -> np.ndarray:
    """The picture that the browser got."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(browser.data["webp"]))).convert("RGB"))


# -- views


def test_a_view_lies_inside_and_has_the_shape_of_the_image() -> None:
    """Whatever a browser asks for, what is shown is a part of the image, no smaller than can be seen."""
    size = (4000, 3000)
    assert View.of(size, 400, 100, 50) == View(100, 50, 400, 300)
    assert View.of(size, 1e9, -5, 7) == View(0, 0, 4000, 3000)
    assert View.of(size, 400, 3990, 2990) == View(3600, 2700, 400, 300)
    assert View.of(size, 1, 10, 10).width == 48
    assert View.of((30, 900), 10, 0, 0) == View(0, 0, 30, 900)
    assert View(1000, 600, 800, 600).zoomed(size, 2) == View(1200, 750, 400, 300)
    assert View(0, 0, 800, 600).zoomed(size, 0.1) == View(0, 0, 4000, 3000)


@pytest.mark.parametrize(
    "message",
    [
        None,
        {},
        {"image": 1, "left": 0, "top": 0, "width": 100},
        {"image": 0, "left": "x", "top": 0, "width": 100},
        {"image": 0, "left": float("nan"), "top": 0, "width": 100},
    ],
)
def test_messages_that_mean_no_view_are_dropped(message: object) -> None:
    """A browser cannot make the page show another image, or nothing."""
    assert read_view(message, (400, 300), 0) is None


# -- ordinary images


def test_zooming_shows_a_part_and_fit_all_again(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """The picture is that part, enlarged, with a navigator; Fit brings the picture of before, byte by byte."""
    tab = open_screen("masks", workspace)
    whole = browser.data
    assert whole["view"] == [0, 0, 96, 72] and whole["overview"] == "" and "1:1" in {b.label for b in tab.button}
    tab.button(key="zoom_zoom_in").click().run()
    assert browser.data["view"] == [24, 18, 48, 36] and browser.data["overview"] and "48 × 36 px" in text_of(tab)
    assert drawn(browser).shape == (720, 960, 3) and "in this part of the image" in text_of(tab)
    tab.slider(key="opacity").set_value(0).run()
    image = workspace.read_image(0)[18:54, 24:72]
    np.testing.assert_array_equal(drawn(browser)[10::20, 10::20], image)
    tab.slider(key="opacity").set_value(55).run()
    tab.button(key="zoom_fit").click().run()
    assert browser.data == whole and not tab.exception and not tab.error


def test_the_mask_of_a_part_is_that_of_the_whole(
    workspace: Workspace, open_screen: OpenScreen, browser: Browser
) -> None:
    """Under the pointer lie the clusters of the full-size mask, wherever one zoomed to."""
    tab = open_screen("masks", workspace)
    browser.zoom(tab, 30.4, 11.6, 48)
    assert browser.data["view"] == [30, 12, 48, 36]
    run = workspace.current_run()
    found = mask_windows(run, run.clustering(), workspace.image_list().records[0], None, dense=run.dense_features())
    labels = np.frombuffer(base64.b64decode(browser.data["labels"]), "<u2").reshape(browser.data["rows"], -1)
    rows, columns = (np.arange(n) * full // n for n, full in zip(labels.shape, (36, 48), strict=True))
    np.testing.assert_array_equal(labels, found.window(12, 30, 36, 48)[np.ix_(rows, columns)])


def test_every_view_of_a_part_can_be_drawn(workspace: Workspace, open_screen: OpenScreen, browser: Browser) -> None:
    """Confidence, threshold, refined edges, small regions, the original beside: all of the part."""
    tab = open_screen("masks", workspace)
    browser.zoom(tab, 20, 10, 60)
    tab.slider(key="min_confidence").set_value(0.3).run()
    tab.segmented_control(key="mask_view").set_value("confidence").run()
    assert "covers <b>" in text_of(tab) and browser.data["view"] == [20, 10, 60, 45]
    tab.segmented_control(key="mask_view").set_value("overlay").run()
    tab.toggle(key="mask_beside").set_value(True).run()
    tab.selectbox(key="refine").set_value("guided").run()
    tab.toggle(key="mask_before").set_value(True).run()
    alts = [image.alt for pictures in tab.get("image") for image in pictures.proto.imgs]
    assert any("untouched" in alt for alt in alts) and any("before post-processing" in alt for alt in alts)
    assert not tab.exception and not tab.error


def test_another_image_is_shown_whole(workspace: Workspace, open_screen: OpenScreen, browser: Browser) -> None:
    """A step to the next image leaves the zoom behind."""
    tab = open_screen("masks", workspace)
    tab.button(key="zoom_zoom_in").click().run()
    tab.button(key="next_image").click().run()
    assert browser.data["image"] == 1 and browser.data["view"] == [0, 0, 96, 72]


# -- large images


def test_a_large_image_is_embedded_where_one_looks(tiled: Workspace, open_screen: OpenScreen, browser: Browser) -> None:
    """Its features are not stored: a part is embedded when it is looked at, and a click there names its cluster."""
    tab = open_screen("masks", tiled)
    assert not tab.exception and not tab.error, text_of(tab)
    browser.zoom(tab, 700, 500, 480)
    assert browser.data["view"] == [700, 500, 480, 330] and "downsample 2" in str(tab.sidebar.selectbox[0].options)
    record = tiled.image_list().records[0]
    mask = mask_windows(tiled.current_run(), tiled.current_run().clustering(), record, None)
    cluster = int(mask.window(600, 900, 1, 1)[0, 0])
    choose(tab, tiled, "field")
    browser.paint(tab, (900, 600))
    assert names_of(tiled) == {cluster: "field"} and not tab.exception and not tab.error, text_of(tab)


def test_a_large_image_says_when_it_cannot_be_shown_whole(
    tiled: Workspace, open_screen: OpenScreen, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embedding all of it would take minutes: the image is shown without a mask, and zooming in shows one."""
    from app.shared.pictures import feature_maps

    monkeypatch.setattr(feature_maps, "OVERVIEW_PIXELS", 1000)
    tab = open_screen("masks", tiled)
    assert "Zoom in: the mask of a part takes seconds" in text_of(tab) and not tab.exception
    browser.zoom(tab, 0, 0, 400)
    assert "Zoom in: the mask" not in text_of(tab) and len(tab.checkbox) > 0 and not tab.exception


# -- the Images screen


def test_large_images_are_offered_at_their_resolution(
    home: Path, open_screen: OpenScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where most images are large, a resolution that takes about a minute is proposed; a size stays a choice."""
    from app.session import estimates
    from app.session.estimates import embed_arguments, usual_downsample

    (home / "images").mkdir()
    Image.fromarray(draw_scene(0, 300, 400)[0]).save(home / "images" / "a.png")
    space = Workspace.create(home / "work", home / "images")
    space.scan()
    small = open_screen("images", space)
    assert "downsample" not in {box.key for box in small.selectbox} and "at 320 px" in text_of(small)
    monkeypatch.setattr(estimates, "STORED_FROM_PIXELS", 1000)
    tab = open_screen("images", space)
    box = tab.selectbox(key="downsample")
    assert box.value == 1 and "Resized to 320 px" in box.options and "in tiles" in text_of(tab)
    assert not tab.exception and not tab.error, text_of(tab)
    monkeypatch.setattr(estimates, "USUAL_PIXELS", 300 * 400 // 10)
    assert usual_downsample(space.image_list().readable) == 4
    assert embed_arguments(space, "none", downsample=4)[-2:] == ["--downsample", "4"]


def test_thumbnails_of_large_images_come_from_their_pyramids(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was decoded once is not decoded for a thumbnail; a changed file is."""
    from app.shared.pictures import thumbnails as module

    (home / "images").mkdir()
    path = home / "images" / "a.png"
    Image.fromarray(draw_scene(0, 1300, 1700)[0]).save(path)
    space = Workspace.create(home / "work", home / "images")
    (record,) = space.scan().records
    plain = module.thumbnails(str(path.parent), ("a.png",), (record.stamp,), 1)
    monkeypatch.setattr(module, "STORED_FROM_PIXELS", 1000)
    stored = module.pyramid_folders(space.root, [record])
    store_pyramid(path, (1700, 1300), Path(stored[0]), record.stamp)
    path.unlink()
    small = module.thumbnails(str(path.parent), ("a.png",), (record.stamp,), 1, stored)
    first, second = (np.asarray(Image.open(io.BytesIO(one)).convert("RGB")).astype(int) for one in (plain, small))
    assert first.shape == second.shape and np.abs(first - second).mean() < 6
    gone = module.thumbnails(str(path.parent), ("a.png",), (record.stamp + 1,), 1, stored)
    assert np.asarray(Image.open(io.BytesIO(gone)).convert("RGBA"))[..., 3].max() == 0
