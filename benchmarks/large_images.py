"""Memory and time of a large image: `embed`, `cluster`, looking at it, and its whole mask, as a table.

    python benchmarks/large_images.py --images FOLDER --weights PATH [--size 10000x8000] [--downsample 1] [--suffix png]

The image is a mosaic of the images of a folder. Every step is a process of its own; its peak resident memory counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from picie_core.data.images.image_folder import find_images

LIMIT_MB = 2500
CELL_PX = 1000
LOOK = """
import sys, time
import numpy as np
from picie_core.workspace.masks.image_masks import mask_windows
from picie_core.workspace.workspace import Workspace
start = time.perf_counter()
workspace = Workspace.open(sys.argv[1])
run, record = workspace.current_run(), workspace.image_list().records[0]
clustering, pyramid = run.clustering(), workspace.pyramids().get(0)
mask = mask_windows(run, clustering, record, None, dense=run.dense_features())
columns, rows = (np.linspace(0, side - 1, 960) for side in (record.width, record.height))
mask.at_points(rows, columns)
print(f"overview {time.perf_counter() - start:.2f} s", file=sys.stderr)
for part in (0.1, 0.5, 0.9):
    start = time.perf_counter()
    top, left = int(part * (record.height - 900)), int(part * (record.width - 1200))
    pyramid.window(0, top, left, 900, 1200)
    mask.window(top, left, 900, 1200)
    print(f"window of 1200x900 px {time.perf_counter() - start:.2f} s", file=sys.stderr)
"""
MASK = """
import sys
from pathlib import Path
from picie_core.data.mapped_arrays import map_array
from picie_core.workspace.masks.image_masks import mask_windows
from picie_core.workspace.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
run, record = workspace.current_run(), workspace.image_list().records[0]
dense = run.dense_features() if sys.argv[3] == "stored" else None
mask = mask_windows(run, run.clustering(), record, None, dense=dense)
mask.write(map_array(Path(sys.argv[2]), (record.height, record.width), mask.dtype))
"""


def make_mosaic(images: Path, width: int, height: int, target: Path) -> None:
    """Writes an image of this size, the images of a folder side by side again and again, without holding it."""
    import pyvips

    paths = [images / name for name in find_images(images)]
    across, down = -(-width // CELL_PX), -(-height // CELL_PX)
    cells = [pyvips.Image.thumbnail(str(path), CELL_PX, height=CELL_PX, crop="centre") for path in paths]
    joined = pyvips.Image.arrayjoin([cells[i % len(cells)] for i in range(across * down)], across=across)
    options = {"tile": True, "compression": "deflate"} if target.suffix == ".tif" else {}
    joined.crop(0, 0, width, height).write_to_file(str(target), **options)


def peak_mb(*words: str) -> tuple[float, float]:
    """Runs a command of this Python; returns (peak resident MB, seconds)."""
    start = time.perf_counter()
    process = psutil.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
            process.wait(0.05)
        except psutil.TimeoutExpired:
            continue
        except psutil.NoSuchProcess:
            break
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(words)[:200]} ended with {process.returncode}")
    return peak / 1e6, time.perf_counter() - start


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", default="none")
    parser.add_argument("--size", default="10000x8000")
    parser.add_argument("--downsample", default="1")
    parser.add_argument("--suffix", default="png", choices=("png", "tif", "jpg"))
    parser.add_argument("--work", type=Path, default=None, help="folder to work in and to keep; a temporary one else")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.work or Path(temporary)
        (folder / "images").mkdir(parents=True, exist_ok=True)
        image = folder / "images" / f"large.{arguments.suffix}"
        if not image.exists():
            make_mosaic(arguments.images, width, height, image)
        work, mask = str(folder / "workspace"), str(folder / "mask.npy")
        program = ("-m", "picie_core")
        steps = {
            "embed": (*program, "embed", str(image.parent), "--workspace", work, "--weights", arguments.weights,
                      "--downsample", arguments.downsample),
            "cluster": (*program, "cluster", "--workspace", work, "--k", "60"),
            "look": ("-c", LOOK, work),
            "mask, features stored": ("-c", MASK, work, mask, "stored"),
            "mask, features not stored": ("-c", MASK, work, mask, "embedded"),
        }  # fmt: skip
        megabytes = image.stat().st_size / 1e6
        print(f"{image.name}, {width} x {height} px, {megabytes:.0f} MB, --downsample {arguments.downsample}\n")
        print("| step | peak resident, MB | target, MB | seconds |\n|---|---|---|---|")
        for name, words in steps.items():
            peak, seconds = peak_mb(*words)
            print(f"| {name} | {peak:.0f} | {LIMIT_MB} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
