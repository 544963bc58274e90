"""The embedding sample and the dense cells of a run: what K, mosaics, projections and quick overlays are made from."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from picie_core.atomic import folder_atomic
from picie_core.errors import PicieError
from picie_core.images import ImageError, ImageRecord, scaled_size
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace import Workspace

if TYPE_CHECKING:
    from torch import Tensor

    from picie_core.embedder import Embedder, FrozenEmbedder


FIT_IMAGES = 64
"""Images whose stage features the PCA of the decoder sees."""
UNTRAINED_IMAGES = 32
"""Images that an embedder without weights takes its first filters and statistics from."""
NOTHING_READ = "no image could be read: see `info` for the reason of each"


@dataclass(frozen=True)
class EmbeddingSample:
    """N sampled pixels with where they are; memory-mapped, so opening costs nothing."""

    embeddings: np.ndarray
    """(N, D) float16, unit norm."""
    places: np.ndarray
    """(N, 3) int32: image id, row and column of the stride-4 cell."""
    pca: np.ndarray
    """(N, 2) float32, the two widest axes."""


def load_sample(workspace: Workspace, run: str) -> EmbeddingSample:
    """Returns the embedding sample of `run`, memory-mapped. Raises PicieError when the run has none."""
    folder = workspace.run_dir(run) / "sample"
    try:
        return EmbeddingSample(
            *(np.load(folder / f"{part}.npy", mmap_mode="r") for part in ("embeddings", "places", "pca"))
        )
    except FileNotFoundError:
        raise PicieError(f"run {run} has no embedding sample in {folder}: run `embed` or `train` again") from None


def has_sample(workspace: Workspace, run: str) -> bool:
    """Whether `run` got as far as its embedding sample."""
    return (workspace.run_dir(run) / "sample" / "digest.txt").exists()


def derived_dir(workspace: Workspace, run: str) -> Path:
    """Returns the folder for what is computed from the present sample of `run`; a new sample gets a new folder."""
    path = workspace.run_dir(run) / "sample" / "digest.txt"
    try:
        return workspace.run_dir(run) / "derived" / path.read_text()
    except FileNotFoundError:
        raise PicieError(
            f"run {run} has no embedding sample ({path} is missing): run `embed` or `train` again"
        ) from None


class DenseCells:
    """The int8 cells of the images that the disk budget holds; read with pread, so that memory stays flat."""

    def __init__(self, folder: Path):
        self.folder, self.index = folder, {}
        self.file = -1
        if (folder / "index.npz").exists():
            stored = np.load(folder / "index.npz")
            self.dim = int(stored["dim"])
            rows = zip(stored["ids"].tolist(), stored["offsets"].tolist(), stored["shapes"].tolist(), strict=True)
            self.index = {image_id: (offset, tuple(shape)) for image_id, offset, shape in rows}
            self.file = os.open(folder / "cells.i8", os.O_RDONLY)

    def __del__(self) -> None:
        if self.file >= 0:
            os.close(self.file)

    @property
    def ids(self) -> np.ndarray:
        """Ids of the stored images, ascending."""
        return np.array(sorted(self.index), dtype=np.int64)

    def get(self, image_id: int) -> np.ndarray | None:
        """Returns the cells (h, w, D) int8 of an image, not of unit length; None when the budget left it out."""
        if image_id not in self.index:
            return None
        offset, (height, width) = self.index[image_id]
        block = os.pread(self.file, height * width * self.dim, offset)
        return np.frombuffer(block, np.int8).reshape(height, width, self.dim)


def load_dense(workspace: Workspace, run: str) -> DenseCells:
    """Returns the dense cells of `run`; empty when none were stored."""
    return DenseCells(workspace.run_dir(run) / "dense")


@dataclass(frozen=True)
class SampleReport:
    """What `make_sample` did."""

    images: int
    pixels: int
    dense_images: int
    digest: str
    """Of the sampled embeddings: equal digests mean equal clusterings."""


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
    with it); their stage features are kept meanwhile, so that no image goes through the network twice.
    """
    records = workspace.image_list().readable
    wanted = draw_places(records, settings)
    order = _image_order(wanted, settings.seed)
    meter = Meter("embed", len(order), report)
    cache = workspace.image_cache(settings.size_px, writable=True)
    dense = workspace.run_dir(run) / "dense"
    with folder_atomic(dense) as folder, open(folder / "cells.i8", "wb") as file:
        collector = _Collector(wanted, settings.dense_mb << 20, file)
        batches = _batches(cache, order, settings.batch, workspace, meter)
        for ids, cells in _embed_batches(batches, engine, embedder_to_fit, settings):
            collector.add(ids, cells)
            meter.advance(len(ids))
        collector.write_index(folder)
    cache.flush()
    return _write_sample(workspace.run_dir(run) / "sample", collector)


def start_embedder(
    workspace: Workspace, embedder: EmbedderSettings, settings: SampleSettings, report: Report = ignore_progress
) -> Embedder:
    """Returns an embedder with the weights that `embedder` names; with none, its first filters come from the images."""
    from picie_core.embedder import new_embedder

    network = new_embedder(embedder, settings.seed)
    if embedder.weights == "none":
        from picie_core.untrained import fit_untrained

        order = _image_order(draw_places(workspace.image_list().readable, settings), settings.seed)
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
    """Sets the decoder of `network` to the PCA that `make_sample` would give it, from the same first images."""
    from picie_core.embedder import FrozenEmbedder

    engine = FrozenEmbedder(network, device)
    order = _image_order(draw_places(workspace.image_list().readable, settings), settings.seed)[:FIT_IMAGES]
    cache = workspace.image_cache(settings.size_px, writable=True)
    batches = _batches(cache, order, settings.batch, workspace, Meter("fit decoder", len(order), report))
    features = [engine.stage_features(images) for _, images in batches]
    if not features:
        raise PicieError(NOTHING_READ)
    network.fit_decoder(features, seed=settings.seed)
    cache.flush()


def _image_order(wanted: dict[int, np.ndarray], seed: int) -> list[int]:
    """A seeded order, so that the first images, and those that a small disk budget holds, are a fair subset."""
    return np.random.default_rng(seed).permutation(sorted(wanted)).tolist()


def draw_places(records: list[ImageRecord], settings: SampleSettings) -> dict[int, np.ndarray]:
    """Returns image id -> sorted flat cell indices to sample, spread evenly over all cells of all images.

    With so many images that fewer than 16 pixels fall on each, a seeded subset of the images takes part.
    """
    rng = np.random.default_rng(settings.seed)
    most = max(settings.pixels // 16, 1)
    if len(records) > most:
        records = [records[i] for i in np.sort(rng.choice(len(records), most, replace=False))]
    cells = np.array([np.prod(cell_shape(record, settings.size_px)) for record in records], dtype=np.int64)
    ends = np.floor(np.cumsum(cells) * min(settings.pixels / max(cells.sum(), 1), 1.0) + 1e-6).astype(np.int64)
    counts = np.minimum(np.maximum(np.diff(ends, prepend=0), 1), cells)
    draws = (np.random.default_rng((settings.seed, record.id)) for record in records)
    return {
        record.id: np.sort(draw.choice(all_cells, count, replace=False))
        for record, draw, all_cells, count in zip(records, draws, cells, counts, strict=True)
    }


def cell_shape(record: ImageRecord, size_px: int) -> tuple[int, int]:
    """Returns (h, w), the stride-4 cells of an image at size_px."""
    width, height = scaled_size(record.width, record.height, size_px)
    return -(-height // 4), -(-width // 4)


def _batches(
    cache, order: list[int], batch: int, workspace: Workspace, meter: Meter
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


class _Collector:
    """Gathers sampled rows and writes quantised cells, batch by batch."""

    def __init__(self, wanted: dict[int, np.ndarray], dense_budget: int, file: IO[bytes]):
        self.wanted, self.dense_budget, self.file = wanted, dense_budget, file
        self.rows: list[np.ndarray] = []
        self.places: list[np.ndarray] = []
        self.ids: list[int] = []
        self.shapes: list[tuple[int, int]] = []
        self.offsets: list[int] = []
        self.dim, self.end = 0, 0

    def add(self, ids: list[int], cells: Tensor) -> None:
        """Takes the sampled rows of a batch of cells (B, h, w, D); stores all as int8 while the budget lasts."""
        batch, height, width, self.dim = cells.shape
        for image_id, image_cells in zip(ids, cells.reshape(batch, -1, self.dim), strict=True):
            places = self.wanted[image_id]
            places = places[places < height * width]
            self.rows.append(_unit_half(image_cells, places))
            self.places.append(
                np.stack([np.full(len(places), image_id), *np.divmod(places, width)], 1).astype(np.int32)
            )
        if self.end + cells.numel() <= self.dense_budget:
            self.file.write(_quantise(cells).numpy().data)
            self.ids += ids
            self.shapes += [(height, width)] * batch
            self.offsets += [self.end + i * height * width * self.dim for i in range(batch)]
            self.end += cells.numel()

    def write_index(self, folder: Path) -> None:
        """Writes which image lies where in cells.i8."""
        shapes = np.array(self.shapes, np.int32).reshape(-1, 2)
        offsets = np.array(self.offsets, np.int64)
        np.savez(
            folder / "index.npz",
            ids=np.array(self.ids, np.int64),
            shapes=shapes,
            offsets=offsets,
            dim=self.dim,
        )


def _unit_half(cells: Tensor, places: np.ndarray) -> np.ndarray:
    import torch

    rows = cells[torch.from_numpy(places).to(cells.device)].float()
    return torch.nn.functional.normalize(rows, dim=1).half().cpu().numpy()


def _quantise(cells: Tensor) -> Tensor:
    """Returns int8 cells whose largest component is 127: argmax over cosines needs no scale."""
    import torch

    largest = cells.abs().amax(-1, keepdim=True).clamp_min(1e-6)
    scaled = (cells * (127 / largest)).round()
    return scaled.clamp(-127, 127).to(torch.int8).cpu()  # bfloat16 rounds up to 128, which int8 turns into -128


def _write_sample(folder: Path, collector: _Collector) -> SampleReport:
    """Writes the sample ordered by image and place, whatever order the batches came in."""
    if not collector.rows:
        raise PicieError(NOTHING_READ)
    places = np.concatenate(collector.places)
    order = np.lexsort(places.T[::-1])
    embeddings, places = np.concatenate(collector.rows)[order], places[order]
    collector.rows.clear()
    with folder_atomic(folder) as temporary:
        np.save(temporary / "embeddings.npy", embeddings)
        np.save(temporary / "places.npy", places)
        np.save(temporary / "pca.npy", two_widest_axes(embeddings))
        digest = hashlib.sha256(embeddings.tobytes() + places.tobytes()).hexdigest()[:16]
        (temporary / "digest.txt").write_text(digest)
    _drop_others(folder.parent / "derived", digest)
    return SampleReport(len(np.unique(places[:, 0])), len(places), len(collector.ids), digest)


def _drop_others(folder: Path, digest: str) -> None:
    """Deletes what was computed from earlier samples of the run."""
    for path in folder.glob("*"):
        if path.name != digest:
            shutil.rmtree(path)


def two_widest_axes(embeddings: np.ndarray) -> np.ndarray:
    """Returns (N, 2) float32, the PCA of the embeddings for the map's first picture."""
    rows = embeddings.astype(np.float32)
    rows -= rows.mean(0)
    _, vectors = np.linalg.eigh(rows.T @ rows)
    axes = vectors[:, :-3:-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return (rows @ axes).astype(np.float32)
