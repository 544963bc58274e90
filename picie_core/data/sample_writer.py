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
from picie_core.data.image_cache import RESERVE_BYTES
from picie_core.data.image_index import ImageRecord, scaled_size
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


class SampleWriter:
    """Gathers sampled rows and writes quantised cells, batch by batch.

    dense_budget: bytes that the cells may take. They are those of the first images, up to the first one that does not
    fit, or that would leave less of the disk free than results need.
    """

    def __init__(self, wanted: dict[int, np.ndarray], dense_budget: int, file: IO[bytes]):
        self.wanted, self.dense_budget, self.file = wanted, dense_budget, file
        self.full = False
        self.rows: list[np.ndarray] = []
        self.places: list[np.ndarray] = []
        self.ids: list[int] = []
        self.shapes: list[tuple[int, int]] = []
        self.offsets: list[int] = []
        self.dim, self.end = 0, 0

    def add(self, ids: list[int], cells: Tensor) -> None:
        """Takes the sampled rows of a batch of cells (B, h, w, D); stores the cells as int8 while the budget lasts."""
        batch, height, width, self.dim = cells.shape
        for image_id, image_cells in zip(ids, cells.reshape(batch, -1, self.dim), strict=True):
            places = self.wanted[image_id]
            places = places[places < height * width]
            self.rows.append(_unit_half(image_cells, places))
            self.places.append(
                np.stack([np.full(len(places), image_id), *np.divmod(places, width)], 1).astype(np.int32)
            )
        bytes_each = height * width * self.dim
        stored = 0 if self.full else max(0, min(batch, self._room() // bytes_each))
        self.full = stored < batch
        if stored:
            self.file.write(_quantise(cells[:stored]).numpy().data)
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
        places = np.concatenate(self.places)
        order = np.lexsort(places.T[::-1])
        embeddings, places = np.concatenate(self.rows)[order], places[order]
        self.rows.clear()
        with folder_atomic(folder) as temporary:
            np.save(temporary / "embeddings.npy", embeddings)
            np.save(temporary / "places.npy", places)
            np.save(temporary / "pca.npy", two_widest_axes(embeddings))
            digest = hashlib.sha256(embeddings.tobytes() + places.tobytes()).hexdigest()[:16]
            (temporary / "digest.txt").write_text(digest)
        _drop_others(folder.parent / "derived", digest)
        return SampleReport(len(np.unique(places[:, 0])), len(places), len(self.ids), digest)


def _unit_half(cells: Tensor, places: np.ndarray) -> np.ndarray:
    import torch

    rows = cells[torch.from_numpy(places).to(cells.device)].float()
    return torch.nn.functional.normalize(rows, dim=1).half().cpu().numpy()


def _quantise(cells: Tensor) -> Tensor:
    """Returns int8 cells whose largest component is about 127: argmax over cosines needs no scale."""
    import torch

    largest = torch.maximum(cells.amax(-1, keepdim=True), -cells.amin(-1, keepdim=True)).clamp_min(1e-6)
    scale = 126.5 / largest  # not 127: bfloat16 may round the product up by half, and int8 ends at 127
    return (cells * scale).round_().to(torch.int8).cpu()


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
