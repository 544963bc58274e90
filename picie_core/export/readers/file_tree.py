"""The files of a folder, of a zip or of a lone file, behind one face; nothing is ever unpacked to the disk."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from picie_core.errors import PicieError, SettingError

MAX_FILE_BYTES = 4 << 30
"""The largest file that is read; a zip may claim any size."""
MAX_RATIO = 200
"""A file of a zip that unpacks to more than this many times its packed size is a bomb; runs as text stay below 20."""
RATIO_FROM_BYTES = 64 << 20
"""The ratio counts from this size on."""


@dataclass(frozen=True)
class FileTree:
    """Files by their posix paths below a root."""

    path: Path
    """The folder, the zip or the file."""
    names: tuple[str, ...]
    """Sorted."""
    read: Callable[[str], bytes]
    """Returns the bytes of a file. Raises PicieError."""

    def below(self, folder: str) -> list[str]:
        """Returns the names below the folder called so, which may lie anywhere, sorted; none where there is none.

        Raises SettingError when several folders are called so.
        """
        roots = sorted({root for name in self.names if (root := _root_of(name, folder)) is not None})
        if len(roots) > 1:
            listed = ", ".join(root or "." for root in roots[:4])
            raise SettingError(f"{self.path} holds {folder}/ several times (in {listed}): give one of these folders")
        return [name for name in self.names if roots and name.startswith(f"{roots[0]}{folder}/")]

    def find(self, file_name: str, near: str = "") -> str | None:
        """Returns the path of the file of this name that is closest above `near`, else the only one; None without."""
        parents = [*PurePosixPath(near).parents, PurePosixPath(".")]
        for parent in parents:
            candidate = str(parent / file_name)
            if candidate in self.names:
                return candidate
        everywhere = [name for name in self.names if PurePosixPath(name).name == file_name]
        return everywhere[0] if len(everywhere) == 1 else None


def _root_of(name: str, folder: str) -> str | None:
    """The part of a path before its first `folder/`, with a slash at its end; None when it is not below one."""
    parts = name.split("/")[:-1]
    if folder not in parts:
        return None
    return "".join(f"{part}/" for part in parts[: parts.index(folder)])


def open_tree(path: Path) -> FileTree:
    """Returns the files of a folder, a zip or a lone file.

    Raises SettingError when nothing is there, PicieError for a damaged or dangerous zip.
    """
    if path.is_dir():
        return _folder_tree(path)
    if not path.is_file():
        raise SettingError(f"{path} is neither a file nor a folder: give what the other tool exported")
    if zipfile.is_zipfile(path):
        return _zip_tree(path)
    if path.suffix.lower() == ".zip":
        raise PicieError(f"{path} is no zip or a damaged one: download it again")
    return FileTree(path, (path.name,), lambda name: _read(path))


def _folder_tree(root: Path) -> FileTree:
    names, real_root = [], os.path.realpath(root)
    for folder, inner, files in os.walk(real_root):
        inner[:] = sorted(one for one in inner if not one.startswith("."))
        for name in files:
            path = os.path.join(folder, name)
            inside = os.path.commonpath([os.path.realpath(path), real_root]) == real_root
            if inside and not name.startswith("."):
                names.append(Path(os.path.relpath(path, real_root)).as_posix())
    return FileTree(root, tuple(sorted(names)), lambda name: _read(Path(real_root) / name))


def _read(path: Path) -> bytes:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode) or info.st_size > MAX_FILE_BYTES:
            raise PicieError(f"{path} is no file of at most {MAX_FILE_BYTES >> 30} GiB: it is not read")
        return path.read_bytes()
    except OSError as error:
        raise PicieError(f"{path} cannot be read ({error.strerror}): allow reading it") from error


# -- zips


def _zip_tree(path: Path) -> FileTree:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise PicieError(f"{path} is a damaged zip ({error}): download it again") from error
    infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    for name, info in infos.items():
        if name.startswith("/") or ":" in name.split("/")[0] or "\\" in name or ".." in name.split("/"):
            raise PicieError(f"{path} holds the path {name!r}, which leads out of it: it is not read; pack it anew")
        if info.flag_bits & 1:
            raise PicieError(f"{path} is encrypted: unpack it and give the folder")
    shown = [name for name in infos if not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))]

    def read(name: str) -> bytes:
        info = infos[name]
        bomb = info.file_size > RATIO_FROM_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size)
        if bomb or info.file_size > MAX_FILE_BYTES:
            raise PicieError(
                f"{name} in {path} would unpack from {info.compress_size:,} to {info.file_size:,} bytes: it is not read"
            )
        try:
            return archive.read(info)
        except (OSError, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
            raise PicieError(f"{name} in {path} is damaged ({error}): download it again") from error

    return FileTree(path, tuple(sorted(shown)), read)
