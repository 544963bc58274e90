"""The colours of clusters and classes, as the page and the pictures want them."""

from __future__ import annotations

from picie_core.colors import IGNORE_COLOR, cluster_colors, hex_color
from picie_core.data.class_names import IGNORE_ID
from picie_core.workspace.workspace import StoredClustering, Workspace

UNNAMED_COLOR = "#9a9a96"


def cluster_color(cluster: int) -> str:
    """Returns the colour of a cluster before it has a name; it does not depend on K."""
    return hex_color(cluster_colors(max(64, 1 << cluster.bit_length()))[cluster])  # few sizes: each is made once


def class_colors(workspace: Workspace) -> dict[int, str]:
    """Returns the colour of each class; ignored pixels are a dark grey."""
    return {item.id: item.color for item in workspace.label_map.classes()} | {IGNORE_ID: IGNORE_COLOR}


def usual_colors(clustering: StoredClustering) -> str:
    """Returns what pictures are coloured by at first: `class` once most pixels have a name, else `cluster`."""
    return "class" if clustering.named_share() > 0.5 else "cluster"
