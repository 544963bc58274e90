"""The export of a run that embeds in tiles: masks of the full size, of the workspace and of another folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.export.export_settings import ExportSettings
from picie_core.workspace.masks.image_masks import mask_windows
from picie_core.workspace.masks.mask_export import export_masks
from picie_core.workspace.workspace import Workspace
from tests.factories import draw_scene, embedded

SIZES = {"large.png": (1100, 1500), "small.png": (200, 300)}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in tiles with six clusters, two of which have a name."""
    root = tmp_path_factory.mktemp("tiled")
    (root / "images").mkdir()
    for seed, (name, size) in enumerate(SIZES.items()):
        Image.fromarray(draw_scene(seed, *size)[0]).save(root / "images" / name)
    made = embedded(root / "work", root / "images", "--downsample", "2", "--tile", "256", "--overlap", "128")
    assert run_command(COMMANDS, ["cluster", "--workspace", str(made.root), "--k", "6"]) == 0
    made.label_map.name_clusters(made.current_run().clustering().key, [0, 1], "sky")
    made.label_map.name_clusters(made.current_run().clustering().key, [2], "field")
    return made


@pytest.mark.parametrize("kind", ["png", "npz"])
def test_tiled_masks_are_exported_in_all_formats(space: Workspace, tmp_path: Path, kind: str) -> None:
    """Every mask is that of the windows, once an image for both formats; no file of the work stays behind."""
    run, clustering = space.current_run(), space.current_run().clustering()
    report = export_masks(clustering, ["png", "voc"], tmp_path / "out", settings=ExportSettings(confidence=kind))
    assert report.images == 2 and report.problems == []
    for record in space.image_list().records:
        windows = mask_windows(run, clustering, record, clustering.classes_of(), dense=run.dense_features())
        made = windows.window_with_confidence(0, 0, record.height, record.width)
        stem = Path(record.path).stem
        with Image.open(tmp_path / "out" / "png" / "masks" / f"{stem}.png") as mask:
            np.testing.assert_array_equal(np.asarray(mask), made.labels)
        (voc,) = (tmp_path / "out" / "voc").rglob(f"SegmentationClass/{stem}.png")
        with Image.open(voc) as mask:
            np.testing.assert_array_equal(np.asarray(mask), made.labels)
        path = tmp_path / "out" / "confidence" / f"{stem}.{kind}"
        stored = np.asarray(Image.open(path)) / 255 if kind == "png" else np.load(path)["confidence"]
        assert np.abs(stored - made.confidence).max() < 0.003
    assert not [path for path in (tmp_path / "out").rglob(".*")]


def test_tiled_masks_of_another_folder(space: Workspace, tmp_path: Path) -> None:
    """Other images are embedded at the downsample of the run; the same image gets the same mask."""
    (tmp_path / "other").mkdir()
    for name in ("small.png", "large.png"):
        (tmp_path / "other" / f"again-{name}").write_bytes((space.images_root / name).read_bytes())
    clustering = space.current_run().clustering()
    export_masks(clustering, "png", tmp_path / "first")
    export_masks(clustering, "png", tmp_path / "second", images=tmp_path / "other")
    for stem in ("small", "large"):
        first = np.asarray(Image.open(tmp_path / "first" / "masks" / f"{stem}.png"))
        second = np.asarray(Image.open(tmp_path / "second" / "masks" / f"again-{stem}.png"))
        assert (first == second).mean() > 0.999
    assert not [path for path in (tmp_path / "second").rglob(".*")]


def test_a_choice_of_classes_has_their_values(space: Workspace, tmp_path: Path) -> None:
    """Pixels of the classes that are left out are 255, the others have ids from 0, as in any export."""
    clustering = space.current_run().clustering()
    (field,) = (one.id for one in space.label_map.classes() if one.name == "field")
    export_masks(clustering, "png", tmp_path / "out", settings=ExportSettings(classes=("field",)))
    record = space.image_list().records[1]
    windows = mask_windows(
        space.current_run(), clustering, record, clustering.classes_of(), dense=clustering.run.dense_features()
    )
    labels = windows.window(0, 0, record.height, record.width)
    with Image.open(tmp_path / "out" / "masks" / "small.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask), np.where(labels == field, 0, 255))
    assert 0 < (labels == field).mean() < 1
