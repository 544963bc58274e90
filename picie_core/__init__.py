"""PiCIE Explorer's core: embed pixels, cluster them, name the clusters, write masks.

Axes everywhere: B batch, H W image pixels, h w positions of a feature map (h = ceil(H / 4)), D embedding width,
K clusters, N pixels flattened. Images are uint8 RGB (H, W, 3) at every boundary; floats live inside the model.

Names are loaded when they are first used, so `import picie_core` is quick and loads neither torch nor faiss nor
scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from picie_core.version import __version__

if TYPE_CHECKING:
    from picie_core.data.images.image_file import ImageError
    from picie_core.errors import PicieError, SettingError, WorkspaceBusy
    from picie_core.estimators.pixel_clusterer import PixelClusterer
    from picie_core.estimators.spherical_kmeans import SphericalKMeans
    from picie_core.evaluation.mask_metrics import MaskMetrics, evaluate
    from picie_core.export.export_settings import ExportSettings
    from picie_core.progress import Progress
    from picie_core.segmentation.contact_sheet import contact_sheet
    from picie_core.settings import EmbedderSettings, SampleSettings
    from picie_core.training.settings import TrainSettings
    from picie_core.workspace.embedding import embed_workspace
    from picie_core.workspace.masks.mask_export import export_masks
    from picie_core.workspace.masks.mask_import import import_masks
    from picie_core.workspace.projections import load_projection
    from picie_core.workspace.trainings.training_plan import TrainingPlan
    from picie_core.workspace.trainings.training_run import train_workspace
    from picie_core.workspace.workspace import Run, StoredClustering, Workspace

__all__ = [
    "__version__",
    # arrays in, clusters and masks out
    "PixelClusterer",
    "SphericalKMeans",
    "evaluate",
    "MaskMetrics",
    # a workspace on disk
    "Workspace",
    "embed_workspace",
    "train_workspace",
    "TrainingPlan",
    "EmbedderSettings",
    "SampleSettings",
    "TrainSettings",
    "Run",
    "StoredClustering",
    "contact_sheet",
    "load_projection",
    "export_masks",
    "ExportSettings",
    "import_masks",
    # progress and errors
    "Progress",
    "PicieError",
    "SettingError",
    "ImageError",
    "WorkspaceBusy",
]

_HOMES = {
    "PixelClusterer": "estimators.pixel_clusterer",
    "SphericalKMeans": "estimators.spherical_kmeans",
    "evaluate": "evaluation.mask_metrics",
    "MaskMetrics": "evaluation.mask_metrics",
    "Workspace": "workspace.workspace",
    "embed_workspace": "workspace.embedding",
    "train_workspace": "workspace.trainings.training_run",
    "TrainingPlan": "workspace.trainings.training_plan",
    "EmbedderSettings": "settings",
    "SampleSettings": "settings",
    "TrainSettings": "training.settings",
    "Run": "workspace.workspace",
    "StoredClustering": "workspace.workspace",
    "contact_sheet": "segmentation.contact_sheet",
    "load_projection": "workspace.projections",
    "export_masks": "workspace.masks.mask_export",
    "ExportSettings": "export.export_settings",
    "import_masks": "workspace.masks.mask_import",
    "Progress": "progress",
    "PicieError": "errors",
    "SettingError": "errors",
    "ImageError": "data.images.image_file",
    "WorkspaceBusy": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'picie_core' has no attribute {name!r}")
    return getattr(import_module(f"picie_core.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
