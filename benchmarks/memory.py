"""Memory of `embed`, `cluster`, `export` and `train`: peak resident MB of each command for 300 and for 3,000 images.

    python benchmarks/memory.py --images FOLDER --weights PATH [--counts 300 3000] [--commands train] [--sizes 320 480]

More images than the folder has are made by repeating files under new names. The commands run as a person runs them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from picie_core.data.images.image_folder import find_images

TARGETS_MB = {"embed": 2500, "cluster": 2500, "export": 2500, "train": 2600}
LARGE_TRAIN_MB = 3500
"""Target of a training at more than 320 px, up to 480."""


def repeat_images(images: Path, count: int, folder: Path) -> Path:
    """Returns `folder` with `count` images, hard links to or copies of the files of `images` in turn."""
    paths = [images / name for name in find_images(images)]
    folder.mkdir(parents=True)
    for i in range(count):
        source = paths[i % len(paths)]
        target = folder / f"{i:06d}{source.suffix}"
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
    return folder


def peak_mb(*words: str) -> tuple[float, float]:
    """Runs `python -m picie_core WORDS`; returns (peak resident MB, seconds)."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "picie_core", *words], stdout=subprocess.DEVNULL)
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return peak / 1e6, time.perf_counter() - start


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", default="none")
    parser.add_argument("--counts", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--commands", nargs="+", choices=TARGETS_MB, default=list(TARGETS_MB))
    parser.add_argument("--sizes", type=int, nargs="+", default=[320], help="image sizes of train, px")
    arguments = parser.parse_args()
    print("| command | images | peak resident, MB | target, MB | seconds |\n|---|---|---|---|---|")
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as folder:
            images = repeat_images(arguments.images, count, Path(folder) / "images")
            work = str(Path(folder) / "workspace")
            commands = {
                "embed": ["embed", str(images), "--workspace", work, "--weights", arguments.weights],
                "cluster": ["cluster", "--workspace", work, "--k", "100"],
                "export": ["export", "--workspace", work, "--out", str(Path(folder) / "masks"), "--raw"],
            }
            train = ["train", str(images), "--workspace", work, "--weights", arguments.weights, "--epochs", "1"]
            for size in arguments.sizes if "train" in arguments.commands else []:
                commands[f"train, {size} px"] = [*train, "--size", str(size)]
            for name in (one for one in commands if one.split(",")[0] in arguments.commands):
                target = (
                    LARGE_TRAIN_MB if name.startswith("train") and "320" not in name else TARGETS_MB[name.split(",")[0]]
                )
                peak, seconds = peak_mb(*commands[name])
                print(f"| {name} | {count} | {peak:.0f} | {target} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
