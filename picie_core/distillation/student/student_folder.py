"""Where a student lies on disk, and what can be read there without loading a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HISTORY, REPORT, CHECKPOINT = "history.json", "report.json", "checkpoint.pt"


def training_folder(out: Path) -> Path:
    """Returns where a training keeps its checkpoint and its curve until the student is written to `out`."""
    return out.with_name(f"{out.name}.training")


def read_report(out: Path) -> dict[str, Any] | None:
    """Returns the report of a student, None where none was written."""
    return _read(out / REPORT)


def read_history(out: Path) -> list[dict[str, Any]]:
    """Returns what each finished epoch of a student left, of one in training too; empty before the first."""
    running = _read(training_folder(out) / HISTORY)
    return (read_report(out) or {}).get("history", []) if running is None else running


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
