"""The part of the Export screen where corrected masks come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.export import corrections
from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.workspace.workspace import Workspace
from tests.app.conftest import button_labels, text_of

OpenScreen = Callable[..., AppTest]


def run(*words: object) -> None:
    assert run_command(COMMANDS, [str(word) for word in words]) == 0


@pytest.fixture
def corrected(workspace: Workspace) -> Path:
    """The exported masks of a workspace with two classes; half of one image became road, a third class."""
    key, out = workspace.current_run().clustering().key, workspace.root.parent / "out"
    for name, clusters in {"sky": [0, 1], "grass": [2, 3, 4]}.items():
        workspace.label_map.name_clusters(key, clusters, name)
    run("export", "--workspace", workspace.root, "--out", out, "--device", "cpu")
    path = out / "masks" / "scene-2.png"
    ids = np.array(Image.open(path))
    ids[:, :48] = 2
    Image.fromarray(ids).save(path)
    (out / "export.json").unlink()
    (out / "classes.txt").write_text("sky\ngrass\nroad\n")
    return out


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of the jobs that the page starts; none is started."""
    jobs: list[list[str]] = []
    monkeypatch.setattr(corrections, "start", lambda workspace, command, words: jobs.append([command, *words]))
    return jobs


def test_a_path_is_compared_in_the_background(
    workspace: Workspace, corrected: Path, started: list[list[str]], open_screen: OpenScreen
) -> None:
    """Nothing is changed by it; a path outside of the folders that the app may open is refused."""
    tab = open_screen("export", workspace)
    assert "No image has an annotation" in text_of(tab)
    tab.text_input(key="import_path").set_value(str(corrected))
    next(button for button in tab.button if button.label == "Compare").click()
    tab.run()
    clustering = workspace.current_run().clustering()
    place = ["--run", clustering.run.name, "--clustering", clustering.name]
    assert started == [["import", str(corrected), "--format", "auto", *place, "--dry-run"]] and not tab.exception
    tab.text_input(key="import_path").set_value("/etc/passwd")
    next(button for button in tab.button if button.label == "Compare").click()
    tab.run()
    assert "leads outside the folders that this app may open" in tab.error[0].value and len(started) == 1


def test_the_report_is_taken_over_as_chosen(
    workspace: Workspace, corrected: Path, started: list[list[str]], open_screen: OpenScreen
) -> None:
    """What was found is on the page, with pictures of the corrected image; the button starts it again, for good."""
    run("import", corrected, "--workspace", workspace.root, "--device", "cpu", "--dry-run")
    tab = open_screen("export", workspace)
    text = text_of(tab)
    assert not tab.exception and not tab.error, text
    assert "1 corrected mask</b> · 5 unchanged" in text and "New classes: road." in text and "scene-2.png" in text
    tab.button(key="take_over").click().run()
    assert started[0][-2:] == ["--keep", "changed"] and "--dry-run" not in started[0]
    tab.checkbox(key="keep_corrected").uncheck().run()
    for key in ("rename_corrected", "split_corrected"):
        if any(box.key == key for box in tab.checkbox):
            tab.checkbox(key=key).check().run()
            assert not tab.exception
    tab.button(key="take_over").click().run()
    assert started[1][-2:] != ["--keep", "changed"] and "none" in started[1]


def test_annotations_are_listed_and_removed(workspace: Workspace, corrected: Path, open_screen: OpenScreen) -> None:
    """After taking over, the page says what was done and what is annotated; the removal can be undone."""
    run("import", corrected, "--workspace", workspace.root, "--device", "cpu")
    tab = open_screen("export", workspace)
    text = text_of(tab)
    assert "<b>1 image</b> has an annotation" in text and "take_over" not in [button.key for button in tab.button]
    assert "annotated 1 image from out" in "".join(done.value for done in tab.success)
    assert "Remove all 1 annotation" in button_labels(tab)
    tab.button(key="remove_annotations").click().run()
    assert workspace.label_map.annotated_paths() == set() and "No image has an annotation" in text_of(tab)
    workspace.label_map.undo()
    assert workspace.label_map.annotated_paths() == {"scene-2.png"}


def test_a_report_whose_masks_are_gone_still_shows(
    workspace: Workspace, corrected: Path, open_screen: OpenScreen
) -> None:
    run("import", corrected, "--workspace", workspace.root, "--device", "cpu", "--dry-run")
    corrected.rename(corrected.with_name("elsewhere"))
    tab = open_screen("export", workspace)
    assert "is gone, so no pictures can be drawn" in text_of(tab) and not tab.exception and not tab.error


def test_an_upload_lands_below_the_workspace(workspace: Workspace) -> None:
    """Whatever path its name claims; the newest of a name is kept."""
    for name in ("masks.zip", "..\\..\\masks.zip", "/etc/masks.zip", "../masks.zip"):
        path = corrections.store_upload(workspace, name, name.encode())
        assert path == workspace.root / "imports" / "masks.zip" and path.read_bytes() == name.encode()
