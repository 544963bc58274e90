"""What the points of the map can be coloured by: which group each sampled pixel is of, its name and its colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.session.cache import contact_sheet_source
from app.shared.naming import cluster_names, cluster_title
from app.shared.pictures.colors import UNNAMED_COLOR, cluster_color
from picie_core.colors import IGNORE_COLOR
from picie_core.data.class_names import IGNORE_ID
from picie_core.workspace.workspace import StoredClustering

COLORINGS = {"cluster": "Cluster", "class": "Class", "image": "Image", "confidence": "Confidence"}
COLORING_HELP = (
    "Confidence: how much closer a pixel is to its own cluster than to the next one. Click a name in the legend to "
    "hide it, double-click to see only this one; what is hidden is not selected either."
)
UNNAMED = -1
IMAGE_COLORS = 60


@dataclass(frozen=True)
class Groups:
    """The groups of the sampled pixels."""

    of: np.ndarray
    """(N,) int, the group of every pixel of the sample."""
    names: dict[int, str]
    colors: dict[int, str]
    order: list[int]
    """The largest first; what is not named and what is ignored come last."""


def groups_of(clustering: StoredClustering, by: str) -> Groups:
    """Returns the groups by `cluster`, `class` or `image`; for `confidence`, which has none, those by cluster."""
    if by == "image":
        images = np.asarray(contact_sheet_source(clustering.run).sample.positions[:, 0])
        records = clustering.workspace.image_list().records
        present = np.unique(images).tolist()
        names = {image: records[image].path for image in present}
        return _ordered(images, names, {image: cluster_color(image % IMAGE_COLORS) for image in present})
    labels = clustering.labels.astype(int)
    if by != "class":
        known = cluster_names(clustering)
        names = {k: cluster_title(k, known) for k in range(clustering.k)}
        return _ordered(labels, names, {k: cluster_color(k) for k in range(clustering.k)})
    classes = clustering.label_map.classes()
    owners = clustering.classes_of()
    table = np.array([owners.get(k, UNNAMED) for k in range(clustering.k)])
    names = {item.id: item.name for item in classes} | {UNNAMED: "not named", IGNORE_ID: "ignore"}
    colors = {item.id: item.color for item in classes} | {UNNAMED: UNNAMED_COLOR, IGNORE_ID: IGNORE_COLOR}
    return _ordered(table[labels], names, colors)


def _ordered(of: np.ndarray, names: dict[int, str], colors: dict[int, str]) -> Groups:
    found, counts = np.unique(of, return_counts=True)
    sizes = dict(zip(found.tolist(), counts.tolist(), strict=True))
    last = {UNNAMED: 1, IGNORE_ID: 2} if UNNAMED in names else {}
    order = sorted(sizes, key=lambda group: (last.get(group, 0), -sizes[group]))
    return Groups(of, names, colors, order)
