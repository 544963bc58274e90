"""Files that are whole or absent: everything is written to a temporary name beside its place, synced and renamed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from picie_core.errors import PicieError

_REMEDY = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space or choose another disk"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "choose a folder that you may write to"),
}


@contextmanager
def open_atomic(path: Path) -> Iterator[IO[bytes]]:
    """Yields a binary file that takes the name `path` only when the block ends without an error.

    Raises PicieError when the disk is full; the old file, if any, is untouched then.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        with suppress(OSError):  # gone already after the rename; what stopped the write may stop this too
            temporary.unlink()


@contextmanager
def folder_atomic(path: Path, replace: bool = True) -> Iterator[Path]:
    """Yields a temporary folder that takes the name `path` only when the block ends without an error.

    replace: what lies there is replaced, else whoever was first stays and the temporary folder is dropped.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if replace or not path.exists():
            _swap_in(temporary, path, replace)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap_in(temporary: Path, path: Path, replace: bool) -> None:
    """Gives `temporary` the name `path`; what lay there, even since a moment ago, is removed, or stays."""
    try:
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not replace:
            return
        old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
        os.replace(path, old)
        os.replace(temporary, path)
        shutil.rmtree(old)


def sweep(folder: Path, older_than_s: float = 3600) -> None:
    """Removes what killed writers left anywhere below `folder`: hidden .tmp and .old entries that nobody touches."""
    for pattern in (".*.tmp", ".*.old"):
        for path in folder.rglob(pattern):
            if time.time() - path.lstat().st_mtime < older_than_s:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8 in one step."""
    with open_atomic(path) as file:
        file.write(text.encode())


def write_json(path: Path, record: Any) -> None:
    """Writes `record` as indented JSON in one step."""
    write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def write_array(path: Path, array: np.ndarray) -> None:
    """Writes one npy file in one step."""
    with open_atomic(path) as file:
        np.save(file, array, allow_pickle=False)


def disk_error(path: Path, error: OSError) -> PicieError:
    """Returns the error to raise for a failed write: what could not be written, why, and the remedy."""
    reason, number = error.strerror or str(error), error.errno or 0
    if not number and "requested and" in reason:  # numpy's way to say that a file could not be written to its end
        number, reason = errno.ENOSPC, os.strerror(errno.ENOSPC)
    return PicieError(f"cannot write {path}: {reason}; {_REMEDY.get(number, 'check the disk')}")
