"""The images of a workspace: each keeps its id for ever; a file that cannot be used is listed with its reason."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

from picie_core.atomic_files import disk_error, write_text
from picie_core.data.images.image_file import ImageError, probe_image
from picie_core.data.images.image_folder import SUFFIXES, FoundImage, Problem, walk_images
from picie_core.data.images.image_selection import read_selection
from picie_core.errors import PicieError
from picie_core.progress import Meter, Report, ignore_progress

PROBE_THREADS = 8
_problems_lock = threading.Lock()


@dataclass(frozen=True)
class ImageRecord:
    """One image of the collection."""

    id: int
    path: str
    """Posix path relative to the folder of images."""
    width: int
    """Upright width in pixels; `height` likewise."""
    height: int
    stamp: int
    """A number that changes when the file does (from modification time and size)."""


@dataclass(frozen=True)
class ImageList:
    """All images that a workspace ever had, at the index of their id, and the files that cannot be used."""

    records: list[ImageRecord] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @cached_property
    def bad_ids(self) -> frozenset[int]:
        """Ids of images that are gone or turned out to be unreadable."""
        bad_paths = {problem.path for problem in self.problems}
        return frozenset(record.id for record in self.records if record.path in bad_paths)

    @cached_property
    def readable(self) -> list[ImageRecord]:
        """The images that can be used, in the order of their ids; made once, as a page asks many times. Read-only."""
        return [record for record in self.records if record.id not in self.bad_ids]

    @classmethod
    def load(cls, workspace_root: Path) -> ImageList:
        """Returns the list of the last scan plus later problems; empty before the first scan.

        Read-only: callers share it until one of the files changes. Raises PicieError when it is damaged.
        """
        states: list[tuple[int, ...]] = []
        for name in ("images.jsonl", "problems.jsonl"):
            try:
                info = (Path(workspace_root) / name).stat()
                states.append((info.st_mtime_ns, info.st_size, info.st_ino))
            except FileNotFoundError:
                states.append(())
        return _load(str(workspace_root), *states)


@lru_cache(maxsize=4)
def _load(workspace_root: str, images_state: tuple[int, ...], problems_state: tuple[int, ...]) -> ImageList:
    """Reads both files once for each of their states: a page asks for the list many times."""
    path = Path(workspace_root) / "images.jsonl"
    records: list[ImageRecord] = []
    try:
        lines = path.read_bytes().splitlines() if images_state else []
        for line in json.loads(b"[" + b",".join(lines) + b"]"):
            records.append(ImageRecord(line["id"], line["path"], line["width"], line["height"], line["stamp"]))
        damaged = any(record.id != index for index, record in enumerate(records))
    except (ValueError, KeyError, TypeError):
        damaged = True
    if damaged:
        remedy = "restore it from a copy, or delete it and embed again (ids are given anew)"
        raise PicieError(f"{path} is damaged (line number and id must agree): {remedy}")
    return ImageList(records, _load_problems(Path(workspace_root)) if problems_state else [])


def _load_problems(workspace_root: Path) -> list[Problem]:
    found: dict[str, Problem] = {}
    for line in (workspace_root / "problems.jsonl").read_bytes().splitlines():
        try:
            record = json.loads(line)
            found[record["path"]] = Problem(record["path"], record["reason"], bool(record.get("deep")))
        except (ValueError, KeyError, TypeError):
            continue  # a line that a kill cut off: the next scan or decoding finds the problem again
    return list(found.values())


def add_problem(workspace_root: Path, path: str, reason: str) -> None:
    """Lists the image at `path` as one that cannot be decoded, until a scan finds that its file changed."""
    line = json.dumps({"path": path, "reason": reason, "deep": True}, ensure_ascii=False)
    target = Path(workspace_root) / "problems.jsonl"
    try:
        with _problems_lock, open(target, "a+b") as file:
            torn = file.seek(0, os.SEEK_END) > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
            file.write((b"\n" if torn else b"") + line.encode() + b"\n")
    except OSError as error:
        raise disk_error(target, error) from error


# -- scanning


def scan_images(images_root: Path, workspace_root: Path, report: Report = ignore_progress) -> ImageList:
    """Returns the list of all images under `images_root`; stores it as images.jsonl and problems.jsonl.

    A workspace of a selection takes no other files. New files get the next ids in the order of their paths, known
    paths keep theirs; only new and changed files and those with a problem are opened. Raises PicieError when no image
    can be used (the reasons are stored).
    """
    known = ImageList.load(workspace_root)
    found, problems = walk_images(images_root, leave_out=workspace_root)
    selection = read_selection(workspace_root)
    if selection is not None:
        found = [item for item in found if item.path in selection]
        problems = [problem for problem in problems if problem.path in selection]
    records, file_problems = _update(known, images_root, found, report)
    result = ImageList(records, problems + file_problems)
    if result.problems != known.problems:  # first, so that a kill between the two leaves no image without its reason
        lines = [{name: value for name, value in asdict(problem).items() if value} for problem in result.problems]
        _write_lines(workspace_root / "problems.jsonl", lines)
    if records != known.records or not (workspace_root / "images.jsonl").exists():
        _write_lines(workspace_root / "images.jsonl", [asdict(record) for record in records])
    if result.readable:
        return result
    if not found and not result.problems:
        suffixes = " ".join(suffix[1:] for suffix in SUFFIXES)
        raise PicieError(f"no images under {images_root}: files that end in {suffixes} are read; give another folder")
    first = f"{result.problems[0].path}: {result.problems[0].reason}" if result.problems else ""
    raise PicieError(
        f"no usable images under {images_root}: {len(found)} files found, none can be used; the first: {first}"
    )


def _update(
    known: ImageList, images_root: Path, found: list[FoundImage], report: Report
) -> tuple[list[ImageRecord], list[Problem]]:
    """Returns the records brought up to date with the files, and the problem of each file that has one."""
    by_path = {record.path: record for record in known.records}
    old_problems = {problem.path: problem for problem in known.problems}
    problems: list[Problem] = []
    to_probe: list[FoundImage] = []
    for item in found:
        problem, record = old_problems.get(item.path), by_path.get(item.path)
        unchanged = record is not None and record.stamp == item.stamp
        if unchanged and problem is not None and problem.deep:
            problems.append(problem)
        elif not unchanged or problem is not None:
            to_probe.append(item)
    records = list(known.records)
    for item, size in _probe_all(images_root, to_probe, report):
        record = by_path.get(item.path)
        if isinstance(size, ImageError):
            problems.append(Problem(item.path, size.reason))
            if record:
                records[record.id] = replace(record, stamp=item.stamp)
        elif record:
            records[record.id] = replace(record, width=size[0], height=size[1], stamp=item.stamp)
        else:
            records.append(ImageRecord(len(records), item.path, size[0], size[1], item.stamp))
    present = {item.path for item in found}
    problems += [Problem(record.path, "file is gone") for record in records if record.path not in present]
    return records, problems


def _probe_all(
    images_root: Path, items: list[FoundImage], report: Report
) -> Iterator[tuple[FoundImage, tuple[int, int] | ImageError]]:
    """Yields each file with its size or its error, in order; several are opened at a time."""

    def probe(item: FoundImage) -> tuple[int, int] | ImageError:
        try:
            return probe_image(images_root / item.path)
        except ImageError as error:
            return error

    meter = Meter("scan", len(items), report)
    with ThreadPoolExecutor(PROBE_THREADS) as pool:
        for start in range(0, len(items), 256):  # in portions: a million waiting tasks would fill the memory
            portion = items[start : start + 256]
            yield from zip(portion, pool.map(probe, portion), strict=True)
            meter.advance(len(portion))


def _write_lines(path: Path, records: list[dict]) -> None:
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
