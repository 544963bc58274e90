"""Contact sheets: crops around the pixels that stand for a cluster, the cluster outlined, as one picture.

Numpy and Pillow only: crops come from the image cache, outlines from the stored feature maps; the network never runs.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from picie_core.clustering.clustering import cluster_scores
from picie_core.clustering.exemplars import exemplars
from picie_core.colors import Rgb, cluster_colors
from picie_core.data.embedding_sample import DenseFeatures, EmbeddingSample
from picie_core.data.images.image_file import png_bytes
from picie_core.data.images.image_source import ImageSource
from picie_core.segmentation.crops import CROP_PX, Outline, draw_crops, plain_crops

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering

GAP_PX = 4
"""Transparent pixels between crops, so that a contact sheet lies on any ground."""


@dataclass(frozen=True)
class ContactSheetSource:
    """What contact sheets of a run are made from; opened once, used for many, from any thread."""

    sample: EmbeddingSample
    dense: DenseFeatures
    cache: ImageSource


@dataclass(frozen=True)
class Crop:
    """One crop of a contact sheet: its position in the image with this id, and where it is drawn."""

    image_id: int
    row: int
    col: int
    box: tuple[int, int, int, int]
    """Left, top, right and bottom on the contact sheet, in pixels."""


@dataclass(frozen=True)
class ContactSheet:
    """A contact sheet: `total` exemplars there are, of which this page shows `crops`."""

    sheet: np.ndarray
    """uint8 (H, W, 4): gaps and unused room are transparent."""
    crops: list[Crop]
    columns: int
    total: int

    @cached_property
    def png(self) -> bytes:
        """The contact sheet as a PNG, with transparent gaps: it lies on any ground."""
        return png_bytes(self.sheet)

    def jpeg(self, ground: Rgb) -> bytes:
        """Returns the contact sheet on a ground as a JPEG, made in a quarter of the time and a fifth as large."""
        flat = np.where(self.sheet[..., 3:] > 0, self.sheet[..., :3], np.array(ground, np.uint8))
        buffer = io.BytesIO()
        Image.fromarray(flat).save(buffer, "JPEG", quality=90, subsampling=0)  # 4:4:4, so that lines keep their colour
        return buffer.getvalue()

    def crop_at(self, x: float, y: float) -> Crop | None:
        """Returns the crop at a point, both as shares of the sheet's size from the upper left; None in a gap."""
        across, down = x * self.sheet.shape[1], y * self.sheet.shape[0]
        inside = [one for one in self.crops if one.box[0] <= across < one.box[2] and one.box[1] <= down < one.box[3]]
        return inside[0] if inside else None


def contact_sheet(
    source: ContactSheetSource,
    clustering: Clustering,
    cluster: int,
    kind: str = "typical",
    *,
    per_page: int = 8,
    shown_px: int = 96,
    page: int = 0,
    columns: int | None = None,
    color: Rgb | None = None,
    outline: bool = True,
    crop_px: int = CROP_PX,
) -> ContactSheet:
    """Returns a page of crops that stand for a cluster, the cluster outlined in `color` (its own by default).

    kind: one of KINDS. Every page has room for `per_page` crops, the last one is filled up with transparent room.
    shown_px: side at which a crop is drawn; crop_px: its side in pixels of the resized image, WIDE_CROP_PX for context.
    outline: False leaves the crops as they are.
    """
    members = exemplars(source.sample, clustering, cluster, kind, source.dense.index)
    shown = members[page * per_page : (page + 1) * per_page]
    positions = np.asarray(source.sample.positions[shown])
    if outline:
        painted: Outline = clustering, cluster, color or _color_of(clustering, cluster)
        drawn = draw_crops(source.cache, source.dense, positions, [painted] * len(shown), shown_px, crop_px)
    else:
        drawn = plain_crops(source.cache, positions, shown_px, crop_px)
    return _composed(positions, drawn, per_page, columns, len(members))


def contact_sheet_at(
    source: ContactSheetSource,
    positions: np.ndarray,
    clustering: Clustering,
    shown_px: int = 96,
    columns: int | None = None,
) -> ContactSheet:
    """Returns crops around any positions of the embedding sample, in their order: (M, 3) image id, row, column.

    The cluster at each position is outlined in its colour; where no feature map is stored, the position is ringed.
    """
    outlines: list[Outline | None] = [None] * len(positions)
    for index, (image_id, row, col) in enumerate(positions.tolist()):
        if image_id in source.dense.index:
            embedding = source.dense.window(image_id, (row, row + 1), (col, col + 1))[0]  # (1, D)
            cluster = int(cluster_scores(embedding, clustering).argmax())
            outlines[index] = clustering, cluster, _color_of(clustering, cluster)
    drawn = draw_crops(source.cache, source.dense, positions, outlines, shown_px)
    return _composed(positions, drawn, len(positions), columns, len(positions))


def _color_of(clustering: Clustering, cluster: int) -> Rgb:
    red, green, blue = cluster_colors(clustering.k)[cluster].tolist()
    return red, green, blue


def _composed(positions: np.ndarray, drawn: np.ndarray, room: int, columns: int | None, total: int) -> ContactSheet:
    """The drawn crops (M, t, t, 3) row by row on a contact sheet with this much room."""
    room, side = max(room, 1), drawn.shape[1]
    columns = min(columns or int(np.ceil(np.sqrt(2 * room))), room)
    rows, step = -(-room // columns), side + GAP_PX
    sheet = np.zeros((rows * step - GAP_PX, columns * step - GAP_PX, 4), np.uint8)
    crops = []
    for i, (image_id, row, col) in enumerate(positions.tolist()):
        top, left = i // columns * step, i % columns * step
        sheet[top : top + side, left : left + side, :3] = drawn[i]
        sheet[top : top + side, left : left + side, 3] = 255
        crops.append(Crop(image_id, row, col, (left, top, left + side, top + side)))
    return ContactSheet(sheet, crops, columns, total)
