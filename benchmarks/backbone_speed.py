"""Speed of the backbones: images/s of the whole frozen network, random weights, in float32 and bfloat16.

    python benchmarks/backbone_speed.py [--backbones resnet18 dinov2_s14] [--size 320] [--batch 16] [--repeats 5]

A batch of noise lies in memory, so nothing but the network counts. The median of the repeats is printed.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from picie_core.models.embedder import Embedder
from picie_core.models.inference import FrozenEmbedder
from picie_core.settings import CONV_BACKBONES, EmbedderSettings

PRECISIONS = (torch.float32, torch.bfloat16)


def rate(engine: FrozenEmbedder, images: np.ndarray, repeats: int) -> float:
    """Returns the median images/s over `repeats` passes of a batch (B, H, W, 3), after one to warm up."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        engine(images)
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return len(images) / statistics.median(seconds[1:])


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=[*CONV_BACKBONES, "dinov2_s14"])
    parser.add_argument("--stages", type=int, default=EmbedderSettings().stages)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    shape = (arguments.batch, arguments.size, arguments.size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    print(f"batch {arguments.batch}, {arguments.size} px square, {torch.get_num_threads()} threads\n")
    print("| backbone | parameters, million | float32, images/s | bfloat16, images/s |\n|---|---|---|---|")
    for name in arguments.backbones:
        network = Embedder(EmbedderSettings(backbone=name, stages=arguments.stages)).eval()
        engines = [FrozenEmbedder(network, "auto", precision) for precision in PRECISIONS]
        rates = [f"{rate(engine, images, arguments.repeats):.1f}" for engine in engines]
        print(
            f"| {name} | {sum(one.numel() for one in network.parameters()) / 1e6:.1f} | {' | '.join(rates)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
