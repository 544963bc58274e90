"""The round trip: exported, corrected outside, imported, exported again; and undone to what it was."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.workspace.masks.mask_export import export_masks
from picie_core.workspace.masks.mask_import import import_masks
from picie_core.workspace.workspace import Workspace

CORRECTED = 10
Changes = dict[str, list[tuple[str, str]]]
"""By image, the classes whose region got another class: from, to."""


def masks_of(out: Path) -> dict[str, np.ndarray]:
    """Every mask by the name that its image has in the export."""
    paths = sorted((out / "masks").rglob("*.png"))
    return {name_of(path.relative_to(out / "masks")): np.asarray(Image.open(path)) for path in paths}


def name_of(path: Path | str) -> str:
    return Path(path).with_suffix("").as_posix()


def correct_coco(out: Path) -> Changes:
    """Gives the first region of ten images another category, as a click in an editor does."""
    changes: Changes = {}
    for path in sorted(out.glob("annotations/instances_*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        names = {one["id"]: one["name"] for one in record["categories"]}
        stems = {one["id"]: name_of(one["file_name"]) for one in record["images"]}
        seen = set()
        for one in record["annotations"]:
            if one["image_id"] not in seen and len(changes) < CORRECTED:
                seen.add(one["image_id"])
                other = next(number for number in names if number != one["category_id"])
                changes[stems[one["image_id"]]] = [(names[one["category_id"]], names[other])]
                one["category_id"] = other
        path.write_text(json.dumps(record), encoding="utf-8")
    return changes


def correct_cvat(out: Path) -> Changes:
    """The same in the XML of CVAT: the label of the first mask of ten images."""
    path, changes = out / "annotations.xml", Changes()
    text = path.read_text(encoding="utf-8")
    labels = re.findall(r"<name>([^<]+)</name>", text[: text.index("<image ")])
    names = [one for one in dict.fromkeys(labels) if f'label="{one}"' in text]
    pieces = re.split(r"(?=<image )", text)
    for i, piece in enumerate(pieces):
        found = re.search(r'<mask [^>]*?label="([^"]+)"', piece)
        if piece.startswith("<image ") and found and len(changes) < CORRECTED:
            name = re.search(r'name="([^"]+)"', piece)
            assert name is not None
            other = next(one for one in names if one != found[1])
            pieces[i] = piece.replace(f'label="{found[1]}"', f'label="{other}"', 1)
            changes[name_of(name[1])] = [(found[1], other)]
    path.write_text("".join(pieces), encoding="utf-8")
    return changes


@pytest.mark.slow
@pytest.mark.parametrize(("form", "correct"), [("coco", correct_coco), ("cvat-images", correct_cvat)])
def test_corrected_pixels_are_new_and_all_others_untouched(
    made, tmp_path: Path, form: str, correct: Callable[[Path], Changes]
):
    """Ten corrected images come back as they were corrected, the others stay, and undo brings everything back."""
    root = shutil.copytree(made[0].root, tmp_path / "work", ignore=shutil.ignore_patterns("exported_masks.txt"))
    workspace = Workspace.open(root)
    clustering = workspace.current_run().clustering(made[2].name)
    export_masks(clustering, ["png", form], tmp_path / "first", device="cpu")
    before = masks_of(tmp_path / "first" / "png")
    record = json.loads((tmp_path / "first" / "png" / "export.json").read_text(encoding="utf-8"))
    ids = {
        one["name"].replace("&", "&amp;") if form == "cvat-images" else one["name"]: one["id"]
        for one in record["classes"]
    }
    changes = correct(tmp_path / "first" / form)
    assert len(changes) == CORRECTED
    report = import_masks(clustering, tmp_path / "first" / form, name=False, device="cpu")
    labelled = sum(bool(np.isin(mask, list(ids.values())).any()) for mask in before.values())  # others have no regions
    assert len(report.corrected) == CORRECTED and report.unchanged == labelled - CORRECTED > 0
    assert export_masks(clustering, "png", tmp_path / "second", device="cpu").annotated == CORRECTED
    for name, mask in masks_of(tmp_path / "second").items():
        expected = before[name].copy()
        for old, new in changes.get(name, []):
            expected[before[name] == ids[old]] = ids[new]
        np.testing.assert_array_equal(mask, expected, err_msg=name)
    for _ in report.applied:
        workspace.label_map.undo()
    export_masks(clustering, "png", tmp_path / "third", device="cpu")
    for stem, mask in masks_of(tmp_path / "third").items():
        np.testing.assert_array_equal(mask, before[stem], err_msg=stem)
