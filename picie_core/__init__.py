"""PiCIE Explorer's core: embed pixels, cluster them, name the clusters, write masks.

Axes everywhere: B batch, H W image pixels, h w feature cells (h = ceil(H / 4)), D embedding width, K clusters, N pixels
flattened. Images are uint8 RGB (H, W, 3) at every boundary; floats live inside the model.

Names are loaded when they are first used, so `import picie_core` is quick and brings neither torch nor faiss.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from picie_core.version import __version__

if TYPE_CHECKING:
    from picie_core.cli.embed import embed
    from picie_core.cli.train import train
    from picie_core.clustering.clustering import Clustering
    from picie_core.errors import PicieError, SettingError, WorkspaceBusy
    from picie_core.segmentation.contact_sheet import contact_sheet
    from picie_core.settings import EmbedderSettings, SampleSettings, TrainSettings
    from picie_core.workspace.mask_export import export_masks
    from picie_core.workspace.projections import load_projection
    from picie_core.workspace.workspace import Run, Workspace

# In reading order: settings, work, looking, naming and writing.
_HOMES = {
    "EmbedderSettings": "settings",
    "SampleSettings": "settings",
    "TrainSettings": "settings",
    "embed": "cli.embed",
    "train": "cli.train",
    "Workspace": "workspace.workspace",
    "Run": "workspace.workspace",
    "Clustering": "clustering.clustering",
    "contact_sheet": "segmentation.contact_sheet",
    "load_projection": "workspace.projections",
    "export_masks": "workspace.mask_export",
    "PicieError": "errors",
    "SettingError": "errors",
    "WorkspaceBusy": "errors",
}

__all__ = [
    "__version__",
    "EmbedderSettings",
    "SampleSettings",
    "TrainSettings",
    "embed",
    "train",
    "Workspace",
    "Run",
    "Clustering",
    "contact_sheet",
    "load_projection",
    "export_masks",
    "PicieError",
    "SettingError",
    "WorkspaceBusy",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'picie_core' has no attribute {name!r}")
    return getattr(import_module(f"picie_core.{_HOMES[name]}"), name)
