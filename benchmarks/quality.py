"""Quality against ground truth at every epoch of PiCIE, the frozen start first; `compare` measures the last epoch only.

    python benchmarks/quality.py --images TRAIN --masks MASKS --val-images VAL --val-masks VAL_MASKS --weights PATH

The embedding sample and the names of clusters come from TRAIN; figures are of whole images: named on TRAIN (own) and on
VAL (others), the oracle and one-to-one on VAL. No ground truth chooses anything.
Prints a Markdown table and, with --out, writes every figure as JSON lines.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from picie_core.clustering.kmeans import spherical_kmeans
from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.evaluation.cluster_head import ClusterHead
from picie_core.evaluation.naming import mean_metrics, measure_heads
from picie_core.models.embedder import Embedder
from picie_core.models.inference import FrozenEmbedder
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.training.settings import TrainSettings
from picie_core.training.trainer import Training
from picie_core.workspace.embedding import fit_embedder, make_sample, start_embedder
from picie_core.workspace.ground_truth import own_images
from picie_core.workspace.workspace import Run, Workspace

COLUMNS = {"one-to-one": "", "own": "_own", "others": "_named", "oracle": "_oracle"}
Figures = dict[str, dict[str, float]]
"""Such as `k27` -> metric -> percent, the mean over clustering seeds."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """Ground truth of the images that are trained on and of those that are measured."""

    own: LabelledSet
    others: LabelledSet


def measure(
    space: Workspace, network: Embedder, sampling: SampleSettings, truth: Truth, ks: list[int], seeds: int
) -> Figures:
    """Returns the figures of an embedder as it is now."""
    engine = FrozenEmbedder(network)
    make_sample(space, "measured", engine, sampling)
    run = Run(space, "measured")
    rows = np.asarray(run.sample().embeddings, dtype=np.float32)
    wanted = [(k, seed) for k in ks for seed in range(seeds)]
    heads = [ClusterHead.of_centroids(spherical_kmeans(rows, k, seed).centroids) for k, seed in wanted]
    counts = measure_heads(engine, sampling.size_px, truth.others, heads, own_images(run, truth.own))
    return mean_metrics([f"k{k}" for k, _ in wanted], counts)


def row(name: str, figures: Figures, more: str = "") -> str:
    """Returns one line of the table."""
    cells = [
        f"{one[f'accuracy{way}']:.1f} / {one[f'miou{way}']:.1f}" for one in figures.values() for way in COLUMNS.values()
    ]
    return f"| {name} | " + " | ".join(cells) + f" | {more} |"


def subset(images: Path, count: int, folder: Path) -> Path:
    """Returns a folder with links to `count` evenly spread images, so that a run has a known size."""
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    folder.mkdir()
    for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int):
        (folder / paths[i].name).write_bytes(paths[i].read_bytes())
    return folder


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--images", "--masks", "--val-images", "--val-masks"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--count", type=int, default=0, help="train on that many evenly spread images; 0 is all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--ks", type=int, nargs="+", default=[11, 27, 100], help="K to cluster and evaluate at")
    parser.add_argument("--cluster-seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="training settings")
    parser.add_argument("--embedder", nargs="*", default=[], metavar="NAME=VALUE", help="embedder settings")
    parser.add_argument("--last", action="store_true", help="measure the start and the last epoch only")
    parser.add_argument("--out", type=Path)
    run(parser.parse_args())


def changed(settings, pairs: list[str]):
    """Returns settings with NAME=VALUE pairs applied, each in the type of its default."""
    values = dict(pair.split("=", 1) for pair in pairs)
    return dataclasses.replace(settings, **{name: type(getattr(settings, name))(v) for name, v in values.items()})


def run(arguments: argparse.Namespace) -> None:
    """Trains once a seed and prints a line for the start and for each epoch."""
    training = changed(TrainSettings(epochs=arguments.epochs), arguments.set)
    settings = changed(EmbedderSettings(weights=arguments.weights), arguments.embedder)
    own = open_labelled_set(arguments.images, arguments.masks)
    truth = Truth(own, open_labelled_set(arguments.val_images, arguments.val_masks))
    columns = [f"K = {k} {name}" for k in arguments.ks for name in COLUMNS]
    print(
        f"{training}\n\n| seed, epoch | {' | '.join(columns)} | health |\n|" + "---|" * (len(columns) + 2), flush=True
    )
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            one_seed(arguments, training, settings, truth, seed, Path(folder))


def one_seed(arguments, training: TrainSettings, settings: EmbedderSettings, truth: Truth, seed: int, folder: Path):
    """Prints the lines of one seed."""
    images = subset(arguments.images, arguments.count, folder / "images") if arguments.count else arguments.images
    sampling = SampleSettings(seed=seed, size_px=arguments.size, dense_mb=0)
    space = Workspace.create(folder / "workspace", images)
    ids = [record.id for record in space.scan().readable]
    network = start_embedder(space, settings, sampling)
    fit_embedder(space, network, sampling, "auto")

    def show(epoch: int, more: str, record: dict) -> None:
        figures = measure(space, network, sampling, truth, arguments.ks, arguments.cluster_seeds)
        print(row(f"{seed}, {epoch}", figures, more), flush=True)
        if arguments.out:
            with open(arguments.out, "a") as file:
                file.write(json.dumps({"seed": seed, "epoch": epoch, "figures": figures, **record}) + "\n")

    show(0, "frozen start", {})
    work = Training(network, space.image_cache(sampling.size_px, writable=True), ids, training, sampling)
    start = time.monotonic()
    for record in work.epochs():
        if record.epoch == training.epochs or not arguments.last:
            health = f"loss {record.loss:.3f}, entropy {record.label_entropy:.2f}, changed {record.changed_labels:.2f}"
            show(record.epoch, f"{health}, {record.images_per_s:.1f} images/s", dataclasses.asdict(record))
    print(f"seed {seed}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
