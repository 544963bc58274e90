"""Quality against ground truth: the frozen start and every epoch of PiCIE, one-to-one and many-to-one.

    python benchmarks/quality.py --images TRAIN --val-images VAL --val-masks MASKS --weights PATH --seeds 0 1 2

The embedding sample comes from TRAIN, figures from VAL (centre square, as the paper). No ground truth chooses anything.
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
from picie_core.evaluation.metrics import summary
from picie_core.evaluation.set_evaluation import confusions
from picie_core.models.embedder import Embedder
from picie_core.models.inference import FrozenEmbedder
from picie_core.settings import EmbedderSettings, SampleSettings, TrainSettings
from picie_core.training.trainer import Training
from picie_core.workspace.embedding import fit_embedder, make_sample, start_embedder
from picie_core.workspace.workspace import Run, Workspace

FIGURES = ("accuracy", "miou", "accuracy_named", "miou_named")


def measure(
    space: Workspace, network: Embedder, sampling: SampleSettings, truth: LabelledSet, ks: list[int], seeds: int
) -> dict[int, dict[str, float]]:
    """Returns K -> figures (percent, mean over clustering seeds) of an embedder as it is now."""
    engine = FrozenEmbedder(network)
    make_sample(space, "measured", engine, sampling)
    rows = np.asarray(Run(space, "measured").sample().embeddings, dtype=np.float32)
    wanted = [(k, seed) for k in ks for seed in range(seeds)]
    centroids = [spherical_kmeans(rows, k, seed).centroids for k, seed in wanted]
    found = [summary(counts) for counts in confusions(engine, sampling.size_px, truth, centroids)]
    return {
        k: {
            figure: float(np.mean([one[figure] for (other, _), one in zip(wanted, found, strict=True) if other == k]))
            for figure in FIGURES
        }
        for k in ks
    }


def row(name: str, figures: dict[int, dict[str, float]], more: str = "") -> str:
    """Returns one line of the table."""
    cells = [
        f"{one['accuracy']:.1f} / {one['miou']:.1f} | {one['accuracy_named']:.1f} / {one['miou_named']:.1f}"
        for one in figures.values()
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
    for name in ("--images", "--val-images", "--val-masks"):
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
    truth = open_labelled_set(arguments.val_images, arguments.val_masks)
    columns = " | ".join(f"K = {k} one-to-one | K = {k} named" for k in arguments.ks)
    print(f"{training}\n\n| seed, epoch | {columns} | health |\n|" + "---|" * (2 * len(arguments.ks) + 2), flush=True)
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            one_seed(arguments, training, settings, truth, seed, Path(folder))


def one_seed(
    arguments, training: TrainSettings, settings: EmbedderSettings, truth: LabelledSet, seed: int, folder: Path
):
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
