"""Embedding the images of a workspace once: the network's start, the embedding sample and the dense cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from picie_core.atomic_files import folder_atomic
from picie_core.data.image_cache import ImageCache
from picie_core.data.image_file import ImageError
from picie_core.data.sample_writer import SampleReport, SampleWriter, draw_positions
from picie_core.errors import PicieError
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from torch import Tensor

    from picie_core.models.embedder import Embedder, FrozenEmbedder

FIT_IMAGES = 64
"""Images whose stage features the PCA of the decoder sees."""
UNTRAINED_IMAGES = 32
"""Images that an embedder without weights takes its first filters and statistics from."""
NOTHING_READ = "no image could be read: see `info` for the reason of each"


def start_embedder(
    workspace: Workspace, embedder: EmbedderSettings, settings: SampleSettings, report: Report = ignore_progress
) -> Embedder:
    """Returns an embedder with the weights that `embedder` names; with none, its first filters come from the images."""
    from picie_core.models.embedder import new_embedder

    network = new_embedder(embedder, settings.seed)
    if embedder.weights == "none":
        from picie_core.models.untrained_backbone import fit_untrained

        order = _image_order(draw_positions(workspace.image_list().readable, settings), settings.seed)
        cache = workspace.image_cache(settings.size_px, writable=True)
        meter = Meter("look at patches", UNTRAINED_IMAGES, report)
        images = [
            image for _, images in _batches(cache, order[:UNTRAINED_IMAGES], 1, workspace, meter) for image in images
        ]
        if not images:
            raise PicieError(NOTHING_READ)
        fit_untrained(network, images, settings.seed)
        cache.flush()
    return network


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
    from picie_core.models.embedder import FrozenEmbedder

    if network.settings.decoder == "random":
        return
    engine = FrozenEmbedder(network, device)
    order = _image_order(draw_positions(workspace.image_list().readable, settings), settings.seed)[:FIT_IMAGES]
    cache = workspace.image_cache(settings.size_px, writable=True)
    batches = _batches(cache, order, settings.batch, workspace, Meter("fit decoder", len(order), report))
    features = [engine.stage_features(images) for _, images in batches]
    if not features:
        raise PicieError(NOTHING_READ)
    network.fit_decoder(features, seed=settings.seed)
    cache.flush()


def make_sample(
    workspace: Workspace,
    run: str,
    engine: FrozenEmbedder,
    settings: SampleSettings,
    embedder_to_fit: Embedder | None = None,
    report: Report = ignore_progress,
) -> SampleReport:
    """Embeds the images once and writes the sample and the dense cells of `run`; returns what it did.

    embedder_to_fit: an embedder whose decoder is set to the PCA of the first images on the way (and the engine's
    with it); their stage features are kept meanwhile, so that no image goes through the network twice. One whose
    settings say decoder="random" is not fitted.
    """
    if embedder_to_fit is not None and embedder_to_fit.settings.decoder == "random":
        embedder_to_fit = None
    if embedder_to_fit is not None and embedder_to_fit.settings.scale_factors != (1.0,):  # features of more than one
        fit_embedder(workspace, embedder_to_fit, settings, engine.device.type, report)
        engine.set_decoder(embedder_to_fit)
        embedder_to_fit = None
    records = workspace.image_list().readable
    wanted = draw_positions(records, settings)
    order = _image_order(wanted, settings.seed)
    meter = Meter("embed", len(order), report)
    cache = workspace.image_cache(settings.size_px, writable=True)
    dense = workspace.run_dir(run) / "dense"
    with folder_atomic(dense) as folder, open(folder / "cells.i8", "wb") as file:
        writer = SampleWriter(wanted, settings.dense_mb << 20, file)
        batches = _batches(cache, order, settings.batch, workspace, meter)
        for ids, feature_map in _embed_batches(batches, engine, embedder_to_fit, settings):
            writer.add(ids, feature_map)
            meter.advance(len(ids))
        writer.write_index(folder)
    cache.flush()
    if not writer.rows:
        raise PicieError(NOTHING_READ)
    return writer.write_sample(workspace.run_dir(run) / "sample")


def _image_order(wanted: dict[int, np.ndarray], seed: int) -> list[int]:
    """A seeded order, so that the first images, and those that a small disk budget holds, are a fair subset."""
    return np.random.default_rng(seed).permutation(sorted(wanted)).tolist()


def _batches(
    cache: ImageCache, order: list[int], batch: int, workspace: Workspace, meter: Meter
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yields (ids, uint8 (B, H, W, 3)) of images of equal shape; an image that cannot be decoded becomes a problem."""
    waiting: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
    for image_id, image in cache.iterate(order, ahead=2 * batch):
        if isinstance(image, PicieError):
            workspace.add_problem(image_id, image.reason if isinstance(image, ImageError) else str(image))
            meter.advance(1)
            continue
        same = waiting.setdefault(image.shape, [])
        same.append((image_id, image))
        if len(same) == batch:
            yield _stack(waiting.pop(image.shape))
        elif sum(map(len, waiting.values())) >= 4 * batch:  # many shapes: bound what is held
            yield _stack(waiting.pop(max(waiting, key=lambda shape: len(waiting[shape]))))
    for same in waiting.values():
        yield _stack(same)


def _stack(items: list[tuple[int, np.ndarray]]) -> tuple[list[int], np.ndarray]:
    return [image_id for image_id, _ in items], np.stack([image for _, image in items])


def _embed_batches(
    batches: Iterator[tuple[list[int], np.ndarray]],
    engine: FrozenEmbedder,
    embedder_to_fit: Embedder | None,
    settings: SampleSettings,
) -> Iterator[tuple[list[int], Tensor]]:
    """Yields (ids, cells (B, h, w, D)); while the decoder is not fitted yet, keeps stage features instead of cells."""
    kept: list[tuple[list[int], list[Tensor]]] = []
    for ids, images in batches:
        if embedder_to_fit is None:
            yield ids, engine(images)
            continue
        kept.append((ids, engine.stage_features(images)))
        if sum(len(ids) for ids, _ in kept) >= FIT_IMAGES:
            yield from _fit_and_decode(kept, engine, embedder_to_fit, settings.seed)
            kept, embedder_to_fit = [], None
    if kept and embedder_to_fit is not None:
        yield from _fit_and_decode(kept, engine, embedder_to_fit, settings.seed)


def _fit_and_decode(
    kept: list, engine: FrozenEmbedder, embedder: Embedder, seed: int
) -> Iterator[tuple[list[int], Tensor]]:
    embedder.fit_decoder([features for _, features in kept], seed=seed)
    engine.set_decoder(embedder)
    for ids, features in kept:
        yield ids, engine.decode(features)
