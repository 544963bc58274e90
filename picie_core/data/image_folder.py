"""The image files of a folder and all its subfolders, and what in there could not be looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2")
"""Files with these endings, in any case, are taken for images."""


@dataclass(frozen=True)
class Problem:
    """One file or folder that could not be used, and why."""

    path: str
    reason: str
    deep: bool = False
    """True when only decoding showed it: kept until the file changes, as its header says nothing of it."""


@dataclass(frozen=True)
class FoundImage:
    """One file that looks like an image by its name; `stamp` changes when the file does."""

    path: str
    stamp: int


def find_images(root: Path) -> list[str]:
    """Returns the image files under `root`, sorted: posix paths relative to it.

    Hidden files and folders are left out, and links that lead out of `root`; what a link inside it shows is
    found at its own place.
    """
    return [found.path for found in walk_images(Path(root))[0]]


def walk_images(root: Path, leave_out: Path | None = None) -> tuple[list[FoundImage], list[Problem]]:
    """Returns the image files under `root`, sorted by path, and what could not be looked at."""
    real_root, skip = os.path.realpath(root), leave_out and os.path.realpath(leave_out)
    found: list[FoundImage] = []
    problems: list[Problem] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.path.join(real_root, folder)) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.path == skip:
                        continue
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    for item in _look(entry, path, real_root):
                        _sort_in(item, found, problems, folders)
        except OSError as error:
            problems.append(Problem(folder or ".", f"folder cannot be read ({error.strerror}): allow reading it"))
    return sorted(found, key=lambda item: item.path), sorted(problems, key=lambda problem: problem.path)


def _sort_in(
    item: FoundImage | Problem | str, found: list[FoundImage], problems: list[Problem], folders: list[str]
) -> None:
    if isinstance(item, FoundImage):
        found.append(item)
    elif isinstance(item, Problem):
        problems.append(item)
    else:
        folders.append(item)


def _look(entry: os.DirEntry[str], path: str, real_root: str) -> Iterator[FoundImage | Problem | str]:
    """Yields what a folder entry is: an image file, a folder to look into, a problem, or nothing."""
    wanted = entry.name.lower().endswith(SUFFIXES)
    try:
        path.encode()
        is_folder = entry.is_dir()
        if entry.is_symlink() and (wanted or is_folder):
            target = os.path.realpath(entry.path)
            if os.path.commonpath([target, real_root]) != real_root:
                yield Problem(path, "link that leads out of the folder of images: copy the files into it")
                return
            if is_folder:
                return  # what it shows is found at its own place, and links may run in circles
        if is_folder:
            yield path
        elif wanted:
            if entry.is_file():
                info = entry.stat()
                yield FoundImage(path, _stamp(info.st_mtime_ns, info.st_size))
            elif entry.is_symlink():
                yield Problem(path, "link that leads nowhere: mend or remove it")
    except UnicodeEncodeError:
        yield Problem(path.encode(errors="replace").decode(), "name that is not UTF-8: rename it")
    except OSError as error:
        yield Problem(path, f"cannot be looked at ({error.strerror}): allow reading it")


def _stamp(mtime_ns: int, size: int) -> int:
    return (mtime_ns ^ (size * 0x9E37_79B9_7F4A_7C15)) & 0x7FFF_FFFF_FFFF_FFFF  # fits a signed 64-bit number
