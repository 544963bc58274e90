"""The vocabulary of a workspace: names that are offered while naming, one a line in `vocabulary.txt`."""

from __future__ import annotations

from pathlib import Path

from picie_core.atomic_files import open_atomic
from picie_core.data.class_names import clean_name, name_key
from picie_core.errors import PicieError, SettingError

MAX_NAMES = 5000
"""More would make the list that is offered slow."""


def read_vocabulary(path: Path) -> list[str]:
    """Returns the names that are offered, in the order of the file; none before one is set.

    Raises PicieError when the file was changed by hand to something that is no list of names.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PicieError(f"{path} cannot be read ({error.strerror}): mend or delete it") from error
    return names_in(text, str(path))


def set_vocabulary(path: Path, text: bytes, source: str) -> list[str]:
    """Makes the names in `text`, one a line, those that are offered, and returns them; no names: none are.

    source: what messages call the text. Raises SettingError, with nothing changed, when a line is no name.
    """
    names = names_in(text, source)
    with open_atomic(path) as file:
        file.write("".join(f"{name}\n" for name in names).encode())
    return names


def names_in(text: bytes, source: str) -> list[str]:
    """Returns the names in a text, one a line, each once; empty lines and lines that begin with # are left out.

    Raises SettingError that names the line when one is no name.
    """
    try:
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SettingError(f"{source} is no UTF-8 text ({error.reason}): save it as UTF-8, one name a line") from error
    names: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name = clean_name(line)
        except SettingError as error:
            raise SettingError(f"{source}, line {number}: {error}") from None
        names.setdefault(name_key(name), name)
    if len(names) > MAX_NAMES:
        raise SettingError(f"{source} has {len(names):,} names, at most {MAX_NAMES:,} are offered: shorten it")
    return list(names.values())


def read_text(path: Path) -> bytes:
    """Returns the bytes of a file of names. Raises PicieError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise PicieError(f"{path} cannot be read ({error.strerror}): give a text file, one name a line") from error
