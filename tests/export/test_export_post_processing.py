"""Exports with post-processing: none by default; what was asked for is in the masks and in the record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.errors import SettingError
from picie_core.export.export_settings import ExportSettings
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.segmentation.small_regions import remove_small_regions
from picie_core.workspace.masks.mask_export import export_masks


def masks_of(out: Path) -> dict[str, np.ndarray]:
    """Every mask of an export by its name."""
    return {str(path.relative_to(out)): np.asarray(Image.open(path)) for path in (out / "masks").rglob("*.png")}


def test_the_defaults_write_the_same_bytes(made, png_export, tmp_path):
    """An export that names the defaults is the export that names nothing, file by file."""
    out = tmp_path / "out"
    report = export_masks(
        made[2], "png", out, command_line="picie export X", device="cpu", post_processing=PostProcessing()
    )
    assert report.post_processing == {} and "post_processing" not in report.record()
    before = {path.relative_to(png_export[0]) for path in png_export[0].rglob("*") if path.is_file()}
    assert {path.relative_to(out) for path in out.rglob("*") if path.is_file()} == before
    for path in before:
        assert (out / path).read_bytes() == (png_export[0] / path).read_bytes(), path


def test_options_of_the_command_are_in_masks_and_record(made, png_export, tmp_path):
    """A threshold ignores more, small regions are gone, and export.json and the result say what was done."""
    workspace, run, clustering = made  # other tests choose other clusterings of this workspace
    words = ["export", "--workspace", str(workspace.root), "--out", str(tmp_path / "out"), "--device", "cpu"]
    words += ["--run", run.name, "--clustering", clustering.name]
    assert run_command(COMMANDS, [*words, "--min-confidence", "0.3", "--min-area", "40"]) == 0
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert record["post_processing"] == {"min_confidence": 0.3, "min_area_px": 40}
    assert "--min-confidence 0.3 --min-area 40" in record["command"] and run.name in record["command"]
    plain, processed = masks_of(png_export[0]), masks_of(tmp_path / "out")
    assert plain.keys() == processed.keys()
    assert record["ignored_share"] > json.loads((png_export[0] / "export.json").read_text())["ignored_share"]
    for name, mask in processed.items():
        np.testing.assert_array_equal(mask, remove_small_regions(mask, 40), err_msg=name)


@pytest.mark.parametrize("method", ["guided", "pamr"])
def test_a_refined_export_differs_and_says_so(made, png_export, tmp_path, method):
    """Refined masks hold the same classes, have the same sizes, and are not the plain ones."""
    report = export_masks(made[2], "png", tmp_path / "out", device="cpu", post_processing=PostProcessing(refine=method))
    assert report.post_processing == {"refine": method}
    plain, refined = masks_of(png_export[0]), masks_of(tmp_path / "out")
    assert all(
        plain[name].shape == mask.shape and set(np.unique(mask)) <= {0, 1, 255} for name, mask in refined.items()
    )
    assert any((plain[name] != mask).any() for name, mask in refined.items())


def test_uncertain_pixels_of_a_raw_export_count_as_ignored(made, tmp_path):
    """Cluster ids with a threshold hold 255, and the report says its share."""
    report = export_masks(
        made[2],
        "png",
        tmp_path / "out",
        settings=ExportSettings(raw=True),
        device="cpu",
        post_processing=PostProcessing(min_confidence=0.5),
    )
    found = np.concatenate([mask.ravel() for mask in masks_of(tmp_path / "out").values()])
    assert report.ignored_share == pytest.approx((found == 255).mean()) and report.ignored_share > 0


def test_a_wrong_threshold_writes_nothing(made, tmp_path):
    """The refusal comes before the first mask."""
    with pytest.raises(SettingError, match="min-confidence=2 is too large"):
        export_masks(made[2], "png", tmp_path / "out", device="cpu", post_processing=PostProcessing(min_confidence=2))
    assert not (tmp_path / "out").exists()
