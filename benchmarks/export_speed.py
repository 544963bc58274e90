"""Speed and memory of `export`: several formats in one pass, against the bare forward pass with upsampling.

    python benchmarks/export_speed.py --images FOLDER --weights PATH [--formats png voc coco] [--counts 468]

The bare pass reads the cached images, embeds them in the same batches and computes every full-size mask, one after
another, and writes nothing. More images than the folder has are made by repeating files under new names. Both are
measured in turn in one run; medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.memory import peak_mb, repeat_images
from picie_core.data.images.image_file import probe_image
from picie_core.export.pipeline import BATCH
from picie_core.segmentation.masks import class_mask
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace.embedding import embed_workspace
from picie_core.workspace.masks.mask_export import export_masks, network_features
from picie_core.workspace.workspace import StoredClustering, Workspace

CLASSES = 12


def named_workspace(folder: Path, images: Path, weights: str, k: int) -> StoredClustering:
    """Returns a clustering of `images` whose clusters have one of CLASSES names."""
    workspace = Workspace.create(folder / "workspace", images)
    embed_workspace(workspace, EmbedderSettings(weights=weights), SampleSettings())
    clustering = workspace.current_run().cluster(k)
    for number in range(CLASSES):
        workspace.label_map.name_clusters(clustering.key, list(range(number, k, CLASSES)), f"class {number}")
    return clustering


def bare_pass(clustering: StoredClustering) -> float:
    """Returns the images per second of embedding and upsampling alone."""
    run, workspace = clustering.run, clustering.workspace
    cache, features, classes_of = run.image_cache(), network_features(run, "auto"), clustering.classes_of()
    records = workspace.image_list().readable
    sizes = [probe_image(workspace.images_root / one.path) for one in records]
    features(np.stack([cache.get(records[0].id)] * BATCH))  # warm
    start = time.perf_counter()
    for first in range(0, len(records), BATCH):
        batch = records[first : first + BATCH]
        maps = features(np.stack([cache.get(one.id) for one in batch]))
        for feature_map, (width, height) in zip(maps, sizes[first : first + BATCH], strict=True):
            class_mask(feature_map, clustering, classes_of, height, width)
    return len(records) / (time.perf_counter() - start)


def export_pass(clustering: StoredClustering, formats: list[str], out: Path) -> float:
    """Returns the images per second of an export, from the first to the last byte."""
    start = time.perf_counter()
    images = export_masks(clustering, formats, out).images
    return images / (time.perf_counter() - start)


def main() -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", default="none")
    parser.add_argument("--formats", nargs="+", default=["png", "voc", "coco"])
    parser.add_argument("--counts", type=int, nargs="+", default=[468])
    parser.add_argument("--k", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"load {psutil.getloadavg()[0]:.1f} at the start\n")
    print("| images | formats | bare pass, images/s | export, images/s | of the bare pass | peak resident, MB |")
    print("|---|---|---|---|---|---|")
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as folder:
            images = repeat_images(arguments.images, count, Path(folder) / "images")
            clustering = named_workspace(Path(folder), images, arguments.weights, arguments.k)
            for formats in (arguments.formats[:1], arguments.formats):
                pairs = []
                for turn in range(arguments.repeats):
                    out = Path(folder) / f"out-{len(formats)}-{turn}"
                    pairs.append((bare_pass(clustering), export_pass(clustering, formats, out)))
                bare, export = (statistics.median(column) for column in zip(*pairs, strict=True))
                words = ["export", "--workspace", str(Path(folder) / "workspace"), "--format", *formats]
                peak, _ = peak_mb(*words, "--out", str(Path(folder) / f"out-{len(formats)}"))
                of_bare = statistics.median(one / other for other, one in pairs)
                print(
                    f"| {count} | {' '.join(formats)} | {bare:.1f} | {export:.1f} | {of_bare:.2f} | {peak:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
