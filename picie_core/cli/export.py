"""`export`: named masks for other tools."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

from picie_core.cli.job import Job
from picie_core.cli.options import ClusteringOption, DeviceOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.workspace.workspace import Workspace


def export(
    workspace_root: WorkspaceOption,
    out: Annotated[Path, Option("new or empty folder to write")],
    format: Annotated[
        str, Option("png: index masks beside the images; voc: Pascal VOC", choices=("png", "voc"))
    ] = "png",
    images: Annotated[Path | None, Option("mask the images of this folder instead of the workspace's own")] = None,
    post_processing: PostProcessing = PostProcessing(),
    raw: Annotated[bool, Option("write cluster ids instead of classes")] = False,
    val_share: Annotated[float, Option("share of the images in the val split (voc)")] = 0.2,
    seed: Annotated[int, Option("seed of the split", low=0)] = 0,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Write a full-size mask for every image: uint8 class ids, 255 = ignored or unnamed.

    Advice: name the clusters first (app or `label import`); unnamed ones become 255. --images applies the same
    clusters and names to another folder. --min-confidence ignores uncertain pixels (the Masks screen shows what it
    leaves); --refine and --min-area make masks tidier, not more accurate: compare both before you trust them.
    """
    from picie_core.workspace.mask_export import export_masks

    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    parts = ["python -m picie_core export --workspace", shlex.quote(str(workspace_root)), "--format", format]
    parts += ["--out", shlex.quote(str(out)), "--run", clustering.run.name, "--clustering", clustering.name]
    parts += ["--images", shlex.quote(str(images))] * (images is not None) + ["--raw"] * raw
    parts += post_processing.options()
    parts += ["--val-share", str(val_share), "--seed", str(seed)] * (format == "voc")
    with Job(clustering.workspace, "export") as job:
        made = export_masks(
            clustering,
            format,
            out,
            images=images,
            raw=raw,
            val_share=val_share,
            split_seed=seed,
            report=job,
            command_line=" ".join(parts),
            device=device,
            post_processing=post_processing,
        )
        return job.done(made.record())
