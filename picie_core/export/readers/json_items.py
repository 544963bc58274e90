"""A large JSON object read item by item: the text is held once, and of its lists one item at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")


def json_items(text: str) -> Iterator[tuple[str, Any]]:
    """Yields (key, value) of a JSON object; of a value that is a list, its items one after the other.

    Raises ValueError where the text is no JSON object, RecursionError for one that is nested without end.
    """
    decode = json.JSONDecoder().raw_decode
    at = _expect(text, _skip(text, 0), "{")
    while text[at : at + 1] != "}":
        key, at = decode(text, at)
        at = _expect(text, _skip(text, at), ":")
        if text[at : at + 1] == "[":
            at = _skip(text, at + 1)
            while text[at : at + 1] != "]":
                item, at = decode(text, at)
                yield key, item
                at = _next(text, at, "]")
            at += 1
        else:
            value, at = decode(text, at)
            yield key, value
        at = _next(text, at, "}")


def _skip(text: str, at: int) -> int:
    """The place of the next character that is no white space."""
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _expect(text: str, at: int, character: str) -> int:
    """The place after a character that has to be here, and the white space behind it."""
    if text[at : at + 1] != character:
        raise ValueError(f"{character!r} expected at character {at:,}")
    return _skip(text, at + 1)


def _next(text: str, at: int, end: str) -> int:
    """The place of the next item, or of the `end` of a list or object."""
    at = _skip(text, at)
    if text[at : at + 1] == end:
        return at
    at = _expect(text, at, ",")
    if text[at : at + 1] == end:
        raise ValueError(f"an item expected at character {at:,}")
    return at
