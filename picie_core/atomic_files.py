"""Files and folders that are written whole or not at all: a temporary name first, then a rename."""

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
    """Yields a binary file that is synced and renamed to `path` when the block ends without an error.

    Raises PicieError when it cannot be written, such as on a full disk; an old file stays as it was then.
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
        with suppress(OSError):  # already renamed, or not removable for the reason that stopped the write
            temporary.unlink()


@contextmanager
def folder_atomic(path: Path, replace: bool = True) -> Iterator[Path]:
    """Yields a temporary folder that is renamed to `path` when the block ends without an error.

    replace: replaces an existing folder; without it an existing folder stays and the temporary one is removed.
    Raises PicieError as `open_atomic`.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists() and not replace:
            return
        try:
            os.replace(temporary, path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if replace:  # rename cannot replace a folder that holds files
                old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
                os.replace(path, old)
                os.replace(temporary, path)
                shutil.rmtree(old)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def link_files(source: Path, target: Path) -> None:
    """Links the files of folder `source` into folder `target`, both of one disk; copies them where links are unknown.

    Both folders own the content from then on, as files are replaced and never changed.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copy2(path, target / path.name)


def sweep(folder: Path, older_than_s: float = 3600) -> None:
    """Removes the hidden .tmp and .old entries that killed processes left anywhere below `folder`."""
    for pattern in (".*.tmp", ".*.old"):
        for path in folder.rglob(pattern):
            if time.time() - path.lstat().st_mtime < older_than_s:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8, atomically."""
    with open_atomic(path) as file:
        file.write(text.encode())


def write_json(path: Path, record: Any) -> None:
    """Writes `record` as indented JSON, atomically."""
    write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def write_array(path: Path, array: np.ndarray) -> None:
    """Writes one npy file, atomically."""
    with open_atomic(path) as file:
        np.save(file, array, allow_pickle=False)


def disk_error(path: Path, error: OSError) -> PicieError:
    """Returns the error to raise for a failed write: what could not be written, why, and the remedy."""
    reason, number = error.strerror or str(error), error.errno or 0
    if not number and "requested and" in reason:  # numpy's message for a short write
        number, reason = errno.ENOSPC, os.strerror(errno.ENOSPC)
    return PicieError(f"cannot write {path}: {reason}; {_REMEDY.get(number, 'check the disk')}")
