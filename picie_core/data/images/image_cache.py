"""Decoded and resized images on disk: one flat file of pixels and an index; bounded, and never necessary.

`<size>px.u8` is a token of 16 bytes and then images, one after another, only ever appended. `<size>px.npz`
is the index: the offset of each image. `flush()` replaces it as a whole, after the pixels are synced, and it holds
the same token. So bytes that no index names are free, and an index is never read against other pixels.
"""

from __future__ import annotations

import errno
import os
import threading
import weakref
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from picie_core.atomic_files import disk_error, open_atomic
from picie_core.data.images.image_file import ImageError, read_resized
from picie_core.data.images.image_index import ImageList
from picie_core.data.images.image_source import ImageSource
from picie_core.errors import PicieError, SettingError

TOKEN_BYTES = 16
RESERVE_BYTES = 256 << 20
"""Caches leave this much of the disk free for results."""
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Entry(NamedTuple):
    offset: int
    height: int
    width: int
    stamp: int

    @property
    def end(self) -> int:
        return self.offset + self.height * self.width * 3


class ImageCache(ImageSource):
    """Images of files at shorter side `size_px`: from the cache if they are there, else decoded (kept if `writable`).

    One process at a time may have it writable (the holder of the writer's lock); others see what was there when they
    opened it. reserve_bytes: the cache stops growing when it would leave less of the disk free. read: how a file is
    decoded at a size.
    """

    def __init__(
        self,
        folder: Path,
        size_px: int,
        images_root: Path,
        image_list: ImageList,
        *,
        writable: bool = False,
        budget_bytes: int = 4 << 30,
        reserve_bytes: int = RESERVE_BYTES,
        read: Callable[[Path, int], np.ndarray] = read_resized,
    ):
        super().__init__(image_list.records, size_px)
        self.images_root, self.budget_bytes, self.reserve_bytes = Path(images_root), budget_bytes, reserve_bytes
        self.read = read
        self.data_path, self.index_path = Path(folder) / f"{size_px}px.u8", Path(folder) / f"{size_px}px.npz"
        self._lock = threading.Lock()
        self._growing, self._changed = False, False
        self._file: int | None = None
        self._token = b""
        self.refresh()
        if writable:
            self._start_growing()

    def refresh(self) -> None:
        """Takes in what the writer has stored since; of use to those who only read."""
        if self._file is None:
            self._file, self._token = self._open_data(os.O_RDONLY)
        size = os.fstat(self._file).st_size if self._file is not None else 0
        index = _read_index(self.index_path, self._token)
        # Only entries whose pixels are all there and whose file has not changed since.
        self._entries = {key: entry for key, entry in index.items() if entry.end <= size and self._fits(key, entry)}
        self._end = max((entry.end for entry in self._entries.values()), default=TOKEN_BYTES)

    def get(self, image_id: int) -> np.ndarray:
        """Returns image `image_id` at its scaled size: uint8 RGB (h, w, 3).

        Raises ImageError (a PicieError) with file and reason when the image has to be decoded and cannot be.
        """
        if not 0 <= image_id < len(self.records):
            raise SettingError(f"no image {image_id}: ids run from 0 to {len(self.records) - 1}")
        entry = self._entries.get(image_id)
        image = self._read(entry) if entry else None
        if image is None:
            path = self.images_root / self.records[image_id].path
            image = self.read(path, self.size_px)
            if image.shape[1::-1] != self.scaled_size(image_id):
                raise ImageError(path, "changed since the images were scanned: scan them again")
            self._store(image_id, image)
        return image

    def flush(self) -> None:
        """Makes what was stored since the last time visible to later openings, even after a power cut."""
        with self._lock:
            if not self._changed or self._file is None:
                return
            rows = np.array([(key, *entry) for key, entry in self._entries.items()], np.int64)
            ids, offset, height, width, stamp = rows.T
            token = np.frombuffer(self._token, np.uint8)
            try:
                os.fsync(self._file)
                with open_atomic(self.index_path) as file:
                    np.savez(file, token=token, id=ids, offset=offset, height=height, width=width, stamp=stamp)
            except (PicieError, OSError) as error:
                self._stop_growing(error)
            self._changed = False

    @property
    def stored_bytes(self) -> int:
        """Bytes of the data file that are in use, at most the budget."""
        return self._end

    # -- reading

    def _open_data(self, flags: int) -> tuple[int | None, bytes]:
        """Returns the descriptor of the data file and its token; (None, b"") when there is no usable one."""
        try:
            file = os.open(self.data_path, flags)
        except OSError:  # absent or not readable: images are decoded instead
            return None, b""
        weakref.finalize(self, os.close, file)
        return file, os.pread(file, TOKEN_BYTES, 0)

    def _fits(self, image_id: int, entry: _Entry) -> bool:
        if not 0 <= image_id < len(self.records) or entry.offset < TOKEN_BYTES:
            return False
        return entry.stamp == self.records[image_id].stamp and (entry.width, entry.height) == self.scaled_size(image_id)

    def _read(self, entry: _Entry) -> np.ndarray | None:
        """Returns the pixels of an entry; None when the file has lost them: then they are decoded again."""
        assert self._file is not None
        image = np.empty((entry.height, entry.width, 3), np.uint8)
        left = image.data.cast("B")
        while left:
            try:
                count = os.preadv(self._file, [left], entry.end - len(left))
            except OSError:  # a bad block of the cache need not stop the work: the image file is elsewhere
                count = 0
            if count == 0:
                return None
            left = left[count:]
        return image

    # -- writing

    def _start_growing(self) -> None:
        """Opens the data file for appending; starts a new one where the old is of no use or mostly waste."""
        live = sum(entry.end - entry.offset for entry in self._entries.values())
        if self._file is None or len(self._token) < TOKEN_BYTES or 2 * live < self._end - TOKEN_BYTES or not live:
            self._begin_anew()
        else:
            file, _ = self._open_data(os.O_RDWR)
            self._growing = file is not None
            self._file = file if self._growing else self._file

    def _begin_anew(self) -> None:
        # Unlinked, not cut: a process that has the old files open goes on reading them.
        self._entries, self._end, self._token = {}, TOKEN_BYTES, os.urandom(TOKEN_BYTES)
        try:
            self.data_path.parent.mkdir(parents=True, exist_ok=True)
            self.index_path.unlink(missing_ok=True)
            self.data_path.unlink(missing_ok=True)
            self._file, _ = self._open_data(os.O_RDWR | os.O_CREAT)
            if self._file is None:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            os.pwrite(self._file, self._token, 0)
            self._growing = True
        except OSError as error:
            self._stop_growing(error)

    def _store(self, image_id: int, image: np.ndarray) -> None:
        with self._lock:
            end = self._end + image.nbytes
            if not self._growing or image_id in self._entries or end > self.budget_bytes or self._file is None:
                return
            try:
                disk = os.fstatvfs(self._file)
                if disk.f_bavail * disk.f_frsize < self.reserve_bytes + image.nbytes:
                    self._growing = False
                    return
                left = np.ascontiguousarray(image).data.cast("B")
                while left:
                    left = left[os.pwrite(self._file, left, end - len(left)) :]
            except OSError as error:
                self._stop_growing(error)
                return
            height, width = image.shape[:2]
            self._entries[image_id] = _Entry(self._end, height, width, self.records[image_id].stamp)
            self._end, self._changed = end, True

    def _stop_growing(self, error: PicieError | OSError) -> None:
        """Goes on without storing when the disk is full, as a cache is optional; raises anything else."""
        self._growing = False
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in _FULL_DISK:
            raise error if isinstance(error, PicieError) else disk_error(self.data_path, error) from error


def _read_index(path: Path, token: bytes) -> dict[int, _Entry]:
    """Returns the entry of each image; empty when the index is absent, damaged or belongs to other pixels."""
    try:
        with np.load(path, allow_pickle=False) as index:
            columns = [index[name].tolist() for name in ("id", "offset", "height", "width", "stamp")]
            mine = index["token"].tobytes() == token
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    return {key: _Entry(*rest) for key, *rest in zip(*columns, strict=True)} if mine else {}
