"""Speed of the backbones: images/s of the whole frozen network, random weights, and the time relative to the first.

    python benchmarks/backbone_speed.py [--backbones resnet18 dinov2_s14] [--sizes 320 448] [--batch 4] [--repeats 7]

A batch of noise lies in memory, so nothing but the network counts. Each round takes every backbone once, one after the
other, and a ratio is that of one round: so what else runs on the machine slows both. Medians of the rounds are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import numpy as np
import torch

from picie_core.models.embedder import Embedder
from picie_core.models.inference import FrozenEmbedder
from picie_core.published_backbones import BACKBONES
from picie_core.settings import EmbedderSettings

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def seconds_of(engine: FrozenEmbedder, images: np.ndarray) -> float:
    """Returns the seconds that one batch (B, H, W, 3) takes."""
    start = time.perf_counter()
    engine(images)
    if engine.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(engines: dict[str, FrozenEmbedder], images: np.ndarray, repeats: int) -> dict[str, tuple[float, float]]:
    """Returns of each backbone the median images/s and the median of its time over that of the first one."""
    rounds = [{name: seconds_of(engine, images) for name, engine in engines.items()} for _ in range(repeats + 1)][1:]
    first = next(iter(engines))
    return {
        name: (
            len(images) / statistics.median(one[name] for one in rounds),
            statistics.median(one[name] / one[first] for one in rounds),
        )
        for name in engines
    }


def main() -> None:
    """Measures and prints a table a precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--stages", type=int, default=EmbedderSettings().stages)
    parser.add_argument("--sizes", type=int, nargs="+", default=[320, 448])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    networks = {
        name: Embedder(EmbedderSettings(backbone=name, stages=arguments.stages)).eval() for name in arguments.backbones
    }
    print(f"batch {arguments.batch}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    for title, precision in PRECISIONS.items():
        engines = {name: FrozenEmbedder(network, "auto", precision) for name, network in networks.items()}
        measured = []
        for size in arguments.sizes:
            shape = (arguments.batch, size, size, 3)
            images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            measured.append(measure(engines, images, arguments.repeats))
        heads = "".join(f" {size} px, images/s | time |" for size in arguments.sizes)
        print(f"\n| {title} | parameters, million |{heads}\n|---|---|{'---|---|' * len(arguments.sizes)}")
        for name, network in networks.items():
            cells = "".join(f" {rates[name][0]:.1f} | {rates[name][1]:.2f} |" for rates in measured)
            print(f"| {name} | {sum(one.numel() for one in network.parameters()) / 1e6:.1f} |{cells}", flush=True)


if __name__ == "__main__":
    main()
