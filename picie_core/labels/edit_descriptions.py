"""What an edit did, in the words of a person: for the history, and for what would be undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from picie_core.data.class_names import IGNORE_NAME

Payload = dict[str, Any]


def edit_words(kind: str, payload: Payload) -> str:
    """Returns what an event did, such as `named 3 clusters road`; a kind of another program stays as it is."""
    words = _WORDS.get(kind)
    return words(payload) if words else kind


def _named(payload: Payload) -> str:
    name, clusters = payload["name"], list(payload["before"])
    which = f"cluster {clusters[0]}" if len(clusters) == 1 else f"{len(clusters)} clusters"
    if name is None:
        return f"took the name of {which} away"
    return f"ignored {which}" if name == IGNORE_NAME else f"named {which} {name}"


def _imported(payload: Payload) -> str:
    count = len(payload["record"].get("clusters", ()))
    return f"imported {_names(count)}"


def _transferred(payload: Payload) -> str:
    return f"carried {_names(len(payload['classes']))} over from {payload['source']}"


def _split(payload: Payload) -> str:
    if "names" in payload:
        *first, last = payload["names"]
        named = f"{', '.join(first)} and {last}" if first else last
        return f"split {named} off cluster {payload['cluster']}"
    return f"split cluster {payload['cluster']} into {len(payload['parts'])}"


def _names(count: int) -> str:
    return "1 name" if count == 1 else f"{count} names"


_WORDS: dict[str, Callable[[Payload], str]] = {
    "name": _named,
    "rename": lambda payload: f"renamed {payload['before']} to {payload['name']}",
    "recolor": lambda payload: f"recoloured {payload.get('name', 'a class')}",
    "delete": lambda payload: f"deleted class {payload['before']['name']}",
    "merge": lambda payload: f"merged {payload['before']['name']} into {payload['into']}",
    "import": _imported,
    "split": _split,
    "carry": _transferred,
    "snapshot": lambda payload: f"saved snapshot “{payload['name']}”",
    "forget": lambda payload: f"deleted snapshot “{payload['name']}”",
    "restore": lambda payload: f"returned to snapshot “{payload['name']}”",
    "undo": lambda payload: f"undid: {payload['what']}",
    "redo": lambda payload: f"redid: {payload['what']}",
}
