"""The folder of a workspace: its record, its images, its jobs and the writer's lock."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout

from picie_core.atomic_files import sweep, write_json
from picie_core.data.images.downsampled_images import DownsampledImages
from picie_core.data.images.image_cache import ImageCache
from picie_core.data.images.image_file import read_image
from picie_core.data.images.image_index import ImageList, add_problem, scan_images
from picie_core.data.images.pyramid_cache import PyramidCache
from picie_core.errors import PicieError, WorkspaceBusy
from picie_core.labels.label_map import LabelMap
from picie_core.progress import WRITERS, JobStatus, Report, ignore_progress, read_status

FORMAT = "picie-workspace"
VERSION = 1


class WorkspaceFolder:
    """The folder of a workspace without its runs, which `Workspace` adds."""

    def __init__(self, root: Path, record: dict[str, Any]):
        self.root, self.record = root, record
        self.label_map = LabelMap(root / "labels.sqlite")
        self.vocabulary_path = root / "vocabulary.txt"

    @classmethod
    def create(cls, root: Path | str, images_root: Path | str) -> Self:
        """Returns the workspace at `root` for the images under `images_root`, created if it does not exist.

        Raises PicieError when the folder holds something else or a workspace of other images.
        """
        root, images_root = Path(root).absolute(), Path(images_root).absolute()
        if not images_root.is_dir():
            raise PicieError(f"{images_root} is not a folder: give a folder of images")
        if (root / "workspace.json").exists():
            return cls.open(root)._adopt(images_root)
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise PicieError(f"{root} exists and is no workspace: give a new or an empty folder")
        record = {
            "format": FORMAT,
            "version": VERSION,
            "created": time.time(),
            **_image_roots(root, images_root),
        }
        write_json(root / "workspace.json", record)
        return cls(root, record)

    @classmethod
    def open(cls, root: Path | str) -> Self:
        """Returns the workspace at `root`. Raises PicieError when there is none or it is of a newer version."""
        root = Path(root).absolute()
        path = root / "workspace.json"
        try:
            record = json.loads(path.read_text())
            version = record["version"] if record["format"] == FORMAT else None
        except FileNotFoundError:
            raise PicieError(f"no workspace at {root}: make one with `embed IMAGES --workspace {root}`") from None
        except (ValueError, KeyError, TypeError, UnicodeDecodeError):
            version = None
        if not isinstance(version, int):
            raise PicieError(
                f"{path} is damaged (not a {FORMAT} record): restore it from a copy or start a new workspace"
            )
        if version > VERSION:
            raise PicieError(f"{path} has version {version}, this program reads up to {VERSION}: update the program")
        return cls(root, record)

    def _adopt(self, images_root: Path) -> Self:
        """Stores a new folder of images when they moved; refuses one that holds none of the known images."""
        known = self.image_list().records
        if images_root != self._find_images_root():
            if known and not any((images_root / record.path).exists() for record in known[:50]):
                raise PicieError(
                    f"{self.root} is a workspace of {self.record['images_root']}, not of {images_root}: "
                    "give another --workspace"
                )
            self.record = {**self.record, **_image_roots(self.root, images_root)}
            write_json(self.root / "workspace.json", self.record)
        return self

    def _find_images_root(self) -> Path:
        beside = Path(os.path.normpath(self.root / self.record["images_root_relative"]))
        return beside if beside.is_dir() else Path(self.record["images_root"])

    @property
    def images_root(self) -> Path:
        """The folder of the images, found also after both were moved together. Raises PicieError when it is missing."""
        root = self._find_images_root()
        if not root.is_dir():
            raise PicieError(
                f"the images of this workspace are gone ({root}): run `embed NEW_PLACE --workspace {self.root}`"
            )
        return root

    # -- images

    def scan(self, report: Report = ignore_progress) -> ImageList:
        """Reads the folder of images and returns the new image list: new files get new ids, known paths keep theirs."""
        return scan_images(self.images_root, self.root, report)

    def image_list(self) -> ImageList:
        """Returns the image list of the last scan; empty before the first."""
        return ImageList.load(self.root)

    def read_image(self, image_id: int) -> np.ndarray:
        """Returns image `image_id` at full size, upright: uint8 RGB (H, W, 3)."""
        return read_image(self.images_root / self.image_list().records[image_id].path)

    def add_problem(self, image_id: int, reason: str) -> None:
        """Adds image `image_id` to the list of unreadable images, with the reason."""
        add_problem(self.root, self.image_list().records[image_id].path, reason)

    def image_cache(self, size_px: int, writable: bool = False) -> ImageCache:
        """Returns the cache of decoded images with shorter side `size_px`; only the holder of the lock may write."""
        return ImageCache(self.root / "cache", size_px, self._find_images_root(), self.image_list(), writable=writable)

    def pyramids(self) -> PyramidCache:
        """Returns the pyramids of the images: windows of them at full size and at fractions of it."""
        return PyramidCache(self.root / "cache" / "pyramids", self._find_images_root(), self.image_list().records)

    def downsampled_images(self, downsample: int) -> DownsampledImages:
        """Returns the images at 1 / `downsample` of their size, of which windows can be read."""
        return DownsampledImages(self.pyramids(), downsample)

    # -- jobs and the writer's lock

    def job_path(self, command: str) -> Path:
        """The status file of the last job of `command`."""
        return self.root / "jobs" / f"{command}.json"

    def jobs(self) -> dict[str, JobStatus]:
        """Returns the last job of each command."""
        found = {path.stem: read_status(path) for path in (self.root / "jobs").glob("*.json")}
        return {command: status for command, status in found.items() if status}

    @contextmanager
    def writer_lock(self, command: str) -> Iterator[None]:
        """Holds the lock of the only writer of the workspace; the system frees it even after kill -9.

        The thread that holds it may take it again. Raises WorkspaceBusy with the command and pid of the process that
        holds it.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            alive = [job for name, job in self.jobs().items() if job.alive and name in WRITERS]
            writer = f"`{alive[0].command}` (pid {alive[0].pid})" if alive else "another process"
            raise WorkspaceBusy(
                f"{self.root} is being written by {writer}: wait for it or stop it, then run {command} again"
            ) from None
        except OSError as error:
            raise PicieError(
                f"cannot lock {self.root}: {error.strerror}; choose a workspace folder you may write to"
            ) from error
        try:
            sweep(self.root)
            yield
        finally:
            self._lock.release()

    @cached_property
    def _lock(self) -> FileLock:
        return FileLock(self.root / "writer.lock")

    def sizes(self) -> dict[str, int]:
        """Returns the bytes on disk of each part: cache, exports, labels and each run."""
        parts = [self.root / "cache", self.root / "exports", self.root / "labels.sqlite"]
        parts += sorted((self.root / "runs").glob("*"))
        files = {part: [part, *part.rglob("*")] for part in parts if part.exists()}
        return {
            str(part.relative_to(self.root)): sum(file.stat().st_size for file in found if file.is_file())
            for part, found in files.items()
        }


def _image_roots(root: Path, images_root: Path) -> dict[str, str]:
    """Both paths to the images: the absolute one, and the one relative to the workspace."""
    return {"images_root": str(images_root), "images_root_relative": os.path.relpath(images_root, root)}
