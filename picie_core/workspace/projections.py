"""The projections of a run: its PCA is part of the sample, each UMAP is a file beside the clusterings."""

from __future__ import annotations

import re

import numpy as np

from picie_core.atomic_files import open_atomic
from picie_core.clustering.projection import Projection, UmapSettings, pca_projection, umap_projection
from picie_core.progress import Report, ignore_progress
from picie_core.workspace.workspace import Run

_NAME = re.compile(r"umap-(\d+)-n(\d+)-d([\d.e-]+)-s(\d+)\.npz")


def load_projection(run: Run, kind: str = "pca", settings: UmapSettings | None = None) -> Projection | None:
    """Returns the `pca` or `umap` projection of `run`; None when that UMAP is not stored.

    settings: those of the UMAP; without them the UMAP that was stored last.
    """
    if kind == "pca":
        return pca_projection(run.sample())
    settings = settings or next(iter(stored_umaps(run)), None)
    if settings is None or not (path := run.derived_dir / settings.file_name).exists():
        return None
    with np.load(path) as stored:
        return Projection(stored["index"], stored["xy"], settings)


def stored_umaps(run: Run) -> list[UmapSettings]:
    """Returns the settings of the UMAPs stored for the sample of `run`, the newest first."""
    paths = sorted(run.derived_dir.glob("umap-*.npz"), key=lambda path: -path.stat().st_mtime_ns)
    found = [match for path in paths if (match := _NAME.fullmatch(path.name))]
    return [UmapSettings(int(one[1]), int(one[2]), float(one[3]), int(one[4])) for one in found]


def compute_umap(run: Run, settings: UmapSettings | None = None, report: Report = ignore_progress) -> Projection:
    """Computes the UMAP of the sample of `run`, stores it and returns it."""
    settings = settings or UmapSettings()
    made = umap_projection(run.sample(), settings, report)
    with open_atomic(run.derived_dir / settings.file_name) as file:
        np.savez(file, index=made.index, xy=made.xy)
    return made
