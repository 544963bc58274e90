"""Large JSON read item by item: the text is held once, and of its lists one item at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def json_items(text: str) -> Iterator[tuple[str, Any]]:
    """Yields (key, value) of a JSON object; of a value that is a list, its items one after the other.

    Raises ValueError where the text is no JSON object, RecursionError for one that is nested without end.
    """
    cursor = _Cursor(text)
    for _ in cursor.between("{", "}"):
        key = cursor.value()
        cursor.expect(":")
        if cursor.here == "[":
            for _ in cursor.between("[", "]"):
                yield key, cursor.value()
        else:
            yield key, cursor.value()


def json_list(text: str) -> Iterator[Any]:
    """Yields the items of a JSON list one after the other. Raises as `json_items`."""
    cursor = _Cursor(text)
    for _ in cursor.between("[", "]"):
        yield cursor.value()


class _Cursor:
    """A place in a text, never on white space."""

    def __init__(self, text: str):
        self.text, self.at = text, 0
        self._skip_space()

    @property
    def here(self) -> str:
        """The character here, empty at the end."""
        return self.text[self.at : self.at + 1]

    def value(self) -> Any:
        """Returns the value that begins here, and goes behind it."""
        found, self.at = _DECODER.raw_decode(self.text, self.at)
        self._skip_space()
        return found

    def expect(self, character: str) -> None:
        """Goes behind a character that has to be here."""
        if self.here != character:
            raise ValueError(f"{character!r} expected at character {self.at:,}")
        self.at += 1
        self._skip_space()

    def between(self, opening: str, closing: str) -> Iterator[None]:
        """Goes through a list or an object; at each step the caller takes what is between two commas."""
        self.expect(opening)
        if self.here != closing:
            yield
            while self.here == ",":
                self.expect(",")
                yield
        self.expect(closing)

    def _skip_space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
