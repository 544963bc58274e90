"""The pyramids of a workspace's images: stored once an image, bounded, and never necessary.

Small images are decoded when they are asked for; the pyramids of large ones lie in `<folder>/<image id>/`. Where they
would take too much, those that were used least recently are deleted first.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from picie_core.data.images.image_cache import RESERVE_BYTES
from picie_core.data.images.image_file import ImageError, probe_image, read_image
from picie_core.data.images.image_index import ImageRecord
from picie_core.data.images.image_pyramid import (
    RECORD,
    ImagePyramid,
    PyramidInMemory,
    StoredPyramid,
    pyramid_bytes,
    store_pyramid,
)
from picie_core.errors import PicieError

STORED_FROM_PIXELS = 16_000_000
"""Images of more pixels are stored; smaller ones are decoded again, in a fraction of a second."""
OPEN_PYRAMIDS = 2
"""So many stay open, or in memory: an image is worked on as a whole before the next one."""
BUDGET_BYTES = 64 << 30


class PyramidCache:
    """Pyramids by image id; safe to use from several threads and processes.

    stored_from: pixels from which a pyramid is stored; budget_bytes: what all of them may take; reserve_bytes: what
    they leave free of the disk.
    """

    def __init__(
        self,
        folder: Path,
        images_root: Path,
        records: list[ImageRecord],
        *,
        stored_from: int = STORED_FROM_PIXELS,
        budget_bytes: int = BUDGET_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
    ):
        self.folder, self.images_root, self.records = Path(folder), Path(images_root), records
        self.stored_from, self.budget_bytes, self.reserve_bytes = stored_from, budget_bytes, reserve_bytes
        self._open: OrderedDict[int, tuple[int, ImagePyramid]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, image_id: int) -> ImagePyramid:
        """Returns the pyramid of an image, made when it is not there or its file changed.

        Raises ImageError for a file that cannot be read or changed since it was scanned, PicieError where the disk
        lacks room.
        """
        record = self.records[image_id]
        with self._lock:
            stamp, pyramid = self._open.get(image_id, (None, None))
            if pyramid is None or stamp != record.stamp:
                pyramid = self._make(record)
                while len(self._open) >= OPEN_PYRAMIDS:
                    self._open.popitem(last=False)
                self._open[image_id] = record.stamp, pyramid
            self._open.move_to_end(image_id)
        return pyramid

    def is_stored(self, image_id: int) -> bool:
        """Whether the pyramid can be had without decoding the image."""
        return image_id in self._open or self._stored(self.records[image_id]) is not None

    def _make(self, record: ImageRecord) -> ImagePyramid:
        path, size = self.images_root / record.path, (record.width, record.height)
        pyramid = self._stored(record)
        if pyramid is None:
            if probe_image(path) != size:
                raise ImageError(path, "changed since the images were scanned: scan them again")
            if record.width * record.height <= self.stored_from:
                return PyramidInMemory(read_image(path))
            self._make_room(record)
            store_pyramid(path, size, self._folder_of(record), record.stamp)
            pyramid = StoredPyramid(self._folder_of(record))
        os.utime(self._folder_of(record) / RECORD)  # used now
        return pyramid

    def _stored(self, record: ImageRecord) -> StoredPyramid | None:
        try:
            pyramid = StoredPyramid(self._folder_of(record))
        except (OSError, ValueError, KeyError, TypeError):  # absent, damaged or of another version
            return None
        usable = pyramid.stamp == record.stamp and pyramid.sizes[0] == (record.width, record.height)
        return pyramid if usable else None

    def _folder_of(self, record: ImageRecord) -> Path:
        return self.folder / f"{record.id}"

    def _make_room(self, record: ImageRecord) -> None:
        """Deletes pyramids until another one has room. Raises PicieError when the disk has too little without them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        needed = pyramid_bytes(record.width, record.height)
        stored = sorted((one.stat().st_mtime_ns, one.parent) for one in self.folder.glob(f"*/{RECORD}"))
        sizes = {folder: sum(file.stat().st_size for file in folder.iterdir()) for _, folder in stored}
        used = sum(sizes.values())
        while stored and (used + needed > self.budget_bytes or self._free() < needed + self.reserve_bytes):
            _, oldest = stored.pop(0)
            with suppress(OSError):  # another process may delete it as well; whoever has it open goes on reading
                shutil.rmtree(oldest)
            used -= sizes[oldest]
        if self._free() < needed + self.reserve_bytes:
            room, free = (needed + self.reserve_bytes) / 1e9, self._free() / 1e9
            raise PicieError(
                f"the decoded pixels of {record.path} need {room:.1f} GB of disk, {free:.1f} GB are free at "
                f"{self.folder}: free some space"
            )

    def _free(self) -> int:
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize
