"""`export`: named masks for other tools."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

from picie_core.cli.job import Job
from picie_core.cli.options import ClusteringOption, DeviceOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.export.export_settings import ExportSettings
from picie_core.export.formats import FORMATS
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.workspace.workspace import Workspace


def export(
    workspace_root: WorkspaceOption,
    out: Annotated[Path, Option("new or empty folder to write")],
    format: Annotated[
        list[str],
        Option(
            "; ".join(f"{form.key}: {form.title}" for form in FORMATS.values()) + "; several are written in one pass",
            choices=tuple(FORMATS),
        ),
    ] = ["png"],  # noqa: B006 - never changed
    images: Annotated[Path | None, Option("mask the images of this folder instead of the workspace's own")] = None,
    settings: ExportSettings = ExportSettings(),
    post_processing: PostProcessing = PostProcessing(),
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Write a full-size mask for every image: uint8 class ids, 255 = ignored or unnamed.

    Advice: name the clusters first (app or `label import`); unnamed ones become 255. --images applies the same
    clusters and names to another folder. --min-confidence ignores uncertain pixels (the Masks screen shows what it
    leaves); --refine and --min-area make masks tidier, not more accurate: compare both before you trust them. An
    export that was stopped goes on when the same command is given again.
    """
    from picie_core.workspace.masks.mask_export import export_masks

    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    words = ["python", "-m", "picie_core", "export", "--workspace", str(workspace_root), "--format", *format]
    words += ["--out", str(out), "--run", clustering.run.name, "--clustering", clustering.name]
    words += ["--images", str(images)] * (images is not None) + settings.options() + post_processing.options()
    with Job(clustering.workspace, "export") as job:
        made = export_masks(
            clustering,
            format,
            out,
            settings=settings,
            post_processing=post_processing,
            images=images,
            device=device,
            report=job,
            command_line=shlex.join(words),
        )
        return job.done(made.record())
