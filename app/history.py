"""The curve of a training: one line an epoch, as the run wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOSSES = {"loss": "total", "within": "within views", "cross": "across views"}
HEALTH = {
    "label_entropy": ("Label entropy, 1 = even", 1.0, False),
    "dead_clusters": ("Dead clusters", 1.0, True),
    "changed_labels": ("Labels changed, %", 100.0, True),
}
"""Title, factor of the unit on screen, and whether the axis starts at zero."""


def read_history(path: Path) -> list[dict[str, Any]]:
    """Returns the records of `history.jsonl`, oldest first; a line that is being written is left for the next look."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def column(history: list[dict[str, Any]], name: str, factor: float = 1.0) -> list[float]:
    """Returns one figure over the epochs times `factor`, nan where an epoch has none."""
    return [factor * float(value) if (value := record.get(name)) is not None else float("nan") for record in history]


def health_words(history: list[dict[str, Any]]) -> str:
    """Returns what the last epoch says about collapse, in a sentence; empty before the first epoch."""
    if not history:
        return ""
    dead, changed = history[-1].get("dead_clusters"), history[-1].get("changed_labels")
    parts = []
    if dead is not None:
        parts.append("no cluster is dead" if not dead else f"{dead:g} clusters are dead: lower K or the learning rates")
    if changed is not None:
        parts.append(f"{100 * changed:.0f} % of the labels changed in the last epoch")
    return "; ".join(parts)[:1].upper() + "; ".join(parts)[1:] + "." if parts else ""
