"""The image files of a folder and all its subfolders, and the files in it that cannot be used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2")
"""Files with these endings, in upper or lower case, are taken for images."""


@dataclass(frozen=True)
class Problem:
    """One file or folder that could not be used, and why."""

    path: str
    reason: str
    deep: bool = False
    """True when only decoding showed it: kept until the file changes, as its header does not show it."""


@dataclass(frozen=True)
class FoundImage:
    """One file that looks like an image by its name; `stamp` changes when the file does."""

    path: str
    stamp: int


def file_stamp(info: os.stat_result) -> int:
    """Returns a number that changes when the time or the size of a file does."""
    stamp = info.st_mtime_ns ^ (info.st_size * 0x9E37_79B9_7F4A_7C15)
    return stamp & 0x7FFF_FFFF_FFFF_FFFF  # fits a signed 64-bit number


def find_images(root: Path) -> list[str]:
    """Returns the image files under `root`, sorted: posix paths relative to it.

    Hidden files and folders are left out, and links that lead out of `root`; the target of
    a link inside it is found under its own path.
    """
    return [found.path for found in walk_images(Path(root))[0]]


def walk_images(root: Path, leave_out: Path | None = None) -> tuple[list[FoundImage], list[Problem]]:
    """Returns the image files under `root`, sorted by path, and the files and folders that could not be used."""
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
                    item = _inspect(entry, path, real_root)
                    if isinstance(item, FoundImage):
                        found.append(item)
                    elif isinstance(item, Problem):
                        problems.append(item)
                    elif item is not None:
                        folders.append(item)
        except OSError as error:
            problems.append(Problem(folder or ".", f"folder cannot be read ({error.strerror}): allow reading it"))
    return sorted(found, key=lambda item: item.path), sorted(problems, key=lambda problem: problem.path)


def _inspect(entry: os.DirEntry[str], path: str, real_root: str) -> FoundImage | Problem | str | None:
    """Returns what an entry of a folder is: an image file, a problem, the path of a folder, or None for all else."""
    named_like_image = entry.name.lower().endswith(SUFFIXES)
    try:
        path.encode()
        is_folder = entry.is_dir()
        if entry.is_symlink() and (named_like_image or is_folder):
            target = os.path.realpath(entry.path)
            if os.path.commonpath([target, real_root]) != real_root:
                return Problem(path, "link that leads out of the folder of images: copy the files into it")
            if is_folder:
                return None  # its files are found under their own path, and links may run in circles
        if is_folder:
            return path
        if named_like_image and entry.is_file():
            return FoundImage(path, file_stamp(entry.stat()))
        if named_like_image and entry.is_symlink():
            return Problem(path, "link that leads nowhere: mend or remove it")
    except UnicodeEncodeError:
        return Problem(path.encode(errors="replace").decode(), "name that is not UTF-8: rename it")
    except OSError as error:
        return Problem(path, f"cannot be read ({error.strerror}): allow reading it")
    return None
