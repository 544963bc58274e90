"""`label undo | redo | history | snapshot`: the edits of the label map, and what it was before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from picie_core.cli.options import WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.errors import PicieError, SettingError
from picie_core.labels.label_map import LabelMap
from picie_core.labels.undo_log import Event
from picie_core.workspace.workspace import Workspace


def undo(workspace_root: WorkspaceOption, last: Annotated[int, Option("how many edits", low=1)] = 1) -> dict[str, Any]:
    """Take the last edits back, whoever made them."""
    label_map = Workspace.open(workspace_root).label_map
    return {"undone": _repeated(label_map.undo, last, "undo"), **_next_edits(label_map)}


def redo(workspace_root: WorkspaceOption, last: Annotated[int, Option("how many edits", low=1)] = 1) -> dict[str, Any]:
    """Make edits again that were undone."""
    label_map = Workspace.open(workspace_root).label_map
    return {"redone": _repeated(label_map.redo, last, "redo"), **_next_edits(label_map)}


def _repeated(step: Callable[[], Event | None], count: int, what: str) -> list[str]:
    done: list[str] = []
    while len(done) < count and (event := step()) is not None:
        done.append(event.words)
    if not done:
        raise PicieError(f"nothing to {what}: see `label history`")
    return done


def history(
    workspace_root: WorkspaceOption, last: Annotated[int, Option("how many edits", low=1)] = 20
) -> dict[str, Any]:
    """List the last edits, newest first, and what would be undone and redone."""
    label_map = Workspace.open(workspace_root).label_map
    rows = [{"id": event.id, "time": _time(event.at), "edit": event.words} for event in label_map.history(last)]
    return {"edits": rows, **_next_edits(label_map)}


def snapshot(
    workspace_root: WorkspaceOption,
    name: Annotated[str | None, Option("of the snapshot", positional=True)] = None,
    restore: Annotated[bool, Option("return to the snapshot")] = False,
    delete: Annotated[bool, Option("delete the snapshot")] = False,
) -> dict[str, Any]:
    """Keep the label map as it is under a name; without NAME it lists the snapshots.

    Advice: keep one before larger changes; `label snapshot NAME --restore` returns to it, and can be undone.
    """
    label_map = Workspace.open(workspace_root).label_map
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
    return {"snapshots": rows, **_next_edits(label_map)}


def _next_edits(label_map: LabelMap) -> dict[str, Any]:
    before, after = label_map.can_undo(), label_map.can_redo()
    return {"next_undo": before.words if before else None, "next_redo": after.words if after else None}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
