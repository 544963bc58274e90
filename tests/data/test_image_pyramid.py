"""Pyramids: windows of every level are crops of the whole image, halved; a stored one is whole or not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.data.images.downsampled_images import DownsampledImages
from picie_core.data.images.image_file import read_image
from picie_core.data.images.image_index import ImageRecord, scan_images
from picie_core.data.images.image_pyramid import RECORD, PyramidInMemory, halve, level_sizes, pyramid_bytes, size_at
from picie_core.data.images.pyramid_cache import PyramidCache
from picie_core.errors import PicieError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of three noisy images with odd sides, one of them turned by the camera."""
    folder = tmp_path / "in"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index, shape in enumerate([(601, 703), (330, 258), (77, 90)]):
        image = Image.fromarray(random.integers(0, 256, (*shape, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 8 if index == 1 else 1
        image.save(folder / f"{index}.png", exif=exif)
    return folder


def cache_of(images: Path, **options: int) -> PyramidCache:
    """The pyramids of the images, all of them stored by default."""
    records = scan_images(images, images.parent / "w").records
    return PyramidCache(images.parent / "w" / "pyramids", images, records, **{"stored_from": 0, **options})


def levels_by_hand(image: np.ndarray, count: int) -> list[np.ndarray]:
    """Each level as the rounded mean of 2 x 2 pixels of the one before, computed in floats."""
    levels = [image]
    for _ in range(count - 1):
        height, width = levels[-1].shape[:2]
        even = np.pad(levels[-1], ((0, height % 2), (0, width % 2), (0, 0)), mode="edge").astype(float)
        means = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean((1, 3))
        levels.append(np.floor(means + 0.5).astype(np.uint8))
    return levels


@pytest.mark.parametrize("stored_from", [0, 10**9])
def test_windows_of_every_level_are_crops_of_the_whole(images, stored_from):
    """Stored or in memory, a window anywhere is that part of the decoded image, halved so many times."""
    cache = cache_of(images, stored_from=stored_from)
    for record in cache.records:
        pyramid = cache.get(record.id)
        levels = levels_by_hand(read_image(images / record.path), len(pyramid.sizes))
        for level, whole in enumerate(levels):
            height, width = whole.shape[:2]
            assert pyramid.sizes[level] == (width, height) == size_at(record.width, record.height, level)
            np.testing.assert_array_equal(pyramid.window(level, 0, 0, height, width), whole)
            top, left = height // 3, width // 4
            part = pyramid.window(level, top, left, height - top, width // 2)
            np.testing.assert_array_equal(part, whole[top:, left : left + width // 2])


def test_a_stored_pyramid_needs_no_file(images):
    """Once stored, windows come without decoding, in another process too; a changed file is decoded anew."""
    first = cache_of(images)
    for record in first.records:
        first.get(record.id)
    kept = {record.id: read_image(images / record.path) for record in first.records}
    again = PyramidCache(first.folder, images / "gone", first.records, stored_from=0)
    for record in again.records:
        window = again.get(record.id).window(0, 0, 0, record.height, record.width)
        np.testing.assert_array_equal(window, kept[record.id])
    Image.fromarray(255 - kept[2]).save(images / "2.png")
    changed = cache_of(images)
    window = changed.get(2).window(0, 0, 0, 77, 90)
    np.testing.assert_array_equal(window, 255 - kept[2])


def test_a_file_of_another_size_than_scanned_is_refused(images):
    """It is scanned again first, as positions of its pixels would mean others."""
    cache = cache_of(images)
    Image.fromarray(np.zeros((90, 77, 3), np.uint8)).save(images / "2.png")
    with pytest.raises(PicieError, match=r"2\.png: changed since the images were scanned"):
        cache.get(2)


def test_the_least_recently_used_pyramid_makes_room(images):
    """Within its budget a cache drops whole pyramids, the oldest first, and makes them again when they are needed."""
    records = scan_images(images, images.parent / "w").records
    sizes = [pyramid_bytes(record.width, record.height) for record in records]
    cache = cache_of(images, budget_bytes=sizes[0] + sizes[1] + 1000)
    for image_id in (0, 1, 2):
        cache.get(image_id)
        os.utime(cache.folder / f"{image_id}" / RECORD, (image_id, image_id))
    assert sorted(path.name for path in cache.folder.iterdir()) == ["1", "2"]
    whole = read_image(images / "0.png")
    np.testing.assert_array_equal(cache_of(images).get(0).window(0, 0, 0, 601, 703), whole)


def test_a_disk_without_room_is_said_before_anything_is_written(images):
    """The reason has both figures in GB and the remedy; nothing is left behind."""
    cache = cache_of(images, reserve_bytes=1 << 60)
    with pytest.raises(PicieError, match=r"pixels of 0\.png need \d+\.\d GB of disk, .*free some space"):
        cache.get(0)
    assert list(cache.folder.iterdir()) == []


def test_a_damaged_pyramid_is_made_anew(images):
    """A level that was cut off is as good as none."""
    cache_of(images).get(0)
    level = images.parent / "w" / "pyramids" / "0" / "level-0.u8"
    level.write_bytes(level.read_bytes()[:1000])
    window = cache_of(images).get(0).window(0, 0, 0, 601, 703)
    np.testing.assert_array_equal(window, read_image(images / "0.png"))


KILLED = """
import os, signal, sys
from pathlib import Path
from picie_core.data.images import image_pyramid
from picie_core.data.images.image_file import upright_blocks

def half_way(path):
    for block in upright_blocks(path, streamed_from=0):
        yield block
        os.kill(os.getpid(), signal.SIGKILL)

image_pyramid.upright_blocks = half_way
image_pyramid.store_pyramid(Path(sys.argv[1]), (703, 601), Path(sys.argv[2]), 1)
"""


def test_a_kill_leaves_no_half_pyramid(images):
    """Killed while it decodes, a process leaves only what is hidden; the next one makes the pyramid."""
    pytest.importorskip("pyvips", reason="libvips reads the strips: pip install pyvips-binary")
    cache = cache_of(images)
    target = cache.folder / "0"
    cache.folder.mkdir(parents=True)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(images / "0.png"), str(target)], cwd=ROOT, check=False)
    assert ended.returncode == -9 and not target.exists()
    assert all(path.name.startswith(".") and path.name.endswith(".tmp") for path in cache.folder.iterdir())
    np.testing.assert_array_equal(cache.get(0).window(0, 0, 0, 601, 703), read_image(images / "0.png"))


def test_a_truncated_image_leaves_no_pyramid(images):
    """The file is the problem, with its reason, and nothing of it is stored."""
    content = (images / "0.png").read_bytes()
    cache = cache_of(images)
    (images / "0.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(PicieError, match=r"0\.png: truncated"):
        cache.get(0)
    assert list(cache.folder.iterdir()) == []


def test_levels_go_down_to_a_thumbnail():
    """The last level is small enough for an overview, and every downsample up to 32 is a level."""
    assert level_sizes(30_000, 30_000)[-1] == (469, 469)
    assert level_sizes(100, 40) == [(100, 40), (50, 20), (25, 10), (13, 5), (7, 3), (4, 2)]
    black = PyramidInMemory(np.zeros((100, 40, 3), np.uint8))
    assert black.window(5, 0, 0, 4, 2).shape == (4, 2, 3)
    assert halve(np.full((3, 3, 3), 255, np.uint8)).tolist() == np.full((2, 2, 3), 255).tolist()


def test_downsampled_images_are_levels(images):
    """An image at a downsample is its level, whole and in windows, however small it becomes."""
    source = DownsampledImages(cache_of(images), 4)
    whole = levels_by_hand(read_image(images / "0.png"), 3)[2]
    assert source.scaled_size(0) == whole.shape[1::-1] == (176, 151)
    np.testing.assert_array_equal(source.get(0), whole)
    np.testing.assert_array_equal(source.window(0, 5, 7, 60, 50), whole[5:65, 7:57])
    assert source.get(2).shape == (20, 23, 3)


def test_an_image_too_large_to_be_held_is_read_in_windows_only():
    """Asking for all of it says so instead of filling the memory."""
    source = DownsampledImages(PyramidCache(Path("w"), Path("in"), [ImageRecord(0, "a.png", 20_000, 20_000, 0)]), 1)
    with pytest.raises(PicieError, match="20000x20000 pixels: read it in windows"):
        source.get(0)


MEASURED = """
import resource, sys
from pathlib import Path
import pyvips
from picie_core.data.images.image_pyramid import StoredPyramid, store_pyramid
path, folder, width, height = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store_pyramid(path, (width, height), folder, 1)
StoredPyramid(folder).window(0, height // 2, width // 2, 1000, 1000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rgb.png", "strips.tif", "tiles.tif", "grey16.png", "turned.jpg"])
def test_memory_stays_far_below_the_image(tmp_path, name):
    """An image of 144 MB of pixels, of whatever layout, is stored with less memory than that by far."""
    vips = pytest.importorskip("pyvips", reason="libvips reads the strips: pip install pyvips-binary")
    width, height = 6000, 8000
    noise = vips.Image.gaussnoise(width, height, mean=120, sigma=40)
    grey = name == "grey16.png"
    image = (noise * 250).cast("ushort") if grey else noise.bandjoin([noise + 20, noise - 30]).cast("uchar")
    if name == "turned.jpg":
        image = image.copy()
        image.set_type(vips.GValue.gint_type, "orientation", 6)
    image.write_to_file(str(tmp_path / name), **({"tile": name == "tiles.tif"} if name.endswith("tif") else
                                                 {"compression": 1} if name.endswith("png") else {}))  # fmt: skip
    size = (height, width) if name == "turned.jpg" else (width, height)
    words = [sys.executable, "-c", MEASURED, str(tmp_path / name), str(tmp_path / "pyramid"), *map(str, size)]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 110, f"{done.stdout.strip()} MB for {width * height * 3 / 1e6:.0f} MB of pixels"
