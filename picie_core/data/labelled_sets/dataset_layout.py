"""The layout of a data set on disk: its parts, the error when a part is missing, splits and curated lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from picie_core.errors import PicieError, SettingError

SHOWN_ENTRIES = 12


@dataclass(frozen=True)
class Part:
    """One part of a data set: files below its root, and their meaning."""

    pattern: str
    """Such as `images/val2017/*.jpg`."""
    meaning: str

    @property
    def folder(self) -> str:
        """The folder, relative to the root, that the files or their subfolders lie in."""
        return self.pattern.split("/*", 1)[0]

    def find(self, root: Path) -> list[str]:
        """Returns the files of this part, sorted: posix paths relative to `root`."""
        return sorted(path.relative_to(root).as_posix() for path in root.glob(self.pattern))


def require_parts(root: Path, name: str, layout: Sequence[Part], wanted: Iterable[Part]) -> None:
    """Raises PicieError that shows the whole `layout` and what is in `root` when a wanted part has no file there."""
    missing = [part for part in wanted if next(root.glob(part.pattern), None) is None]
    if missing:
        looked_for = " and ".join(part.pattern for part in missing)
        raise PicieError(f"{root} has no {looked_for}, which this needs.\n{show_layout(root, name, layout)}")


def pair_with_masks(
    images: list[str], masks: Iterable[str], mask_name: Callable[[str], str], remedy: str
) -> list[tuple[str, str]]:
    """Returns (image, mask) of every image, in their order. Raises PicieError when an image has no mask."""
    there = set(masks)
    pairs = [(image, mask_name(image)) for image in images]
    lost = [mask for _, mask in pairs if mask not in there]
    if lost:
        raise PicieError(
            f"{len(lost)} of {len(pairs)} images have no ground truth, first {lost[0]} is missing: {remedy}"
        )
    return pairs


def show_layout(root: Path, name: str, layout: Sequence[Part]) -> str:
    """Returns the expected tree, a line a part with the number of its files found, and what lies in `root`."""
    width = max(len(part.pattern) for part in layout)
    lines = [f"  {part.pattern:{width}}  {len(part.find(root)):>7} found   {part.meaning}" for part in layout]
    return "\n".join([f"Expected for {name}, below {root}:", *lines, _entries(root)])


def _entries(root: Path) -> str:
    if not root.is_dir():
        return f"{root} is not a folder: give --root DIR"
    names = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    more = f" and {len(names) - SHOWN_ENTRIES} more" if len(names) > SHOWN_ENTRIES else ""
    return f"In {root} there is: {', '.join(names[:SHOWN_ENTRIES]) or 'nothing'}{more}"


def pick_splits(split: str | None, known: Sequence[str], usual: str) -> list[str]:
    """Returns the splits that `split` names, such as `train+val`; None for the `usual` ones.

    Raises SettingError for one that is not `known`.
    """
    splits = (split or usual).split("+")
    for one in splits:
        if one not in known:
            raise SettingError(
                f"split={split!r} has no {one!r}: give {', '.join(known)} or several joined as {'+'.join(known[:2])}"
            )
    return list(dict.fromkeys(splits))


def pick_listed(names: list[str], list_file: Path | None, digits: int = 0) -> list[str]:
    """Returns the `names` (posix paths) that a curated list names, all of them when there is no list.

    A line is a path or its last part, with or without suffix; zeros fill it up to `digits`. Raises PicieError with the
    first of the lines that name nothing.
    """
    if list_file is None:
        return names
    wanted = {line.zfill(digits) for line in read_lines(list_file)}
    spelt = {name: {name, name.rsplit(".", 1)[0], PurePosixPath(name).name, PurePosixPath(name).stem} for name in names}
    lost = sorted(wanted.difference(*spelt.values()))
    if lost or not wanted:
        what = f"names {lost[0]}, which is not there ({len(lost)} of {len(wanted)} are not)" if lost else "is empty"
        raise PicieError(f"{list_file} {what}: give the list that belongs to these images and this split")
    return [name for name in names if wanted & spelt[name]]


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a text file that are not empty. Raises PicieError when it cannot be read."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise PicieError(f"{path} cannot be read as a list ({error}): give a text file with a name a line") from error
