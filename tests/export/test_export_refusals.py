"""Exports that cannot be: each says what is wrong and the remedy, and leaves nothing behind."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from picie_core.errors import PicieError, SettingError
from picie_core.export import image_files
from picie_core.export.export_settings import ExportSettings
from picie_core.export.formats import FORMATS
from picie_core.workspace.masks.mask_export import export_masks
from tests.export.odd_images import no_network, picture, save


def test_without_names_there_is_nothing_to_write(made, tmp_path):
    """The error says how to name or to go without names."""
    workspace, run, _ = made
    unnamed = run.cluster(3)
    with pytest.raises(PicieError, match=r"no cluster of k3-s0 has a name.*label import.*--raw"):
        export_masks(unnamed, "png", tmp_path / "out")
    workspace.label_map.name_clusters(unnamed.key, [0], "ignore")
    with pytest.raises(PicieError, match="has a name"):
        export_masks(unnamed, "png", tmp_path / "out")


def test_wrong_settings_are_refused(made, tmp_path):
    """Format, share and folders: what is wrong, and what to give instead."""
    save(tmp_path / "full" / "x.png", picture(0))
    (tmp_path / "empty").mkdir()
    cases = [
        ({"formats": "tiff"}, "format='tiff' is unknown: choose one of png, voc, cvat-mask, "),
        ({"out": tmp_path / "full"}, "exists and is not an empty folder"),
        ({"out": tmp_path / "full" / "x.png"}, "exists and is not an empty folder"),
        ({"out": made[0].images_root / "masks"}, "lies in the folder of images"),
        ({"images": tmp_path / "nowhere"}, "is not a folder"),
        ({"images": tmp_path / "empty"}, "no images under"),
    ]
    for changes, message in cases:
        arguments = {"formats": "png", "out": tmp_path / "out", **changes}
        with pytest.raises(PicieError, match=message):
            export_masks(made[2], **arguments, feature_source=no_network)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]


def test_an_empty_folder_may_be_filled(made, tmp_path):
    """A person may make the folder first."""
    (tmp_path / "out").mkdir()
    export_masks(made[2], "png", tmp_path / "out", feature_source=no_network)
    assert (tmp_path / "out" / "export.json").exists()


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("after", [0, 7])
def test_a_full_disk_leaves_nothing(made, tmp_path, monkeypatch, fmt, after):
    """The error names folder and remedy, and neither the folder nor a part of it stays."""
    real, calls = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        calls.append(path)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(image_files.Path, "write_bytes", full)
    with pytest.raises(PicieError, match=r"cannot write .*out: No space left on device; free some space"):
        export_masks(made[2], fmt, tmp_path / "out", settings=ExportSettings(fix_names=True), feature_source=no_network)
    assert list(tmp_path.iterdir()) == []


def test_wrong_divisions_are_refused(made, tmp_path):
    """A share beyond 1, and a folder that holds no image."""
    with pytest.raises(SettingError, match=r"val-share=1.5 must be from 0 to 1"):
        ExportSettings(val_share=1.5)
    with pytest.raises(SettingError, match=r"val-folders=nowhere: no image of the export lies in this folder"):
        export_masks(made[2], "png", tmp_path / "out", settings=ExportSettings(val_folders=("nowhere",)))


def test_only_broken_images_is_an_error(made, tmp_path):
    """An export of nothing fails, and the message gives the first reason."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.jpg").write_text("hello")
    with pytest.raises(PicieError, match=r"none of the 1 images of .* can be read; the first: x.jpg: not an image"):
        export_masks(made[2], "png", tmp_path / "out", images=tmp_path / "in", feature_source=no_network)
    assert not (tmp_path / "out").exists()
