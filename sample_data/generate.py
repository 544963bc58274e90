"""Write procedurally drawn scenes with exact per-pixel classes: images/, masks/ and the list of classes."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from backdrop import paint_hills, paint_mountains, paint_sky
from buildings import paint_building
from camera import Canvas
from ground import paint_ground, paint_water
from layout import Scene
from noise import Noise
from PIL import Image
from recipes import RECIPES
from scipy.ndimage import gaussian_filter
from trees import broadleaf, bush, conifer, paint_tree
from vehicles import paint_vehicle

Array = np.ndarray
CLASSES = (
    ("sky", "#8fc1e8"), ("mountain", "#8c7b6b"), ("water", "#2b6f9e"), ("grass", "#8fbf4d"),
    ("tree", "#2f6b35"), ("road", "#6f7278"), ("building", "#c8644b"), ("vehicle", "#e3b23c"),
)  # fmt: skip
OVERSAMPLING = 2


def render(seed: int, index: int, size: tuple[int, int] = (320, 240)) -> tuple[Array, Array]:
    """Return scene `index` of a seed: RGB (height, width, 3) and class ids (height, width), both uint8.

    Depends on (seed, index, size) only, so that any scene can be made again alone. size is (width, height).
    """
    rng = np.random.default_rng((seed, index))
    large = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
    scene = RECIPES[index % len(RECIPES)](rng, large)
    canvas = Canvas(scene.camera, scene.light)
    _paint(canvas, scene, Noise(rng), rng)
    return _photograph(canvas, size, rng), _majority(canvas.ids)


def _paint(canvas: Canvas, scene: Scene, noise: Noise, rng: np.random.Generator) -> None:
    """Paint a scene from far to near; what stands behind a lake comes before the water that mirrors it."""
    paint_sky(canvas, noise, rng)
    if scene.mountains:
        paint_mountains(canvas, noise, rng, scene.mountains)
    if scene.hills:
        paint_hills(canvas, noise, rng, scene.plot.grass)
    water = paint_ground(canvas, scene.plot, noise, rng)
    makers = (broadleaf, broadleaf, conifer, conifer, bush)
    sprites = [make(scene.light, noise, rng) for make in makers]
    shore = scene.plot.lake.far if scene.plot.lake else np.inf

    def paint_objects(low: float, high: float) -> None:
        for building in scene.buildings:
            if low <= building.z < high:
                paint_building(canvas, building, noise)
        for vehicle in scene.vehicles:
            if low <= vehicle.z < high:
                paint_vehicle(canvas, vehicle)
        for tree in scene.trees:
            if low <= tree.z < high:
                paint_tree(canvas, tree, sprites, noise)

    paint_objects(shore, np.inf)
    if scene.plot.lake and water.any():
        paint_water(canvas, scene.plot.lake, water, noise)
    paint_objects(0.0, shore)


def _photograph(canvas: Canvas, size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Return the picture a camera would give: glow, vignette, tone curve, antialiased size, sensor grain."""
    light = canvas.rgb
    glow = gaussian_filter(np.minimum(light, 4.0), (9, 9, 0), truncate=2.0)
    corner = 1.0 - 0.16 * (canvas.side**2 + (canvas.up - canvas.up.mean()) ** 2)[..., None]
    shown = canvas.light.develop((0.93 * light + 0.07 * glow) * np.clip(corner, 0.6, 1.0))
    image = Image.fromarray((255 * shown + 0.5).astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)
    grain = rng.normal(0.0, rng.uniform(0.6, 1.8), (size[1], size[0], 1)) + rng.normal(0, 0.5, (size[1], size[0], 3))
    return np.clip(np.asarray(image, np.float32) + grain, 0, 255).astype(np.uint8)


def _majority(ids: Array) -> Array:
    """Return the commonest class of each block of render pixels; of equals the larger (nearer) class wins."""
    n = OVERSAMPLING
    blocks = ids.reshape(ids.shape[0] // n, n, ids.shape[1] // n, n)
    counts = np.stack([(blocks == k).sum((1, 3)) for k in reversed(range(len(CLASSES)))])
    return (len(CLASSES) - 1 - counts.argmax(0)).astype(np.uint8)


def write_atomically(path: Path, data: bytes) -> None:
    """Put data at path in one step, so that an interrupted run leaves no half-written file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _encoded(array: Array, kind: str) -> bytes:
    """Return the bytes of an image file: JPEG at quality 90 without chroma subsampling, or PNG."""
    buffer = io.BytesIO()
    options = {"quality": 90, "subsampling": 0, "optimize": True} if kind == "JPEG" else {"optimize": True}
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def write_dataset(out: Path, count: int, seed: int, size: tuple[int, int]) -> None:
    """Write count scenes with their masks, and the classes as text and JSON, below out."""
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        image, mask = render(seed, index, size)
        write_atomically(out / "images" / f"scene_{index:03d}.jpg", _encoded(image, "JPEG"))
        write_atomically(out / "masks" / f"scene_{index:03d}.png", _encoded(mask, "PNG"))
        print(f"\r{index + 1}/{count} scenes", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    names = "".join(f"{name}\n" for name, _ in CLASSES)
    listed = [{"id": k, "name": name, "color": color} for k, (name, color) in enumerate(CLASSES)]
    write_atomically(out / "classes.txt", names.encode())
    write_atomically(out / "classes.json", (json.dumps({"classes": listed}, indent=2) + "\n").encode())


def _size(text: str) -> tuple[int, int]:
    """Return (width, height) of a text such as 320x240, for argparse."""
    width, height = (int(part) for part in text.lower().split("x"))
    if not (64 <= width <= 2048 and 64 <= height <= 2048):
        raise argparse.ArgumentTypeError("width and height must lie between 64 and 2048 pixels")
    return width, height


def main(argv: list[str] | None = None) -> None:
    """Read the command line and write the scenes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to")
    parser.add_argument("--count", type=int, default=48, help="number of scenes (default 48)")
    parser.add_argument("--seed", type=int, default=0, help="scene i depends on the seed and i only (default 0)")
    parser.add_argument("--size", type=_size, default=(320, 240), help="WIDTHxHEIGHT in pixels (default 320x240)")
    options = parser.parse_args(argv)
    write_dataset(options.out, options.count, options.seed, options.size)


if __name__ == "__main__":
    main()
