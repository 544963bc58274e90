"""The unfinished folder of an export: what was written so far, so that the same export goes on where it stopped.

It lies beside the export under a hidden name. `journal.jsonl` gets one line an image after its files are written;
`plan.json` says which export it is. Whatever happens to the process, a line stands for files that are all there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from picie_core.atomic_files import disk_error, write_json, write_text
from picie_core.data.images.image_folder import Problem
from picie_core.errors import PicieError, Stopped
from picie_core.export.mask_format import Entry, WrittenImage

JOURNAL_FILE, PLAN_FILE, COMMAND_FILE = "journal.jsonl", "plan.json", "command.txt"


@dataclass(frozen=True)
class JournalLine:
    """One image: what the formats wrote of it, or why it was left out."""

    path: str
    """Posix path below the folder of images."""
    split: str
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels."""
    ignored_pixels: int = 0
    annotated: bool = False
    """Whether a person's annotation was written instead of the predicted mask."""
    stems: dict[str, str] = field(default_factory=dict)
    """By format."""
    entries: dict[str, Entry] = field(default_factory=dict)
    """By format."""
    problem: str | None = None
    """Why the image could not be exported; None where it was."""


class Journal:
    """The lines of an unfinished export, on disk; a context in which lines can be appended."""

    def __init__(self, path: Path):
        self.path = path
        self.paths: set[str] = set()
        """The images that have a line."""
        whole = 0
        if path.exists():
            with open(path, "rb") as file:
                for text in file:
                    if not text.endswith(b"\n"):  # torn by a kill: its image is written again
                        break
                    whole += len(text)
                    self.paths.add(json.loads(text)["path"])
            os.truncate(path, whole)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by `__exit__`

    def append(self, line: JournalLine) -> None:
        """Stores a line; the files that it names have to be there already."""
        self._file.write(json.dumps(line.__dict__, ensure_ascii=False) + "\n")
        self._file.flush()
        self.paths.add(line.path)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def summary(self) -> Summary:
        """Returns what the lines say together; one of them is in memory at a time."""
        found = Summary()
        with open(self.path, encoding="utf-8") as file:
            for text in file:
                line = JournalLine(**json.loads(text))
                if line.problem is not None:
                    found.problems.append(Problem(line.path, line.problem))
                    continue
                found.splits.append(line.split)
                found.pixels += line.size[0] * line.size[1]
                found.ignored_pixels += line.ignored_pixels
                found.annotated += [line.path] * line.annotated
        found.annotated.sort()
        return found


@dataclass
class Summary:
    """What the lines of a journal say together."""

    problems: list[Problem] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    """Of the exported images, in no order."""
    annotated: list[str] = field(default_factory=list)
    """Paths of the images whose mask is a person's annotation."""
    pixels: int = 0
    ignored_pixels: int = 0

    @property
    def ignored_share(self) -> float:
        """Share of all written pixels that are 255."""
        return self.ignored_pixels / max(self.pixels, 1)


class WrittenByFormat:
    """The images that one format wrote, in the order of the export; read from the journal each time."""

    def __init__(self, journal: Path, key: str):
        self.journal, self.key = journal, key
        self.offsets = _offsets(journal)

    def __len__(self) -> int:
        return len(self.offsets)

    def __iter__(self) -> Iterator[WrittenImage]:
        with open(self.journal, "rb") as file:
            for offset in self.offsets:
                file.seek(offset)
                line = json.loads(file.readline())
                yield WrittenImage(
                    line["path"],
                    line["stems"][self.key],
                    line["split"],
                    tuple(line["size"]),
                    line["ignored_pixels"],
                    line["entries"][self.key],
                )


def _offsets(path: Path) -> list[int]:
    """Where the lines of exported images begin, ordered by image path: threads finish in any order."""
    found = []
    with open(path, "rb") as file:
        offset = 0
        for text in file:
            line = json.loads(text)
            if line["problem"] is None:
                found.append((line["path"], offset))
            offset += len(text)
    return [offset for _, offset in sorted(found)]


# -- the folder


def unfinished_name(name: str) -> str:
    """Returns the name of the folder of an unfinished export that will be `name`."""
    return f".{name}.unfinished"


@contextmanager
def unfinished_folder(out: Path, plan: dict[str, Any], command_line: str = "") -> Iterator[Path]:
    """Yields the folder that becomes `out` when the block ends without an error.

    One of the same `plan` that a stop or a kill left is gone on with, one of another plan is begun anew. It stays when
    the block is stopped (KeyboardInterrupt, which leaves as Stopped), and is removed after any other error.
    command_line: what goes on with it, for whoever finds the folder.
    Raises PicieError when it cannot be written or another process writes it.
    """
    folder = out.with_name(unfinished_name(out.name))
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise PicieError(f"another process exports to {out} now: wait for it or give another --out") from None
    except OSError as error:
        raise disk_error(out, error) from error
    try:
        if _plan_of(folder) != plan:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            write_text(folder / COMMAND_FILE, command_line)
            write_json(folder / PLAN_FILE, plan)
        yield folder
        os.replace(folder, out)
        for name in (PLAN_FILE, COMMAND_FILE, JOURNAL_FILE):
            (out / name).unlink()
    except KeyboardInterrupt:
        raise Stopped(f"stopped; what is written is kept in {folder}: the same command goes on with it") from None
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise disk_error(out, error) from error
        raise
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _plan_of(folder: Path) -> Any:
    """What export an unfinished folder is of; None where there is none."""
    try:
        return json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
