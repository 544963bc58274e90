"""Embedding the images of a workspace once: the network's start, the embedding sample and the dense features."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from picie_core.atomic_files import folder_atomic
from picie_core.data.images.image_file import ImageError
from picie_core.data.sample_writer import SampleReport, SampleWriter, draw_positions
from picie_core.errors import PicieError
from picie_core.progress import Report, ignore_progress
from picie_core.published_backbones import TIMM_PREFIX
from picie_core.settings import EmbedderSettings, SampleSettings, TilingSettings
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.tiled_embedding import make_tiled_sample, start_tiled_embedder
from picie_core.workspace.workspace import Run, Workspace

if TYPE_CHECKING:
    from torch import Tensor

    from picie_core.models.embedder import Embedder
    from picie_core.models.embedding_pass import ImagePass
    from picie_core.models.inference import FrozenEmbedder

TakeMaps = Callable[[list[int], "Tensor"], None]
"""Takes ids and feature maps (B, h, w, D) of some images."""


LATER_DEFAULTS = {"upsampling": "direct"}
"""Settings that came later, with the value of what was before, so that runs without them keep their names."""


def embed_workspace(
    workspace: Workspace,
    embedder: EmbedderSettings = EmbedderSettings(),
    sampling: SampleSettings = SampleSettings(),
    tiling: TilingSettings = TilingSettings(),
    *,
    device: str = "auto",
    report: Report = ignore_progress,
) -> Run:
    """Embeds every image of a workspace once with a frozen embedder, and returns the run, which is in use from now on.

    tiling: with a `downsample`, images are embedded at that resolution, large ones in tiles, instead of resized.
    Images that cannot be read are listed among the problems of the workspace. Raises WorkspaceBusy while another
    process writes the workspace, PicieError when no image can be read or the weights cannot.
    """
    from picie_core.models.embedder import save_embedder
    from picie_core.models.inference import FrozenEmbedder

    with workspace.writer_lock("embed"):
        start = time.time()
        workspace.scan(report)
        name = frozen_run_name(embedder, sampling, tiling)
        if tiling.downsample:
            network = start_tiled_embedder(workspace, embedder, sampling, tiling, report)
        else:
            network = start_embedder(workspace, embedder, sampling, report)
        info = RunInfo(name, "frozen", "running", start, {**asdict(embedder), **_image_settings(sampling, tiling)})
        workspace.write_run(info)
        engine = FrozenEmbedder(network, device)
        if tiling.downsample:
            made = make_tiled_sample(workspace, name, engine, sampling, tiling, network, report)
        else:
            made = make_sample(workspace, name, engine, sampling, embedder_to_fit=network, report=report)
        save_embedder(network, workspace.run_dir(name) / "embedder", sampling.size_px)
        return finish_run(workspace, info, asdict(made))


def frozen_run_name(
    embedder: EmbedderSettings, sampling: SampleSettings, tiling: TilingSettings = TilingSettings()
) -> str:
    """Returns a name that tells runs with other settings apart, such as `frozen-resnet18-320-1f3a`.

    At a downsample of 4 it is `frozen-resnet18-down4-1f3a`.
    """
    network = {name: value for name, value in asdict(embedder).items() if LATER_DEFAULTS.get(name) != value}
    digest = hashlib.sha256(json.dumps([network, _image_settings(sampling, tiling)]).encode()).hexdigest()[:4]
    size = f"down{tiling.downsample}" if tiling.downsample else f"{sampling.size_px}"
    return f"frozen-{embedder.backbone.removeprefix(TIMM_PREFIX)}-{size}-{digest}"


def _image_settings(sampling: SampleSettings, tiling: TilingSettings) -> dict[str, Any]:
    """What decides how images are embedded: a size or a tiling, so that runs at a size keep their names."""
    if not tiling.downsample:
        return asdict(sampling)
    return {name: value for name, value in asdict(sampling).items() if name != "size_px"} | asdict(tiling)


def finish_run(workspace: Workspace, info: RunInfo, sample: dict[str, Any]) -> Run:
    """Marks a run as done, makes it the one in use and returns it; sample: what was made, to be stored with it."""
    seconds = round(time.time() - info.created, 2)
    workspace.write_run(replace(info, state="done", images=sample["images"], seconds=seconds, sample=sample))
    workspace.choose_run(info.id)
    return workspace.run(info.id)


def start_embedder(
    workspace: Workspace, embedder: EmbedderSettings, settings: SampleSettings, report: Report = ignore_progress
) -> Embedder:
    """Returns an embedder with the weights that `embedder` names; with none, its first filters come from the images."""
    from picie_core.training.untrained_backbone import start_network

    wanted = draw_positions(workspace.image_list().readable, settings)
    return start_network(image_pass(workspace, wanted, settings, report), embedder)


def fit_embedder(
    workspace: Workspace,
    network: Embedder,
    settings: SampleSettings,
    device: str,
    report: Report = ignore_progress,
) -> None:
    """Sets the decoder of `network` to the PCA that `make_sample` would give it, from the same first images.

    With decoder="random" it stays as the seed drew it, as in the paper.
    """
    from picie_core.models.embedding_pass import fit_decoder

    wanted = draw_positions(workspace.image_list().readable, settings)
    fit_decoder(image_pass(workspace, wanted, settings, report), network, device)


def make_sample(
    workspace: Workspace,
    run: str,
    engine: FrozenEmbedder,
    settings: SampleSettings,
    embedder_to_fit: Embedder | None = None,
    report: Report = ignore_progress,
    take: TakeMaps = lambda ids, feature_maps: None,
) -> SampleReport:
    """Embeds the images once and writes the sample and the dense features of `run`; returns what it did.

    embedder_to_fit: as of `embed_images`. take: gets every batch of feature maps (B, h, w, D) as well.
    """
    from picie_core.models.embedding_pass import embed_images

    wanted = draw_positions(workspace.image_list().readable, settings)
    images = image_pass(workspace, wanted, settings, report)
    with folder_atomic(workspace.run_dir(run) / "dense") as folder, open(folder / "cells.i8", "wb") as file:
        writer = SampleWriter(wanted, settings.dense_mb << 20, file)
        for ids, feature_maps in embed_images(images, engine, embedder_to_fit):
            writer.add(ids, feature_maps)
            take(ids, feature_maps)
        writer.write_index(folder)
    return writer.write_sample(workspace.run_dir(run) / "sample")


def image_pass(workspace: Workspace, ids: Iterable[int], settings: SampleSettings, report: Report) -> ImagePass:
    """Returns a pass over images of a workspace; one that cannot be decoded becomes a problem."""
    from picie_core.models.embedding_pass import ImagePass

    def list_problem(image_id: int, error: PicieError) -> None:
        workspace.add_problem(image_id, error.reason if isinstance(error, ImageError) else str(error))

    cache = workspace.image_cache(settings.size_px, writable=True)
    return ImagePass(cache, ids, settings, on_error=list_problem, report=report)
