"""Arrays in files, mapped into memory: as large as the disk allows, and in memory only while a part is in use."""

from __future__ import annotations

import errno
import math
import mmap
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from picie_core.atomic_files import disk_error


def map_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.memmap:
    """Returns a new array in the npy file `path`, to be written a part at a time; it takes its room on disk at once.

    Without that, a disk that fills up later ends the process with a bus error. Raises PicieError when it is too full.
    """
    try:
        disk = os.statvfs(path.parent)
        if disk.f_bavail * disk.f_frsize < math.prod(shape) * np.dtype(dtype).itemsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        array: np.memmap = np.lib.format.open_memmap(path, "w+", dtype, shape)
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise disk_error(path, error) from error
    return array


def leave_memory(array: np.ndarray) -> None:
    """Gives the memory of a mapped array back; what was written is kept by the system. Does nothing to others."""
    if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
        array.base.madvise(mmap.MADV_DONTNEED)
