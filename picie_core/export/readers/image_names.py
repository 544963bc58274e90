"""Which image a mask is of: names as other tools give them, against the images that are known."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from picie_core.data.images.image_folder import SUFFIXES
from picie_core.export.readers.mask_set import MaskError

_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the names of uploaded files."""
_ROBOFLOW = re.compile(r"(_(jpe?g|png|bmp|webp|tiff?))?\.rf\.[0-9A-Za-z]{8,}$")
"""What Roboflow puts behind the stems of its files."""

Key = Callable[[str], str]


class ImageNames:
    """Finds the image that a name stands for.

    By the stem that an export gave it first, as `turned.png` may be there what `turned.jpg` was; then by its path, by
    its path without the ending, by the flat name of lists (`a__b` for `a/b`), and at last by the stem alone where only
    one image has it. The first of these that knows the name decides; where several images fit, none is taken.
    """

    def __init__(self, paths: Sequence[str], renamed: Mapping[str, str] | None = None):
        told = {_plain(path): _plain(stem) for path, stem in (renamed or {}).items()}
        keys: tuple[Key, ...] = (
            lambda path: told.get(path, _stem(path)) if renamed is not None else "",
            lambda path: path,
            _stem,
            lambda path: f"{_stem(path)}_{_ending(path)}",
            lambda path: _flat(_stem(path)),
            lambda path: f"{_flat(_stem(path))}_{_ending(path)}",
            lambda path: PurePosixPath(path).name,
            lambda path: PurePosixPath(_stem(path)).name,
        )
        self._tables: list[dict[str, list[str]]] = [_table(paths, one) for one in keys]

    def find(self, name: str, is_stem: bool = False) -> str:
        """Returns the path of the image; is_stem: the name has no ending. Raises MaskError with the reason."""
        asked = _plain(name)
        for form in dict.fromkeys((asked, _plain(unquote(asked.rpartition("?d=")[2])))):
            if found := self._look_up(name, form, is_stem):
                return found
        last = PurePosixPath(asked if is_stem else _stem(asked)).name
        bare = _ROBOFLOW.sub("", _UPLOADED.sub("", last))
        if bare != last and (found := self._look_up(name, bare, is_stem=True)):
            return found
        raise MaskError(name, "no image of this workspace is called so: name it as the image, with its folder")

    def _look_up(self, name: str, form: str, is_stem: bool) -> str | None:
        stem = form if is_stem else _stem(form)
        path, last = ("", "") if is_stem else (form, PurePosixPath(form).name)
        forms = (stem, path, stem, stem, stem, stem, last, PurePosixPath(stem).name)
        for table, key in zip(self._tables, forms, strict=True):
            found = table.get(key, ()) if key else ()
            if len(found) > 1:
                listed = " and ".join(sorted(found)[:3])
                raise MaskError(name, f"it could be of {listed}: name it with the folder of its image")
            if found:
                return found[0]
        return None


def _table(paths: Sequence[str], key: Key) -> dict[str, list[str]]:
    """The images by a key; keys are of composed letters, values the paths as they are."""
    table: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        table[key(_plain(path))].append(path)
    return dict(table)


def _plain(name: str) -> str:
    """A name with composed letters, slashes as separators, and without a leading `./` or `/`."""
    return unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./").lstrip("/")


def _stem(path: str) -> str:
    """A path without the ending of an image file; other dots belong to the name."""
    ending = PurePosixPath(path).suffix
    return path[: -len(ending)] if ending.lower() in SUFFIXES else path


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix[1:].lower()


def _flat(stem: str) -> str:
    """A stem as lists in text files hold it."""
    return re.sub(r"[\s:#\x00-\x1f]", "_", stem.replace("/", "__"))
