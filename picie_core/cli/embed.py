"""`embed`: a workspace with a frozen embedder."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict
from typing import Any

from picie_core.cli.options import (
    DatasetOption,
    DeviceOption,
    ImagesOption,
    ListOption,
    RootOption,
    SplitOption,
    WorkspaceOption,
    data_choice,
)
from picie_core.cli.parser import Job, open_or_create
from picie_core.settings import TIMM_PREFIX, EmbedderSettings, SampleSettings
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.workspace import Workspace


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
) -> dict[str, Any]:
    """Make a workspace with a frozen embedder: embed every image once with a pretrained backbone.

    Advice: start here. It takes seconds to minutes, and `cluster` at K = 60 to 100 on it, named by hand, is often
    good enough. A larger --size (640) sees smaller things and takes 4 times as long. Without internet give
    --weights PATH; --weights none works surprisingly well where textures tell things apart.
    """
    workspace = open_or_create(workspace_root, images, data_choice(images, dataset, root, split, list_file))
    with workspace.writer_lock("embed"), Job(workspace, "embed") as job:
        from picie_core.models.embedder import save_embedder
        from picie_core.models.inference import FrozenEmbedder
        from picie_core.workspace.embedding import finish_run, make_sample, start_embedder

        start = time.time()
        workspace.scan(job)
        network = start_embedder(workspace, embedder, sampling, job)
        run = frozen_run_name(embedder, sampling)
        info = RunInfo(run, "frozen", "running", start, {**asdict(embedder), **asdict(sampling)})
        workspace.write_run(info)
        job.status.name_run(run)
        engine = FrozenEmbedder(network, device)
        made = make_sample(workspace, run, engine, sampling, embedder_to_fit=network, report=job)
        save_embedder(network, workspace.run_dir(run) / "embedder", sampling.size_px)
        return job.done(run_result(workspace, finish_run(workspace, info, asdict(made)), asdict(made)))


def frozen_run_name(embedder: EmbedderSettings, sampling: SampleSettings) -> str:
    """Returns a name that tells runs with other settings apart, such as `frozen-resnet18-320-1f3a`."""
    digest = hashlib.sha256(json.dumps([asdict(embedder), asdict(sampling)]).encode()).hexdigest()[:4]
    return f"frozen-{embedder.backbone.removeprefix(TIMM_PREFIX)}-{sampling.size_px}-{digest}"


def run_result(workspace: Workspace, info: RunInfo, made: dict[str, Any]) -> dict[str, Any]:
    """Returns the result of the command that made a run."""
    listed = workspace.image_list()  # once more: decoding may have found problems that the scan did not
    result = {
        "workspace": str(workspace.root),
        "run": info.id,
        "images": len(listed.readable),
        "unreadable": len(listed.problems),
        "seconds": info.seconds,
    }
    return {**result, **{name: value for name, value in made.items() if name != "images"}}
