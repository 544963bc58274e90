"""The history of the label map on the command line: undo, redo, what was done, snapshots."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from picie_core.errors import PicieError, SettingError
from picie_core.labels.label_map import LabelMap
from picie_core.labels.undo_log import Event
from picie_core.workspace.workspace import Workspace


def undo(workspace: Workspace, count: int) -> dict[str, Any]:
    """Takes the last edits back and returns what they were. Raises PicieError when there is none."""
    return {"undone": _steps(workspace.label_map.undo, count, "undo"), **_next(workspace.label_map)}


def redo(workspace: Workspace, count: int) -> dict[str, Any]:
    """Makes edits that were undone again and returns what they are. Raises PicieError when there is none."""
    return {"redone": _steps(workspace.label_map.redo, count, "redo"), **_next(workspace.label_map)}


def _steps(step: Callable[[], Event | None], count: int, what: str) -> list[str]:
    done: list[str] = []
    while len(done) < count and (event := step()) is not None:
        done.append(event.words)
    if not done:
        raise PicieError(f"nothing to {what}: see `label history`")
    return done


def history(workspace: Workspace, count: int) -> dict[str, Any]:
    """Returns the last edits, newest first, and what would be undone and redone."""
    events = workspace.label_map.history(count)
    rows = [{"id": event.id, "time": _time(event.at), "edit": event.words} for event in events]
    return {"edits": rows, **_next(workspace.label_map)}


def snapshot(workspace: Workspace, name: str | None, restore: bool, delete: bool) -> dict[str, Any]:
    """Saves, returns to or deletes the snapshot `name`, and returns all of them; without a name it only lists them."""
    label_map = workspace.label_map
    if name is None and (restore or delete):
        raise SettingError("which snapshot is missing: give `label snapshot NAME --restore` or --delete")
    if name is not None:
        use = (
            label_map.restore_snapshot if restore else label_map.delete_snapshot if delete else label_map.save_snapshot
        )
        use(name)
    rows = [
        {"name": one.name, "time": _time(one.at), "classes": one.classes, "named_clusters": one.clusters}
        for one in label_map.snapshots()
    ]
    return {"snapshots": rows, **_next(label_map)}


def _next(label_map: LabelMap) -> dict[str, Any]:
    before, after = label_map.can_undo(), label_map.can_redo()
    return {"next_undo": before.words if before else None, "next_redo": after.words if after else None}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
