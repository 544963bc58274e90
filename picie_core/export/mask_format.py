"""What an export format is, and what every format is given: the legend of the masks and the items to write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from picie_core.clustering.splits import splits_record
from picie_core.colors import cluster_colors, hex_color, rgb_color
from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME
from picie_core.errors import PicieError
from picie_core.segmentation.post_processing import PostProcessing, check_post_processing, post_processed_mask

if TYPE_CHECKING:
    from picie_core.clustering.clustering import Clustering
    from picie_core.labels.label_map import LabelMap


@dataclass(frozen=True)
class LegendEntry:
    """One value of the masks: a class and its clusters, or one cluster in a raw export."""

    id: int
    name: str
    color: str
    """`#rrggbb`."""
    clusters: list[int]


@dataclass(frozen=True)
class Legend:
    """What the values of the masks mean; read once, so that edits during an export do not mix."""

    clustering: Clustering
    entries: list[LegendEntry]
    """By id, which are 0 to C-1."""
    classes_of: dict[int, int]
    raw: bool
    label_map: dict[str, Any]
    """The names as `label --import` reads them."""
    post_processing: PostProcessing = PostProcessing()

    def mask(self, feature_map: np.ndarray, height: int, width: int, image: np.ndarray | None = None) -> np.ndarray:
        """Returns the mask of an image from its cells (h, w, D): (height, width), uint8 or, raw above 255, uint16.

        image: as the network saw it, (H, W, 3), which a refinement needs.
        """
        classes_of = None if self.raw else self.classes_of
        return post_processed_mask(feature_map, self.clustering, classes_of, height, width, self.post_processing, image)

    @property
    def colors(self) -> np.ndarray:
        """(C, 3) uint8."""
        return np.array([rgb_color(entry.color) for entry in self.entries], np.uint8)

    def records(self) -> list[dict[str, Any]]:
        """Returns the entries as they stand in export.json."""
        return [asdict(entry) for entry in self.entries]


def make_legend(
    label_map: LabelMap, clustering: Clustering, raw: bool, post_processing: PostProcessing = PostProcessing()
) -> Legend:
    """Returns the legend of an export. Raises PicieError when no cluster has a name and the export is not raw.

    Raises SettingError when doubtful pixels of a raw export cannot be told from cluster 255.
    """
    check_post_processing(post_processing, clustering.k, raw)
    named = label_map.export_map(clustering.key)
    if named.get("splits", []) != splits_record(clustering.splits):
        raise PicieError(f"{clustering.name} was split, or a split undone, at this moment: export again")
    ids = {item["name"]: item["id"] for item in named["classes"]} | {IGNORE_NAME: IGNORE_ID}
    classes_of = {int(cluster): ids[name] for cluster, name in named["clusters"].items()}
    if raw:
        colors = [hex_color(color) for color in cluster_colors(clustering.k)]
        entries = [LegendEntry(i, f"cluster_{i}", color, [i]) for i, color in enumerate(colors)]
        return Legend(clustering, entries, {}, True, named, post_processing)
    if not set(classes_of.values()) - {IGNORE_ID}:
        raise PicieError(
            f"no cluster of {clustering.name} has a name, so every pixel would be ignored: name some on the Clusters "
            "screen or with `label --import FILE`, or export cluster ids with --raw"
        )
    entries = [
        LegendEntry(item["id"], item["name"], item["color"], _clusters_of(classes_of, item["id"]))
        for item in named["classes"]
    ]
    return Legend(clustering, entries, classes_of, False, named, post_processing)


def _clusters_of(classes_of: dict[int, int], class_id: int) -> list[int]:
    return sorted(cluster for cluster, owner in classes_of.items() if owner == class_id)


def digest_of(embedder: Path, clustering: Clustering) -> str:
    """Returns a digest of the weights in folder `embedder` and of the centroids.

    Equal digests and equal images mean equal raw masks.
    """
    digest = hashlib.sha256(clustering.base_centroids.tobytes())
    for split in clustering.splits:
        digest.update(f"/{split.cluster},{split.first_new},".encode() + split.centroids.tobytes())
    for path in sorted(embedder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Item:
    """One image to export."""

    index: int
    path: str
    """As a person knows it: posix path below the folder of images."""
    source: Path
    stem: str
    """Its name in the export without suffix; may hold folders."""
    image_id: int | None = None
    """Its id in the workspace; None for images of another folder."""


@dataclass(frozen=True)
class Written:
    """One image that was exported: its files below the export, and what its mask holds."""

    item: Item
    image: Path
    mask: Path
    size: tuple[int, int]
    """Width and height in pixels."""
    ignored_pixels: int


@dataclass(frozen=True)
class Format:
    """One export format; each function gets the folder to write into."""

    key: str
    title: str
    check_legend: Callable[[Legend], None]
    """Raises SettingError for a name or a number of classes that the format cannot hold."""
    stems: Callable[[Sequence[str]], list[str]]
    """Unique stems of the image paths."""
    write: Callable[[Path, Item, np.ndarray, Legend], tuple[Path, Path]]
    """Writes image and mask of an item; returns their paths below the folder. Raises ImageError for a bad image."""
    finish: Callable[[Path, list[Written], Legend, float, int], dict[str, Any]]
    """Writes what belongs to the whole; returns what export.json says of it. Takes val_share and split_seed."""
