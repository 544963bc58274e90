"""Writing the embedding sample and the dense features: which pixels, how small, in which order."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from picie_core.atomic_files import folder_atomic
from picie_core.data.feature_grid import feature_map_shape
from picie_core.data.images.image_cache import RESERVE_BYTES
from picie_core.data.images.image_file import scaled_size
from picie_core.data.images.image_index import ImageRecord
from picie_core.settings import SampleSettings

if TYPE_CHECKING:
    from torch import Tensor


NetworkSize = Callable[[ImageRecord], tuple[int, int]]
"""An image to the (width, height) that it has at the network's input."""


@dataclass(frozen=True)
class SampleReport:
    """What was written."""

    images: int
    pixels: int
    dense_images: int
    digest: str
    """Of the sampled embeddings: equal digests mean equal clusterings."""


def draw_positions(
    records: list[ImageRecord], settings: SampleSettings, network_size: NetworkSize | None = None
) -> dict[int, np.ndarray]:
    """Returns image id -> sorted flat positions to sample, spread evenly over the feature maps of all images.

    network_size: of each image, `scaled_size` by default. Every position of the collection is as likely as any other,
    so a large image gives as many as its area is a share of all. With so many images that fewer than 16 pixels fall on
    each, a seeded subset of the images takes part.
    """
    rng = np.random.default_rng(settings.seed)
    most = max(settings.pixels // 16, 1)
    if len(records) > most:
        records = [records[i] for i in np.sort(rng.choice(len(records), most, replace=False))]
    size_of = network_size or (lambda record: scaled_size(record.width, record.height, settings.size_px))
    scaled = [size_of(record) for record in records]
    sizes = np.array([np.prod(feature_map_shape(*size)) for size in scaled], dtype=np.int64)
    ends = np.floor(np.cumsum(sizes) * min(settings.pixels / max(sizes.sum(), 1), 1.0) + 1e-6).astype(np.int64)
    counts = np.minimum(np.maximum(np.diff(ends, prepend=0), 1), sizes)
    draws = (np.random.default_rng((settings.seed, record.id)) for record in records)
    return {
        record.id: np.sort(draw.choice(positions, count, replace=False))
        for record, draw, positions, count in zip(records, draws, sizes, counts, strict=True)
    }


class SampleRows:
    """Gathers the embeddings at the wanted positions, batch by batch.

    wanted: image id -> flat positions in its feature map, as of `draw_positions`.
    """

    def __init__(self, wanted: dict[int, np.ndarray]):
        self.wanted = wanted
        self.rows: list[np.ndarray] = []
        self.positions: list[np.ndarray] = []

    def add(self, ids: list[int], feature_maps: Tensor) -> None:
        """Takes the wanted rows of a batch of feature maps (B, h, w, D)."""
        import torch

        _, height, width, dim = feature_maps.shape
        for image_id, feature_map in zip(ids, feature_maps, strict=True):
            positions = self.wanted[image_id]
            positions = positions[positions < height * width]
            rows = feature_map.reshape(-1, dim)[torch.from_numpy(positions).to(feature_map.device)].float()
            self.rows.append(torch.nn.functional.normalize(rows, dim=1).half().cpu().numpy())
            self.positions.append(
                np.stack([np.full(len(positions), image_id), *np.divmod(positions, width)], 1).astype(np.int32)
            )

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns embeddings (N, D) float16 of unit norm, and positions (N, 3) int32: image id, row, column.

        They are ordered by image and position, whatever order the batches came in. Leaves the gatherer empty.
        """
        positions = np.concatenate(self.positions)
        order = np.lexsort(positions.T[::-1])
        embeddings, positions = np.concatenate(self.rows)[order], positions[order]
        self.rows.clear()
        self.positions.clear()
        return embeddings, positions


class SampleWriter:
    """Gathers the sampled rows and writes int8 feature maps, batch by batch.

    dense_budget: bytes that the feature maps may take. Those of the first images are stored, up to the first one that
    does not fit, or that would leave less of the disk free than `reserve_bytes`, which results need.
    """

    def __init__(
        self, wanted: dict[int, np.ndarray], dense_budget: int, file: IO[bytes], reserve_bytes: int = RESERVE_BYTES
    ):
        self.sample, self.dense_budget, self.file = SampleRows(wanted), dense_budget, file
        self.reserve_bytes = reserve_bytes
        self.full = False
        self.ids: list[int] = []
        self.shapes: list[tuple[int, int]] = []
        self.offsets: list[int] = []
        self.dim, self.end = 0, 0

    def add(self, ids: list[int], feature_maps: Tensor) -> None:
        """Takes the sampled rows of feature maps (B, h, w, D), and stores these as int8 while the budget lasts."""
        batch, height, width, self.dim = feature_maps.shape
        self.sample.add(ids, feature_maps)
        bytes_each = height * width * self.dim
        disk = os.fstatvfs(self.file.fileno())
        left = min(self.dense_budget - self.end, disk.f_bavail * disk.f_frsize - self.reserve_bytes)
        stored = 0 if self.full else max(0, min(batch, left // bytes_each))
        self.full = stored < batch
        if stored:
            self.file.write(quantise(feature_maps[:stored]).numpy().data)
            self.ids += ids[:stored]
            self.shapes += [(height, width)] * stored
            self.offsets += [self.end + i * bytes_each for i in range(stored)]
            self.end += stored * bytes_each

    def write_index(self, folder: Path) -> None:
        """Writes which image lies where in cells.i8."""
        ids, offsets = np.array(self.ids, np.int64), np.array(self.offsets, np.int64)
        shapes = np.array(self.shapes, np.int32).reshape(-1, 2)
        np.savez(folder / "index.npz", ids=ids, shapes=shapes, offsets=offsets, dim=self.dim)

    def write_sample(self, folder: Path) -> SampleReport:
        """Writes the sample, ordered by image and position.

        What was computed from an earlier sample of the run is deleted.
        """
        embeddings, positions = self.sample.take()
        with folder_atomic(folder) as temporary:
            np.save(temporary / "embeddings.npy", embeddings)
            np.save(temporary / "places.npy", positions)
            np.save(temporary / "pca.npy", two_widest_axes(embeddings))
            digest = hashlib.sha256(embeddings.tobytes() + positions.tobytes()).hexdigest()[:16]
            (temporary / "digest.txt").write_text(digest)
        for path in (folder.parent / "derived").glob("*"):
            if path.name != digest:
                shutil.rmtree(path)
        return SampleReport(len(np.unique(positions[:, 0])), len(positions), len(self.ids), digest)


def quantise(feature_maps: Tensor) -> Tensor:
    """Int8 embeddings whose largest component is about 127: argmax over cosines needs no scale."""
    import torch

    largest = torch.maximum(feature_maps.amax(-1, keepdim=True), -feature_maps.amin(-1, keepdim=True)).clamp_min(1e-6)
    scale = 126.5 / largest  # not 127: bfloat16 may round the product up by half, and int8 ends at 127
    return (feature_maps * scale).round_().to(torch.int8).cpu()


def two_widest_axes(embeddings: np.ndarray) -> np.ndarray:
    """Returns (N, 2) float32, the PCA of the embeddings, which the map shows first."""
    rows = embeddings.astype(np.float32)
    rows -= rows.mean(0)
    _, vectors = np.linalg.eigh(rows.T @ rows)
    axes = vectors[:, :-3:-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return (rows @ axes).astype(np.float32)
