"""The training of a network on the Export screen: what to learn from, the command, curve, pictures, what goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from picie_core.workspace.workspace import Workspace
from tests.app.conftest import button_labels, text_of
from tests.small_exports import write_export

HISTORY = [
    {"epoch": 1, "round": 1, "loss": 1.5, "val_miou": 0.4, "val_accuracy": 0.7, "best": True, "seconds": 9.0},
    {"epoch": 2, "round": 1, "loss": 0.9, "val_miou": 0.5, "val_accuracy": 0.8, "best": True, "seconds": 18.0},
]


def write_student(workspace: Workspace, name: str = "first") -> Path:
    """Writes what a screen reads of a student."""
    folder = workspace.root / "students" / name
    (folder / "pictures").mkdir(parents=True)
    Image.new("RGB", (60, 20)).save(folder / "pictures" / "00_scene.jpg")
    held_out = {"accuracy": 80.0, "miou": 50.0, "relabelled": [{"teacher": "sky", "student": "sea", "share": 2.5}]}
    images = {"train": 40, "held_out": 4}
    report = {"held_out": held_out, "images": images, "student": {"network": "fpn_resnet18"}, "seconds": 18.0}
    (folder / "report.json").write_text(json.dumps({**report, "stopped": False, "history": HISTORY}))
    return folder


@pytest.fixture
def exported(workspace: Workspace) -> Workspace:
    """A workspace with an export of classes and one of cluster ids in 16 bit."""
    write_export(workspace.root / "exports" / "png-1", ignored_share=0.0, images=6, problems=[])
    return workspace


def test_nothing_is_offered_before_there_is_an_export(open_screen, workspace):
    """The part is not on the screen."""
    assert "Train the network" not in button_labels(open_screen("export", workspace))


def test_an_export_can_be_learnt_from(open_screen, exported):
    """The button, and the command that does the same: of the chosen network and time."""
    tab = open_screen("export", exported)
    assert "Train the network" in button_labels(tab)
    tab.selectbox(key="distil_network").set_value("lraspp_mobilenet_v3_large")
    tab.number_input(key="distil_minutes").set_value(7).run()
    command = next(code.value for code in tab.code if " distil " in code.value)
    assert "--minutes 7" in command and "--network lraspp_mobilenet_v3_large" in command
    assert str(exported.root / "exports" / "png-1") in command and not tab.exception


def test_a_network_shows_its_curve_and_pictures(open_screen, workspace):
    """In one line what it reached; what it calls otherwise; a download."""
    write_student(workspace)
    tab = open_screen("export", workspace)
    text = text_of(tab)
    assert "fpn_resnet18 · 40 images" in text and "agrees on 80.0 % of the held-out pixels, 50.0 % mIoU" in text
    assert not tab.exception


def test_a_stopped_training_can_go_on(open_screen, exported):
    """Its arguments lie beside its checkpoint; the button is there as long as they do."""
    folder = exported.root / "students" / "second.training"
    folder.mkdir(parents=True)
    tab = open_screen("export", exported)
    assert "Go on with the stopped one" not in button_labels(tab)
    words = ["EXPORT", "--out", str(exported.root / "students" / "second")]
    (folder / "arguments.json").write_text(json.dumps({"out": words[-1], "words": words}))
    assert "Go on with the stopped one" in button_labels(open_screen("export", exported))
