"""A real workspace of odd images, and both of its exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from picie_core.export.export_settings import ExportSettings
from picie_core.progress import Progress
from picie_core.workspace.masks.mask_export import ExportReport, export_masks
from picie_core.workspace.workspace import Run, StoredClustering, Workspace
from tests.export.odd_images import SIZE_PX, odd_images
from tests.factories import embedded


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Run, StoredClustering]:
    """A real workspace of odd images with random weights and six clusters, four of them named."""
    folder = tmp_path_factory.mktemp("exports")
    odd_images(folder / "images")
    (folder / "images" / "broken.jpg").write_bytes(b"not an image")
    workspace = embedded(folder / "w", folder / "images", "--size", str(SIZE_PX), "--pixels", "3000", "--dim", "16")
    run = workspace.current_run()
    clustering = run.cluster(6)
    for name, clusters in {"sky & sea": [0, 3], "Straße": [1], "ignore": [4]}.items():
        workspace.label_map.name_clusters(clustering.key, clusters, name)
    return workspace, run, clustering


@pytest.fixture(scope="session")
def png_export(made, tmp_path_factory) -> tuple[Path, ExportReport, list[Progress]]:
    out, events = tmp_path_factory.mktemp("png") / "out", []
    report = export_masks(made[2], "png", out, report=events.append, command_line="picie export X", device="cpu")
    return out, report, events


@pytest.fixture(scope="session")
def voc_export(made, tmp_path_factory) -> tuple[Path, ExportReport]:
    out = tmp_path_factory.mktemp("voc") / "out"
    return out, export_masks(made[2], "voc", out, settings=ExportSettings(val_share=0.3, seed=4), device="cpu")
