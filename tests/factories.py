"""What tests are made from: drawn scenes, tiny workspaces, clusterings of a few centroids, contents of label maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.clustering.clustering import Clustering, cluster_scores
from picie_core.clustering.kmeans import assign
from picie_core.clustering.splits import Split
from picie_core.data.class_names import IGNORE_ID
from picie_core.labels.database import transaction
from picie_core.labels.label_map import LabelMap
from picie_core.labels.undo_log import Rows, read_rows
from picie_core.workspace.workspace import Workspace

TINY = ("--weights", "none", "--size", "64", "--pixels", "600", "--batch", "4", "--dim", "32")
"""Options that make `embed` and `train` take a second on the scenes."""

# -- images


def draw_scene(seed: int, height: int = 64, width: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A smooth, a striped and a noisy band: uint8 (H, W, 3), and the class of each pixel, uint8 (H, W)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    horizon = height / 3 + 4 * np.sin(x / 15 + seed)
    truth = (y > horizon).astype(np.uint8) + (y > horizon + height / 3)
    smooth = np.stack([90 + y, 140 + y // 2, 220 - y], -1)
    stripes = np.stack([60 + 120 * (x // 4 % 2), 90 + 60 * (x // 4 % 2), 50 + 0 * x], -1)
    noise = 110 + 40 * rng.standard_normal((height, width, 1)).repeat(3, 2)
    image = np.choose(truth[..., None], [smooth, stripes, noise])
    return image.clip(0, 255).astype(np.uint8), truth


def write_scenes(root: Path, count: int = 6) -> Path:
    """Writes `count` scenes to images/ and their ground truth to masks/ below `root`, and returns it."""
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for seed in range(count):
        image, truth = draw_scene(seed)
        Image.fromarray(image).save(root / "images" / f"scene-{seed}.png")
        Image.fromarray(truth).save(root / "masks" / f"scene-{seed}.png")
    return root


# -- workspaces


def embedded(root: Path, images: Path, *options: str) -> Workspace:
    """The workspace at `root` in which `embed` has run on the images, with TINY and more options."""
    assert run_command(COMMANDS, ["embed", str(images), "--workspace", str(root), *TINY, *options]) == 0
    return Workspace.open(root)


# -- clusterings


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows at unit length, float32."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def clustering_of(
    centroids: np.ndarray, splits: Sequence[Split] = (), rows: np.ndarray | None = None, key: str = "key"
) -> Clustering:
    """A clustering with these centroids and splits whose sample is `rows`, by default none."""
    rows = np.zeros((0, centroids.shape[1]), np.float32) if rows is None else rows
    labels, similarity = assign(rows, centroids)
    plain = Clustering(len(centroids), 0, key, centroids, labels, similarity.astype(np.float16), 0.0)
    return plain.with_splits(splits, rows)


def position_labels(feature_map: np.ndarray, clustering: Clustering) -> np.ndarray:
    """The cluster with the best score at each position of a feature map (h, w, D), int8 or float: (h, w) int64."""
    height, width, dim = feature_map.shape
    return cluster_scores(feature_map.reshape(-1, dim), clustering).argmax(0).reshape(height, width)


# -- label maps


def name_in_order(label_map: LabelMap, key: str, names: str) -> None:
    """Names clusters 0, 1, 2... and again 10, 11, 12... by the words of `names`."""
    for index, name in enumerate(names.split()):
        label_map.name_clusters(key, [index, index + 10], name)


def names_of(label_map: LabelMap, key: str) -> dict[int, str]:
    """Cluster -> class name of the clustering of that key, as a person sees it."""
    names = {one.id: one.name for one in label_map.classes()} | {IGNORE_ID: "ignore"}
    return {cluster: names[owner] for cluster, owner in label_map.classes_of(key).items()}


def decisions(label_map: LabelMap) -> Rows:
    """All rows of a label map that hold decisions."""
    with transaction(label_map.path) as database:
        return read_rows(database)


def labels_and_truth(k: int = 5, classes: int = 4, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Random labels that follow the truth in part, and a truth with some ignored pixels."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, (size, size))
    labels = np.where(rng.random(truth.shape) < 0.6, truth % k, rng.integers(0, k, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = 255
    return labels.astype(np.uint16), truth.astype(np.uint8)
