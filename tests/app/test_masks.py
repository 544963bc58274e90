"""The Masks screen: post-processing and its coverage; ten thousand images."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from picie_core.workspace.workspace import Workspace
from tests.app.conftest import Browser, choose, names_of, text_of

OpenScreen = Callable[..., AppTest]


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
