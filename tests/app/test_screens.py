"""Every screen, empty and full, as a browser tab would see it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.shared.naming import NO_NAME
from picie_core.workspace.workspace import Workspace
from tests.app.conftest import button_labels, text_of

OpenScreen = Callable[..., AppTest]
SCREENS = ("train", "clusters", "map", "masks", "export")


@pytest.mark.parametrize("screen", SCREENS)
def test_an_empty_screen_names_the_one_next_action(home: Path, open_screen: OpenScreen, screen: str) -> None:
    """Without a workspace every screen says what is missing and offers one button."""
    tab = open_screen(screen)
    assert not tab.exception and not tab.error
    assert button_labels(tab) == ["Choose images"]


@pytest.mark.parametrize("screen", SCREENS[1:])
def test_a_screen_without_an_embedder_leads_to_embedding(
    home: Path, made_once: Path, open_screen: OpenScreen, screen: str
) -> None:
    """Before the first run nothing can be clustered, and the screen says so."""
    shutil.copytree(made_once / "images", home / "images")
    space = Workspace.create(home / "new", home / "images")
    space.scan()
    tab = open_screen(screen, space)
    assert not tab.exception and not tab.error
    assert button_labels(tab) == ["Embed the images"]


@pytest.mark.parametrize("screen", ("images", *SCREENS))
def test_a_full_screen_draws_without_an_error(workspace: Workspace, open_screen: OpenScreen, screen: str) -> None:
    """With images, a run and a clustering every screen draws itself, and the address names workspace and run."""
    tab = open_screen(screen, workspace)
    assert not tab.exception and not tab.error, text_of(tab)
    assert tab.query_params["workspace"] == str(workspace.root)
    assert tab.query_params["run"] == workspace.current_run().name


def test_unreadable_files_are_listed_with_their_reason(workspace: Workspace, open_screen: OpenScreen) -> None:
    """The Images screen counts what can be used and says why the rest cannot."""
    tab = open_screen("images", workspace)
    assert "6 images" in text_of(tab) and "96 × 72 px" in text_of(tab)
    table = tab.dataframe[0].value
    assert table["File"].tolist() == ["broken.png"] and "not an image" in table["Reason"][0]


def test_a_folder_outside_the_roots_is_refused_on_the_page(home: Path, open_screen: OpenScreen) -> None:
    """The message names the folder and the remedy; nothing is opened."""
    tab = open_screen()
    tab.text_input(key="folder").set_value("/etc")
    next(button for button in tab.button if button.label == "Open").click()
    tab.run()
    assert "PICIE_ROOTS" in tab.error[0].value and len(tab.error) == 1 and not tab.exception
    assert not (home / "home").exists()


def test_opening_a_folder_makes_a_workspace_and_offers_to_embed(
    home: Path, made_once: Path, open_screen: OpenScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The typed folder is scanned; the next action carries an estimate."""
    monkeypatch.setenv("PICIE_ROOTS", str(made_once))
    tab = open_screen()
    tab.text_input(key="folder").set_value(str(made_once / "images"))
    next(button for button in tab.button if button.label == "Open").click()
    tab.run()
    assert not tab.exception and not tab.error, text_of(tab)
    assert [label for label in button_labels(tab) if label.startswith("Embed now ≈")]
    assert len(Workspace.open(next((home / "home" / "workspaces").iterdir())).image_list().readable) == 6


def test_a_workspace_that_is_gone_is_told_in_one_sentence(home: Path, open_screen: OpenScreen) -> None:
    """An old link does not end in a traceback."""
    tab = AppTest.from_file(str(Path(__file__).parents[2] / "app" / "main.py"), default_timeout=30)
    tab.query_params["workspace"] = str(home / "gone")
    tab.run()
    assert not tab.exception and "no workspace at" in tab.error[0].value and len(tab.error) == 1


def test_a_workspace_whose_images_lie_outside_the_roots_is_refused(
    workspace: Workspace, open_screen: OpenScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workspace below the roots is no way around them; the page says so once and offers other images."""
    monkeypatch.setenv("PICIE_ROOTS", str(workspace.root))
    tab = open_screen("images", workspace)
    assert "PICIE_ROOTS" in tab.error[0].value and not tab.exception and not tab.dataframe
    assert len(tab.error) == 1 and button_labels(tab) == ["Choose other images"]
    tab.button(key="leave_workspace").click().run()
    assert not tab.error and "Try the sample" in button_labels(tab)


def test_a_link_out_of_the_roots_is_refused_once(home: Path, open_screen: OpenScreen) -> None:
    """An address that names a folder elsewhere gives one message, and the way to choose images."""
    tab = AppTest.from_file(str(Path(__file__).parents[2] / "app" / "main.py"), default_timeout=30)
    tab.query_params["workspace"] = "/etc/work"
    tab.run()
    assert "PICIE_ROOTS" in tab.error[0].value and len(tab.error) == 1 and not tab.exception
    assert "Try the sample" in button_labels(tab)


def test_moving_k_changes_the_clusters_everywhere(workspace: Workspace, open_screen: OpenScreen) -> None:
    """K in the sidebar computes the clustering, stores the choice and redraws the cards."""
    tab = open_screen("clusters", workspace)
    tab.number_input(key="k_choice").set_value(4).run()
    assert not tab.exception and not tab.error, text_of(tab)
    assert workspace.current_run().clustering().k == 4
    assert "4 clusters" in text_of(tab)


def test_an_impossible_k_is_told_and_changes_nothing(workspace: Workspace, open_screen: OpenScreen) -> None:
    """K above the sample's pixels gives the core's own sentence; the clustering in use stays."""
    tab = open_screen("clusters", workspace)
    tab.number_input(key="k_choice").set_value(400).run()
    tab.run()
    assert not tab.exception
    assert workspace.current_run().clustering().k in (6, 400)


def test_a_name_is_in_the_workspace_at_once_and_in_a_second_tab(workspace: Workspace, open_screen: OpenScreen) -> None:
    """What is typed on a card is in SQLite, and another tab shows it after its next look."""
    first, second = open_screen("clusters", workspace), open_screen("clusters", workspace)
    found = workspace.current_run().clustering()
    workspace.label_map.name_clusters(found.key, [0], "grass")
    first.run()
    key = f"name_card_{found.key}_2"
    first.selectbox(key=key).set_value("grass").run()
    assert not first.exception and not first.error, text_of(first)
    names = {item.id: item.name for item in workspace.label_map.classes()}
    assert names[workspace.label_map.classes_of(found.key)[2]] == "grass"
    assert second.run().selectbox(key=f"{key}~1").value == "grass"


def test_a_name_survives_a_reload_and_can_be_taken_back(workspace: Workspace, open_screen: OpenScreen) -> None:
    """A new tab shows the name; the field offers to take it away."""
    found = workspace.current_run().clustering()
    workspace.label_map.name_clusters(found.key, [0], "sky")
    tab = open_screen("clusters", workspace)
    field = tab.selectbox(key=f"name_card_{found.key}_0")
    assert field.value == "sky"
    field.set_value(NO_NAME).run()
    assert workspace.label_map.classes_of(found.key) == {}
    assert tab.selectbox(key=f"name_card_{found.key}_0~1").value is None


def test_next_shows_the_next_image(workspace: Workspace, open_screen: OpenScreen) -> None:
    """The image browser steps, and the address carries the number for a reload."""
    tab = open_screen("masks", workspace)
    assert "scene-0.png" in text_of(tab)
    tab.button(key="next_image").click().run()
    assert "scene-1.png" in text_of(tab) and not tab.exception
    assert tab.query_params["image_number"] == "2"


def test_the_address_restores_the_image_that_was_shown(workspace: Workspace, open_screen: OpenScreen) -> None:
    """A reload shows the image whose number is in the address, and a number that is too large the nearest there is."""
    tab = open_screen("masks", workspace, image_number="4")
    assert "scene-3.png" in text_of(tab) and tab.number_input(key="image_number").value == 4
    tab = open_screen("masks", workspace, image_number="99")
    assert "scene-" in text_of(tab) and not tab.exception


def test_a_cluster_that_is_switched_off_stays_off_for_the_next_image(
    workspace: Workspace, open_screen: OpenScreen
) -> None:
    """The switches belong to the clusters, not to the image."""
    tab = open_screen("masks", workspace)
    switch = next(box for box in tab.checkbox if str(box.key).startswith("show_cluster_"))
    switch.uncheck().run()
    tab.button(key="next_image").click().run()
    assert tab.session_state[switch.key] is False and not tab.exception


def test_nothing_is_written_before_a_class_has_a_name(workspace: Workspace, open_screen: OpenScreen) -> None:
    """Without names the masks would be empty: the screen leads to naming, or to cluster ids."""
    tab = open_screen("export", workspace)
    assert "Name the clusters" in button_labels(tab) and "Write 6 masks" not in button_labels(tab)
    tab.toggle(key="export_raw").set_value(True).run()
    assert "Write 6 masks" in button_labels(tab) and not tab.exception


def test_the_shown_command_does_what_the_page_does(workspace: Workspace, open_screen: OpenScreen) -> None:
    """The command line on the Export screen names run, clustering and format."""
    workspace.label_map.name_clusters(workspace.current_run().clustering().key, [0], "sky")
    tab = open_screen("export", workspace)
    tab.checkbox(key="format_voc").check().run()
    tab.slider(key="export_val").set_value(30).run()
    text = tab.code[0].value
    assert "export --format png voc" in text and "--val-share 0.3" in text and workspace.current_run().name in text
