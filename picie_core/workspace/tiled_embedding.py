"""Embedding the images of a workspace in tiles, at a fixed downsample: the start, the sample, the dense features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from picie_core.atomic_files import folder_atomic
from picie_core.data.images.downsampled_images import downsampled_size
from picie_core.data.images.image_file import ImageError
from picie_core.data.sample_writer import SampleReport, draw_positions
from picie_core.data.tiled_sample_writer import TiledSampleWriter
from picie_core.errors import PicieError
from picie_core.progress import Report, ignore_progress
from picie_core.settings import EmbedderSettings, SampleSettings, TilingSettings
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.models.embedder import Embedder
    from picie_core.models.embedding_pass import ImagePass
    from picie_core.models.inference import FrozenEmbedder


def start_tiled_embedder(
    workspace: Workspace,
    embedder: EmbedderSettings,
    settings: SampleSettings,
    tiling: TilingSettings,
    report: Report = ignore_progress,
) -> Embedder:
    """Returns an embedder with the weights that `embedder` names; with none, its first filters come from windows."""
    from picie_core.training.untrained_backbone import start_network

    return start_network(_fit_pass(workspace, settings, tiling, report), embedder)


def make_tiled_sample(
    workspace: Workspace,
    run: str,
    engine: FrozenEmbedder,
    settings: SampleSettings,
    tiling: TilingSettings,
    embedder_to_fit: Embedder,
    report: Report = ignore_progress,
) -> SampleReport:
    """Embeds all images tile by tile and writes the sample and the dense features of `run`; returns what it did.

    embedder_to_fit: its decoder, and that of the engine with it, is set to the PCA of windows of the images.
    """
    from picie_core.models.embedding_pass import fit_decoder
    from picie_core.models.tiled_features import TiledEmbedding

    if embedder_to_fit.settings.decoder != "random":
        fit_decoder(_fit_pass(workspace, settings, tiling, report), embedder_to_fit, engine.device.type)
        engine.set_decoder(embedder_to_fit)
    readable = workspace.image_list().readable
    wanted = draw_positions(readable, settings, downsampled_size(tiling.downsample))
    order = np.random.default_rng(settings.seed).permutation(sorted(wanted)).tolist()
    embedding = TiledEmbedding(workspace.downsampled_images(tiling.downsample), engine, tiling)
    with folder_atomic(workspace.run_dir(run) / "dense") as folder, open(folder / "cells.i8", "wb") as file:
        writer = TiledSampleWriter(wanted, settings.dense_mb << 20, file)

        def leave_out(image_id: int, error: PicieError) -> None:
            writer.discard(image_id)
            _list_problem(workspace, image_id, error)

        for one in embedding.tiles(order, on_error=leave_out, report=report):
            writer.add_tile(*one)
        writer.write_index(folder)
    return writer.write_sample(workspace.run_dir(run) / "sample")


def _fit_pass(workspace: Workspace, settings: SampleSettings, tiling: TilingSettings, report: Report) -> ImagePass:
    from picie_core.models.tiled_features import fit_pass

    source = workspace.downsampled_images(tiling.downsample)
    ids = [one.id for one in workspace.image_list().readable]
    return fit_pass(
        source, ids, settings, on_error=lambda one, error: _list_problem(workspace, one, error), report=report
    )


def _list_problem(workspace: Workspace, image_id: int, error: PicieError) -> None:
    """Lists an image that cannot be read; raises any other error, such as that of a full disk."""
    if not isinstance(error, ImageError):
        raise error
    workspace.add_problem(image_id, error.reason)
