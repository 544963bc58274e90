"""`embed`: a workspace with a frozen embedder."""

from __future__ import annotations

from typing import Any

from picie_core.cli.job import Job
from picie_core.cli.options import (
    DatasetOption,
    DeviceOption,
    ImagesOption,
    ListOption,
    RootOption,
    SplitOption,
    WorkspaceOption,
    data_choice,
    open_or_create,
)
from picie_core.cli.output import run_result
from picie_core.settings import EmbedderSettings, SampleSettings, TilingSettings


def embed(
    workspace_root: WorkspaceOption,
    embedder: EmbedderSettings = EmbedderSettings(),
    sampling: SampleSettings = SampleSettings(),
    images: ImagesOption = None,
    device: DeviceOption = "auto",
    dataset: DatasetOption = "folders",
    root: RootOption = None,
    split: SplitOption = None,
    list_file: ListOption = None,
    tiling: TilingSettings = TilingSettings(),
) -> dict[str, Any]:
    """Make a workspace with a frozen embedder: embed every image once with a pretrained backbone.

    Advice: start here. It takes seconds to minutes, and `cluster` at K = 60 to 100 on it, named by hand, is often
    good enough. A larger --size (640) resolves smaller objects and takes 4 times as long. Satellite scenes and
    microscope slides are embedded at their own resolution by --downsample 1, 2, 4 ..., in tiles. Without internet give
    --weights PATH; --weights none works surprisingly well where objects differ in texture.
    """
    from picie_core.workspace.embedding import embed_workspace, frozen_run_name

    workspace = open_or_create(workspace_root, images, data_choice(images, dataset, root, split, list_file))
    with workspace.writer_lock("embed"), Job(workspace, "embed") as job:
        job.status.name_run(frozen_run_name(embedder, sampling, tiling))
        return job.done(run_result(embed_workspace(workspace, embedder, sampling, tiling, device=device, report=job)))
