"""The legend of an export: what the values of its masks mean, and how a feature map becomes a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from picie_core.clustering.clustering import Clustering
from picie_core.clustering.splits import splits_record
from picie_core.colors import cluster_colors, hex_color
from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME, name_key
from picie_core.errors import PicieError, SettingError
from picie_core.export.mask_format import MaskClass
from picie_core.labels.label_map import LabelMap
from picie_core.segmentation.post_processing import (
    PostProcessing,
    check_post_processing,
    ignored_id,
    mask_and_confidence,
    post_processed_mask,
    thresholded_mask,
)


@dataclass(frozen=True)
class Legend:
    """What the values of the masks mean; read once, so that edits during an export have no effect on it."""

    clustering: Clustering
    classes: list[MaskClass]
    """By id, which are 0 to C-1."""
    classes_of: dict[int, int] | None
    """Cluster -> class id of the label map; None when the masks hold cluster ids."""
    label_map: dict[str, Any]
    """The record that `LabelMap.import_map` reads."""
    post_processing: PostProcessing = PostProcessing()
    values: np.ndarray = field(default_factory=lambda: np.arange(256, dtype=np.uint8))
    """(256,) uint8: class id of the label map -> value in the masks."""

    @property
    def ignored_value(self) -> int | None:
        """The value of ignored pixels; None where cluster ids are written and no pixel is ignored."""
        return ignored_id(self.post_processing, raw=self.classes_of is None)

    def mask(self, feature_map: np.ndarray, height: int, width: int, image: np.ndarray | None = None) -> np.ndarray:
        """Returns the mask of a feature map (h, w, D): (height, width), uint8, or uint16 for over 255 cluster ids.

        image: the network's input, uint8 (H, W, 3), which edge refinement needs.
        """
        mask = post_processed_mask(
            feature_map, self.clustering, self.classes_of, height, width, self.post_processing, image
        )
        return self._written(mask)

    def mask_and_confidence(
        self, feature_map: np.ndarray, height: int, width: int, image: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns `mask` and the confidence of each of its pixels, float32 (height, width), 0 to 1."""
        refine = self.post_processing.refine
        made = mask_and_confidence(feature_map, self.clustering, self.classes_of, height, width, refine, image)
        return self._written(thresholded_mask(made, self.post_processing, self.classes_of is None)), made.confidence

    def _written(self, mask: np.ndarray) -> np.ndarray:
        """The mask with the values that are written: classes that are left out become 255, no border moves."""
        return mask if self.classes_of is None else self.values[mask]


def make_legend(
    label_map: LabelMap,
    clustering: Clustering,
    raw: bool,
    post_processing: PostProcessing = PostProcessing(),
    only: Sequence[str] = (),
) -> Legend:
    """Returns the legend of an export of classes, or with `raw` of cluster ids.

    only: names of the classes to write, all by default; pixels of the others become 255.
    Raises PicieError when no cluster has a name and the export is not raw, or when the clustering changed meanwhile;
    SettingError for an unknown class, or when a threshold needs 255 for ignored pixels and a cluster has this id.
    """
    check_post_processing(post_processing, clustering.k, raw)
    named = label_map.export_map(clustering.key)
    if named.get("splits", []) != splits_record(clustering.splits):
        raise PicieError(f"{clustering.name} was split, or a split undone, at this moment: export again")
    if raw:
        colors = [hex_color(color) for color in cluster_colors(clustering.k)]
        classes = [MaskClass(i, f"cluster_{i}", color, [i]) for i, color in enumerate(colors)]
        return Legend(clustering, classes, None, named, post_processing)
    ids = {item["name"]: item["id"] for item in named["classes"]}
    values = _values(ids, only)
    ids[IGNORE_NAME] = IGNORE_ID
    classes_of = {int(cluster): ids[name] for cluster, name in named["clusters"].items()}
    if not {int(values[owner]) for owner in classes_of.values()} - {IGNORE_ID}:
        raise PicieError(
            f"no cluster of {clustering.name} has a name, so every pixel would be ignored: name some on the Clusters "
            "screen or with `label import FILE`, or export cluster ids with --raw"
            if not only
            else f"no cluster of {clustering.name} is named {' or '.join(only)}, so every pixel would be ignored: "
            "choose other classes"
        )
    clusters_of: dict[int, list[int]] = {}
    for cluster, owner in sorted(classes_of.items()):
        clusters_of.setdefault(owner, []).append(cluster)
    classes = [
        MaskClass(int(values[item["id"]]), item["name"], item["color"], clusters_of.get(item["id"], []))
        for item in named["classes"]
        if values[item["id"]] != IGNORE_ID
    ]
    return Legend(clustering, classes, classes_of, named, post_processing, values)


def _values(ids: dict[str, int], only: Sequence[str]) -> np.ndarray:
    """The value in the masks of each class id: dense, 255 for the classes that are left out."""
    keys = {name_key(name): number for name, number in ids.items()}
    for name in only:
        if name_key(name) not in keys:
            raise SettingError(f"classes={name!r} is no class of the label map: choose from {', '.join(ids) or 'none'}")
    wanted = {keys[name_key(name)] for name in only} if only else set(ids.values())
    values = np.full(256, IGNORE_ID, np.uint8)
    values[sorted(wanted)] = np.arange(len(wanted))
    return values
