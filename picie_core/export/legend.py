"""The legend of an export: what the values of its masks mean, and how a feature map becomes a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from picie_core.clustering.clustering import Clustering
from picie_core.clustering.splits import splits_record
from picie_core.colors import cluster_colors, hex_color
from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME
from picie_core.errors import PicieError
from picie_core.export.mask_format import MaskClass
from picie_core.labels.label_map import LabelMap
from picie_core.segmentation.post_processing import (
    PostProcessing,
    check_post_processing,
    ignored_id,
    post_processed_mask,
)


@dataclass(frozen=True)
class Legend:
    """What the values of the masks mean; read once, so that edits during an export have no effect on it."""

    clustering: Clustering
    classes: list[MaskClass]
    """By id, which are 0 to C-1."""
    classes_of: dict[int, int] | None
    """Cluster -> class id; None when the masks hold cluster ids."""
    label_map: dict[str, Any]
    """The record that `LabelMap.import_map` reads."""
    post_processing: PostProcessing = PostProcessing()

    @property
    def ignored_value(self) -> int | None:
        """The value of ignored pixels; None where cluster ids are written and no pixel is ignored."""
        return ignored_id(self.post_processing, raw=self.classes_of is None)

    def mask(self, feature_map: np.ndarray, height: int, width: int, image: np.ndarray | None = None) -> np.ndarray:
        """Returns the mask of a feature map (h, w, D): (height, width), uint8, or uint16 for over 255 cluster ids.

        image: the network's input, uint8 (H, W, 3), which edge refinement needs.
        """
        return post_processed_mask(
            feature_map, self.clustering, self.classes_of, height, width, self.post_processing, image
        )


def make_legend(
    label_map: LabelMap, clustering: Clustering, raw: bool, post_processing: PostProcessing = PostProcessing()
) -> Legend:
    """Returns the legend of an export of classes, or with `raw` of cluster ids.

    Raises PicieError when no cluster has a name and the export is not raw, or when the clustering changed meanwhile;
    SettingError when a threshold needs 255 for ignored pixels and a cluster has this id.
    """
    check_post_processing(post_processing, clustering.k, raw)
    named = label_map.export_map(clustering.key)
    if named.get("splits", []) != splits_record(clustering.splits):
        raise PicieError(f"{clustering.name} was split, or a split undone, at this moment: export again")
    if raw:
        colors = [hex_color(color) for color in cluster_colors(clustering.k)]
        classes = [MaskClass(i, f"cluster_{i}", color, [i]) for i, color in enumerate(colors)]
        return Legend(clustering, classes, None, named, post_processing)
    ids = {item["name"]: item["id"] for item in named["classes"]} | {IGNORE_NAME: IGNORE_ID}
    classes_of = {int(cluster): ids[name] for cluster, name in named["clusters"].items()}
    if not set(classes_of.values()) - {IGNORE_ID}:
        raise PicieError(
            f"no cluster of {clustering.name} has a name, so every pixel would be ignored: name some on the Clusters "
            "screen or with `label import FILE`, or export cluster ids with --raw"
        )
    classes = [
        MaskClass(**item, clusters=sorted(cluster for cluster, owner in classes_of.items() if owner == item["id"]))
        for item in named["classes"]
    ]
    return Legend(clustering, classes, classes_of, named, post_processing)
