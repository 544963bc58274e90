"""Speed of training: whole epochs of both recipes against bare steps of the same network, and where the time goes.

    python benchmarks/train_speed.py --images FOLDER --weights PATH [--count 64] [--size 160] [--k 27] [--repeats 3]

A bare step is the forward and backward passes of both views at their sizes and an optimiser step, on batches that lie
ready in memory, with the same network, batch and precision. An epoch is everything: clustering, reading, views, labels,
loss and steps. Epochs and bare steps alternate, so that a noisy machine hits both; medians are compared. `--profile`
prints the operators that an epoch spends its time in. With `--synthetic N` the images are N random ones in memory, so
that a GPU is measured and not a disk:

    python benchmarks/train_speed.py --synthetic 8192 --size 320 --batch 128 --recipes default --profile
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.profiler import ProfilerActivity, profile

from picie_core.data.images.image_folder import find_images
from picie_core.models.embedder import Embedder
from picie_core.settings import SampleSettings
from picie_core.training.recipes import recipe_settings
from picie_core.training.settings import TrainSettings
from picie_core.training.trainer import Training
from picie_core.workspace.embedding import fit_embedder, start_embedder
from picie_core.workspace.workspace import Workspace

AUTHORS = {160: 3.7, 320: 0.77}
"""Images/s of the authors' code by image size: 64 camvid images, 2 threads, K = 27, an idle machine."""
TARGETS = {"paper": 4, "default": 5}
"""Times the authors' rate."""
BARE_TARGET = 0.85


class MemoryCache:
    """Random images in memory, in place of the image cache."""

    def __init__(self, count: int, size_px: int):
        rng = np.random.default_rng(0)
        self.images = [rng.integers(0, 255, (size_px, size_px, 3), dtype=np.uint8) for _ in range(min(count, 256))]

    def scaled_size(self, image_id: int) -> tuple[int, int]:
        """Returns (width, height)."""
        return self.images[0].shape[1], self.images[0].shape[0]

    def flush(self) -> None:
        """Has nothing to store."""

    def iterate(self, ids: Any, threads: int = 2, ahead: int = 32) -> Any:
        """Yields (id, image) in the order of `ids`."""
        for image_id in ids:
            yield image_id, self.images[image_id % len(self.images)]


def bare_seconds(work: Training, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Returns the seconds of forward, backward and optimiser over prepared (view 1, view 2) batches."""
    work.embedder.train(work.settings.batch_norm == "train")
    start = time.perf_counter()
    for view1, view2 in batches:
        work.optimizer.zero_grad(set_to_none=True)
        loss = work.network(view1).float().mean() + work.network(view2).float().mean()
        work.fabric.backward(loss)
        work.optimizer.step()
    finish(work)
    return time.perf_counter() - start


def epoch_seconds(work: Training) -> tuple[float, float]:
    """Returns the seconds of one whole epoch and of its clustering."""
    start = time.perf_counter()
    record = next(iter(work.epochs()))
    finish(work)
    return time.perf_counter() - start, record.clustering_s


def finish(work: Training) -> None:
    """Waits until the device has done all that it was given."""
    if work.fabric.device.type == "cuda":
        torch.cuda.synchronize()


def prepared(work: Training, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Returns the batches of an epoch, both views at the sizes that training gives them, floats 0..1."""
    batch, size = work.sampling.batch, work.sampling.size_px
    sizes = [min(batch, count - i) for i in range(0, count, batch)]
    device = work.fabric.device
    sides = (work.square_px // 2, size)
    view = {n: tuple(torch.rand(n, 3, side, side, device=device) for side in sides) for n in set(sizes)}
    return [view[n] for n in sizes]


def start(arguments: argparse.Namespace, space: Workspace | None, recipe: str) -> Training:
    """Returns a training of `recipe` at the size and batch that are compared."""
    changes = {one.split("=")[0]: one.split("=")[1] for one in arguments.set}
    settings = recipe_settings(
        recipe, k=arguments.k, epochs=1000, size_px=arguments.size, batch=arguments.batch, weights=arguments.weights
    )
    training, embedder, sampling = settings
    training = dataclasses.replace(
        training, **{name: type(getattr(training, name))(value) for name, value in changes.items()}
    )
    if space is None:
        network = Embedder(dataclasses.replace(embedder, weights="none"))
        cache: Any = MemoryCache(arguments.synthetic, training.square_px(arguments.size))
        return Training(network, cache, list(range(arguments.synthetic)), training, sampling, arguments.device)
    return Training(*network_and_images(space, training, embedder, sampling, arguments.device))


def network_and_images(
    space: Workspace, training: TrainSettings, embedder: Any, sampling: SampleSettings, device: str
) -> tuple:
    """Returns what a Training takes, the cache of decoded images filled: decode once, as every later epoch."""
    network = start_embedder(space, embedder, sampling)
    fit_embedder(space, network, sampling, device)
    ids = [record.id for record in space.image_list().readable]
    cache = space.image_cache(training.square_px(sampling.size_px), writable=True)
    for _ in cache.iterate(ids):
        pass
    return network, cache, ids, training, sampling, device


def measure(arguments: argparse.Namespace, space: Workspace | None, recipe: str) -> list[str]:
    """Returns the table line of a recipe, and prints its profile if asked to."""
    work = start(arguments, space, recipe)
    count = len(work.image_ids)
    batches = prepared(work, count)
    epoch_seconds(work), bare_seconds(work, batches)  # warm-up
    epochs, clusterings, bares = [], [], []
    for _ in range(arguments.repeats):
        seconds, clustering = epoch_seconds(work)
        epochs.append(seconds)
        clusterings.append(clustering)
        bares.append(bare_seconds(work, batches))
    if arguments.profile:
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])
        with profile(activities=activities) as found:
            epoch_seconds(work)
        print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=18))
    epoch, bare = statistics.median(epochs), statistics.median(bares)
    rate, authors = count / epoch, AUTHORS.get(arguments.size)
    times = f"{rate / authors:.1f} x (asked {TARGETS[recipe]})" if authors and space is not None else ""
    return [
        recipe,
        f"{epoch:.2f}",
        f"{rate:.1f}",
        times,
        f"{bare:.2f}",
        f"{bare / epoch:.2f} (asked {BARE_TARGET})",
        f"{100 * statistics.median(clusterings) / epoch:.0f} %",
    ]


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--weights", default="none")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--k", type=int, default=27)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", default=["paper", "default"])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="training settings")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--synthetic", type=int, default=0, help="that many random images in memory instead of files")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        space = None if arguments.synthetic else make_workspace(arguments, Path(folder))
        lines = [measure(arguments, space, recipe) for recipe in arguments.recipes]
    count = arguments.synthetic or arguments.count
    print(f"{count} images, {arguments.size} px, batch {arguments.batch}, K = {arguments.k}, "
          f"{torch.get_num_threads()} threads\n")  # fmt: skip
    print("| recipe | s an epoch | images/s | authors' rate | bare steps, s | of the bare steps | in clustering |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        print("| " + " | ".join(line) + " |")


def make_workspace(arguments: argparse.Namespace, folder: Path) -> Workspace:
    """Returns a workspace of the first `count` images, resized once so that the source files' size does not matter."""
    (folder / "images").mkdir()
    for name in find_images(arguments.images)[: arguments.count]:
        with Image.open(arguments.images / name) as image:
            image.convert("RGB").save(folder / "images" / (Path(name).stem + ".png"))
    space = Workspace.create(folder / "workspace", folder / "images")
    space.scan()
    return space


if __name__ == "__main__":
    main()
