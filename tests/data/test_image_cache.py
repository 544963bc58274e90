"""The cache of decoded images: always what decoding gives, whatever happened to its files."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.data.images.image_cache import TOKEN_BYTES, ImageCache
from picie_core.data.images.image_file import read_resized
from picie_core.data.images.image_index import scan_images
from picie_core.errors import PicieError, SettingError

SIZE_PX = 40


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of six noisy images of different shapes."""
    folder = tmp_path / "in"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(6):
        pixels = random.integers(0, 256, (50 + 10 * index, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def open_cache(images: Path, **options: object) -> ImageCache:
    """The cache of the images after a scan."""
    listed = scan_images(images, images.parent / "w")
    return ImageCache(images.parent / "w" / "cache", SIZE_PX, images, listed, **options)


def fill(images: Path) -> ImageCache:
    """A cache that holds all images and was flushed."""
    cache = open_cache(images, writable=True)
    for index in range(6):
        cache.get(index)
    cache.flush()
    return cache


def check_all(cache: ImageCache, images: Path) -> None:
    """Every image is what decoding the file gives."""
    for record in cache.records:
        assert np.array_equal(cache.get(record.id), read_resized(images / record.path, SIZE_PX))


class CountedReads(list[str]):
    """Decodes files as the cache does by itself, and is the list of the names of all that it decoded."""

    def __call__(self, path: Path, size_px: int) -> np.ndarray:
        self.append(path.name)
        return read_resized(path, size_px)


def test_cache_equals_decoding_and_spares_it(images):
    """Images from the cache are those that decoding gives, and no file is decoded for them."""
    check_all(fill(images), images)
    decoded = CountedReads()
    cache = open_cache(images, read=decoded)
    check_all(cache, images)
    assert decoded == []
    assert cache.get(0).flags.writeable


def test_reader_never_writes(images):
    """A cache that is not writable leaves no file behind."""
    cache = open_cache(images)
    cache.get(0)
    cache.flush()
    assert not (images.parent / "w" / "cache").exists()


def test_images_after_the_last_flush_are_decoded_again(images):
    """Bytes that no index names (a kill before flush) are not used, and are written over."""
    fill(images)
    (images / "new.png").write_bytes((images / "5.png").read_bytes())
    open_cache(images, writable=True).get(6)
    killed_size = (images.parent / "w" / "cache" / "40px.u8").stat().st_size
    decoded = CountedReads()
    again = open_cache(images, writable=True, read=decoded)
    again.get(6)
    again.flush()
    assert decoded == ["new.png"]
    assert (images.parent / "w" / "cache" / "40px.u8").stat().st_size == killed_size
    check_all(open_cache(images), images)


@pytest.mark.parametrize("keep", [0, 10, 5000, 20_000])
def test_cut_off_data_file(images, keep):
    """Whatever is left of the data file, images are right; the next writer fills the cache again."""
    fill(images)
    os.truncate(images.parent / "w" / "cache" / "40px.u8", keep)
    check_all(open_cache(images), images)
    (images / "new.png").write_bytes((images / "5.png").read_bytes())
    cache = open_cache(images, writable=True)
    cache.get(6)  # appended: must not turn what is lost into black pixels
    cache.flush()
    check_all(open_cache(images), images)
    check_all(fill(images), images)


def test_data_file_cut_while_it_is_read(images):
    """A cache that was opened before its file was cut decodes what it no longer finds."""
    fill(images)
    cache = open_cache(images)
    os.truncate(images.parent / "w" / "cache" / "40px.u8", 30)
    check_all(cache, images)


@pytest.mark.parametrize("name", ["40px.u8", "40px.npz"])
def test_either_file_deleted_or_rubbish(images, name):
    """Index and pixels are only believed together: either may be deleted or damaged at any time."""
    path = images.parent / "w" / "cache" / name
    fill(images)
    path.unlink()
    open_cache(images, writable=True).get(3)  # a new data file, killed before its index
    check_all(open_cache(images), images)
    fill(images)
    path.write_bytes(b"rubbish" * 9000)
    check_all(open_cache(images), images)
    check_all(fill(images), images)


def test_changed_image_is_decoded_anew(images):
    """An image whose file changed is never shown from the cache."""
    fill(images)
    Image.fromarray(np.full((60, 90, 3), 7, np.uint8)).save(images / "1.png")
    cache = open_cache(images)
    assert (cache.get(1) == 7).all()
    check_all(cache, images)


def test_image_that_changed_since_the_scan_is_an_error(images):
    """A image of another shape than the list says is refused: nothing computed from the list would fit it."""
    cache = open_cache(images)
    Image.fromarray(np.zeros((300, 60, 3), np.uint8)).save(images / "1.png")
    with pytest.raises(PicieError, match=r"1\.png: changed since the images were scanned"):
        cache.get(1)


def test_budget_bounds_the_file(images):
    """Past the budget images are decoded each time, and the file never grows beyond it."""
    cache = open_cache(images, writable=True, budget_bytes=30_000)
    check_all(cache, images)
    cache.flush()
    assert 10_000 < (images.parent / "w" / "cache" / "40px.u8").stat().st_size <= 30_000
    check_all(open_cache(images), images)


def test_waste_is_given_back(images):
    """A data file that is mostly pixels of changed images is begun anew instead of eating the budget."""
    size = fill(images).stored_bytes
    for index in range(6):
        Image.fromarray(np.full((50 + 10 * index, 90, 3), index, np.uint8)).save(images / f"{index}.png")
    cache = fill(images)
    assert cache.stored_bytes == size == (images.parent / "w" / "cache" / "40px.u8").stat().st_size
    check_all(open_cache(images), images)


def test_old_reader_goes_on_while_a_new_file_is_begun(images):
    """A page that has the cache open keeps its images when a job begins the cache anew."""
    fill(images)
    reader = open_cache(images)
    before = [reader.get(index).copy() for index in range(6)]
    for path in images.iterdir():
        os.utime(path, ns=(1, 1))
    fill(images)
    assert all(np.array_equal(reader.get(index), before[index]) for index in range(6))


def test_full_disk_stops_the_cache_not_the_work(images, monkeypatch):
    """When the disk is full, images still come, what was stored stays right, and nothing more is written."""
    real, calls = os.pwrite, []

    def pwrite(file: int, data: bytes, offset: int) -> int:
        calls.append(offset)
        if len(calls) == 4:
            real(file, data[:100], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    cache = open_cache(images, writable=True)
    check_all(cache, images)
    assert len(calls) == 4
    cache.flush()
    monkeypatch.undo()
    decoded = CountedReads()
    check_all(open_cache(images, read=decoded), images)
    assert decoded == ["2.png", "3.png", "4.png", "5.png"]


def test_room_is_left_on_the_disk(images):
    """The cache stops before it takes the space that results need."""
    free = shutil.disk_usage(images).free
    cache = open_cache(images, writable=True, reserve_bytes=2 * free)
    check_all(cache, images)
    assert cache.stored_bytes == TOKEN_BYTES
    assert fill(images).stored_bytes > TOKEN_BYTES


def test_disk_full_at_flush_is_quiet_and_other_errors_are_not(images, monkeypatch):
    """A full disk at the end costs only the cache; a disk that fails is told."""
    for code, quiet in ((errno.ENOSPC, True), (errno.EIO, False)):

        def fsync(file: int, code: int = code) -> None:
            raise OSError(code, os.strerror(code))

        cache = open_cache(images, writable=True)
        cache.get(0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            if quiet:
                cache.flush()
            else:
                with pytest.raises(PicieError, match=r"cannot write .*40px\.u8"):
                    cache.flush()
        check_all(open_cache(images), images)


def test_unreadable_image_names_file_and_reason(images):
    """A image that turns out to be cut off is an error with its name; the others come."""
    content = (images / "2.png").read_bytes()
    (images / "2.png").write_bytes(content[:2000])
    cache = open_cache(images, writable=True)
    with pytest.raises(PicieError, match=r"2\.png: truncated"):
        cache.get(2)
    with pytest.raises(SettingError, match="no image 6: ids run from 0 to 5"):
        cache.get(6)
    results = dict(cache.iterate(range(6)))
    assert isinstance(results[2], PicieError) and all(isinstance(results[i], np.ndarray) for i in (0, 1, 3, 4, 5))


def test_iterate_keeps_the_order_and_decodes_a_little_ahead(images):
    """Images come in the order asked for; no more than `ahead` are decoded before they are wanted."""
    decoded = CountedReads()
    cache = open_cache(images, read=decoded)
    order = [5, 0, 3, 1, 1, 4, 2]
    stream = cache.iterate(order, threads=2, ahead=3)
    first, _ = next(stream)
    assert first == 5 and len(decoded) <= 3
    assert [image_id for image_id, _ in stream] == order[1:]
    stream = cache.iterate(range(6), ahead=2)
    next(stream)
    stream.close()  # leaving early ends the threads
    assert not any(thread.name.startswith("ThreadPool") and thread.is_alive() for thread in threading.enumerate())


def test_many_threads_fill_one_cache(images):
    """Threads that ask for the same images at once store each of them once, undamaged."""
    cache = open_cache(images, writable=True)
    barrier, failures = threading.Barrier(4), []

    def work() -> None:
        barrier.wait()
        try:
            check_all(cache, images)
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache.flush()
    assert failures == [] and cache.stored_bytes == (images.parent / "w" / "cache" / "40px.u8").stat().st_size
    check_all(open_cache(images), images)
