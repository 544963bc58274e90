"""What `embed` and `train` write of the embeddings: which pixels, how small, in which order."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from picie_core.atomic_files import folder_atomic
from picie_core.data.feature_grid import feature_map_shape
from picie_core.data.image_cache import RESERVE_BYTES
from picie_core.data.image_file import scaled_size
from picie_core.data.image_index import ImageRecord
from picie_core.settings import SampleSettings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SampleReport:
    """What `make_sample` did."""

    images: int
    pixels: int
    dense_images: int
    digest: str
    """Of the sampled embeddings: equal digests mean equal clusterings."""


def draw_positions(records: list[ImageRecord], settings: SampleSettings) -> dict[int, np.ndarray]:
    """Returns image id -> sorted flat cell indices to sample, spread evenly over all cells of all images.

    With so many images that fewer than 16 pixels fall on each, a seeded subset of the images takes part.
    """
    rng = np.random.default_rng(settings.seed)
    most = max(settings.pixels // 16, 1)
    if len(records) > most:
        records = [records[i] for i in np.sort(rng.choice(len(records), most, replace=False))]
    scaled = [scaled_size(record.width, record.height, settings.size_px) for record in records]
    sizes = np.array([np.prod(feature_map_shape(*size)) for size in scaled], dtype=np.int64)
    ends = np.floor(np.cumsum(sizes) * min(settings.pixels / max(sizes.sum(), 1), 1.0) + 1e-6).astype(np.int64)
    counts = np.minimum(np.maximum(np.diff(ends, prepend=0), 1), sizes)
    draws = (np.random.default_rng((settings.seed, record.id)) for record in records)
    return {
        record.id: np.sort(draw.choice(all_cells, count, replace=False))
        for record, draw, all_cells, count in zip(records, draws, sizes, counts, strict=True)
    }


class SampleWriter:
    """Gathers sampled rows and writes quantised cells, batch by batch.

    dense_budget: bytes that the cells may take. They are those of the first images, up to the first one that does not
    fit, or that would leave less of the disk free than results need.
    """

    def __init__(self, wanted: dict[int, np.ndarray], dense_budget: int, file: IO[bytes]):
        self.wanted, self.dense_budget, self.file = wanted, dense_budget, file
        self.full = False
        self.rows: list[np.ndarray] = []
        self.positions: list[np.ndarray] = []
        self.ids: list[int] = []
        self.shapes: list[tuple[int, int]] = []
        self.offsets: list[int] = []
        self.dim, self.end = 0, 0

    def add(self, ids: list[int], feature_map: Tensor) -> None:
        """Takes the sampled rows of a batch of cells (B, h, w, D); stores the cells as int8 while the budget lasts."""
        batch, height, width, self.dim = feature_map.shape
        for image_id, image_cells in zip(ids, feature_map.reshape(batch, -1, self.dim), strict=True):
            positions = self.wanted[image_id]
            positions = positions[positions < height * width]
            self.rows.append(_unit_half(image_cells, positions))
            self.positions.append(
                np.stack([np.full(len(positions), image_id), *np.divmod(positions, width)], 1).astype(np.int32)
            )
        bytes_each = height * width * self.dim
        stored = 0 if self.full else max(0, min(batch, self._room() // bytes_each))
        self.full = stored < batch
        if stored:
            self.file.write(_quantise(feature_map[:stored]).numpy().data)
            self.ids += ids[:stored]
            self.shapes += [(height, width)] * stored
            self.offsets += [self.end + i * bytes_each for i in range(stored)]
            self.end += stored * bytes_each

    def _room(self) -> int:
        """Bytes that cells may still take, of the budget and of the disk."""
        disk = os.fstatvfs(self.file.fileno())
        return min(self.dense_budget - self.end, disk.f_bavail * disk.f_frsize - RESERVE_BYTES)

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

    def write_sample(self, folder: Path) -> SampleReport:
        """Writes the sample ordered by image and place, whatever order the batches came in."""
        positions = np.concatenate(self.positions)
        order = np.lexsort(positions.T[::-1])
        embeddings, positions = np.concatenate(self.rows)[order], positions[order]
        self.rows.clear()
        with folder_atomic(folder) as temporary:
            np.save(temporary / "embeddings.npy", embeddings)
            np.save(temporary / "places.npy", positions)
            np.save(temporary / "pca.npy", two_widest_axes(embeddings))
            digest = hashlib.sha256(embeddings.tobytes() + positions.tobytes()).hexdigest()[:16]
            (temporary / "digest.txt").write_text(digest)
        _drop_others(folder.parent / "derived", digest)
        return SampleReport(len(np.unique(positions[:, 0])), len(positions), len(self.ids), digest)


def _unit_half(feature_map: Tensor, positions: np.ndarray) -> np.ndarray:
    import torch

    rows = feature_map[torch.from_numpy(positions).to(feature_map.device)].float()
    return torch.nn.functional.normalize(rows, dim=1).half().cpu().numpy()


def _quantise(feature_map: Tensor) -> Tensor:
    """Returns int8 cells whose largest component is about 127: argmax over cosines needs no scale."""
    import torch

    largest = torch.maximum(feature_map.amax(-1, keepdim=True), -feature_map.amin(-1, keepdim=True)).clamp_min(1e-6)
    scale = 126.5 / largest  # not 127: bfloat16 may round the product up by half, and int8 ends at 127
    return (feature_map * scale).round_().to(torch.int8).cpu()


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
