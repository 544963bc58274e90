"""`import` and `label annotations` on the command line."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from picie_core.workspace.masks.mask_export import export_masks


def test_the_command_reports_and_takes_over(clustering, tmp_path, say):
    """--dry-run first, then for good; --json has the whole report."""
    root = clustering.workspace.root
    export_masks(clustering, "png", tmp_path / "out", device="cpu")
    Image.fromarray(np.ones((64, 96), np.uint8)).save(tmp_path / "out" / "masks" / "scene-1.png")
    said = say("import", tmp_path / "out", "--workspace", root, "--device", "cpu", "--dry-run", "--json")
    record = json.loads(said.out.splitlines()[-1])
    assert said.code == 0 and [one["path"] for one in record["corrected"]] == ["scene-1.png"]
    assert clustering.label_map.annotated_paths() == set()
    said = say("import", tmp_path / "out", "--workspace", root, "--device", "cpu")
    assert said.code == 0 and "| scene-1.png |" in said.out and "annotated 1 image from out" in said.out
    assert clustering.label_map.annotated_paths() == {"scene-1.png"}
    said = say("import", tmp_path / "gone", "--workspace", root)
    assert said.code == 2 and "is neither a file nor a folder" in said.err
    assert json.loads((root / "jobs" / "import.json").read_text())["state"] == "failed"


def test_annotations_are_listed_and_removed_by_the_command(clustering, say):
    root, label_map = clustering.workspace.root, clustering.label_map
    label_map.annotate([(f"scene-{i}.png", np.zeros((64, 96), np.uint8)) for i in range(3)], ["Straße"], "file")
    words = ["label", "annotations", "--workspace", root, "--json"]
    assert json.loads(say(*words).out) == {"annotated": ["scene-0.png", "scene-1.png", "scene-2.png"]}
    assert json.loads(say(*words, "--remove", "scene-0.png", "scene-2.png").out) == {
        "removed": 2,
        "annotated": ["scene-1.png"],
    }
    said = say(*words, "--remove", "scene-1.png", "scene-2.png")
    assert said.code == 2 and "remove=scene-2.png have no annotation" in said.err
    assert json.loads(say(*words, "--remove", "all").out) == {"removed": 1, "annotated": []}
    label_map.undo()
    assert label_map.annotated_paths() == {"scene-1.png"}
