"""Speed of `embed`: the whole job against the bare forward pass of the same network, batch and precision, in one run.

    python benchmarks/embed_speed.py --images FOLDER --weights PATH [--size 320] [--repeats 3]

The bare pass repeats batches that lie decoded in memory. The job reads files, decodes, resizes, fits the decoder,
samples and writes cells and sample. Repeats alternate, so that a noisy machine hits both; medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from picie_core.models.embedder import Embedder
from picie_core.models.inference import FrozenEmbedder
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace.embedding import make_sample, start_embedder
from picie_core.workspace.workspace import Workspace

TARGET = 0.8


def bare_rate(engine: FrozenEmbedder, batches: list[np.ndarray]) -> float:
    """Returns images/s of nothing but the network over batches (B, H, W, 3)."""
    start = time.perf_counter()
    for batch in batches:
        engine(batch)
    if engine.device.type == "cuda":
        torch.cuda.synchronize()
    return sum(map(len, batches)) / (time.perf_counter() - start)


def job_rate(space: Workspace, network: Embedder, settings: SampleSettings, cold: bool) -> float:
    """Returns images/s of the whole job; cold: without the cache of decoded images."""
    if cold:
        for path in (space.root / "cache").glob("*"):
            path.unlink()
    engine = FrozenEmbedder(network)
    start = time.perf_counter()
    made = make_sample(space, "speed", engine, settings, embedder_to_fit=network)
    return made.images / (time.perf_counter() - start)


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", default="none")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    settings = SampleSettings(size_px=arguments.size)
    with tempfile.TemporaryDirectory() as folder:
        space = Workspace.create(Path(folder) / "workspace", arguments.images)
        count = len(space.scan().readable)
        network = start_embedder(space, EmbedderSettings(weights=arguments.weights), settings)
        engine = FrozenEmbedder(network)
        cache = space.image_cache(settings.size_px)
        image = cache.get(0)
        same = [one for _, one in cache.iterate(range(min(count, 64))) if getattr(one, "shape", None) == image.shape]
        batches = [np.stack(same[i : i + settings.batch]) for i in range(0, len(same), settings.batch)]
        batches *= max(1, round(count / len(same)))
        bare_rate(engine, batches[:2])  # warm-up
        rates: dict[str, list[float]] = {"bare forward": [], "embed, cold cache": [], "embed, warm cache": []}
        for _ in range(arguments.repeats):
            rates["bare forward"].append(bare_rate(engine, batches))
            rates["embed, cold cache"].append(job_rate(space, network, settings, cold=True))
            rates["embed, warm cache"].append(job_rate(space, network, settings, cold=False))
    bare = statistics.median(rates["bare forward"])
    print(
        f"{count} images, {image.shape[1]}x{image.shape[0]} px, {engine.precision}, {torch.get_num_threads()} threads\n"
    )
    print("| what | images/s (median) | of the bare pass | target |\n|---|---|---|---|")
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"| {name} | {rate:.1f} | {rate / bare:.2f} | {f'>= {TARGET}' if 'cold' in name else ''} |")


if __name__ == "__main__":
    main()
