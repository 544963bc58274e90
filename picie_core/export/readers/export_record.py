"""What an export of ours says beside its masks: the classes in `export.json` or `classes.txt`, and renamed images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from picie_core.errors import PicieError
from picie_core.export.readers.file_tree import FileTree


class ListedClass(BaseModel):
    """A class of `export.json`."""

    id: int
    name: str
    color: str | None = None
    clusters: list[int] = []


class ExportRecord(BaseModel):
    """What is used of `export.json`."""

    classes: list[ListedClass]
    renamed: Mapping[str, Any] = {}

    @property
    def is_raw(self) -> bool:
        """Whether the masks hold cluster ids instead of classes."""
        return bool(self.classes) and all(
            one.name == f"cluster_{one.id}" and one.clusters == [one.id] for one in self.classes
        )


def read_export_record(tree: FileTree, near: str) -> ExportRecord | None:
    """Returns the `export.json` that is closest above `near`, None where there is none.

    Raises PicieError when it is damaged, or when the masks hold cluster ids.
    """
    name = tree.find("export.json", near)
    if name is None:
        return None
    try:
        record = ExportRecord.model_validate(json.loads(tree.read(name)))
    except (ValueError, ValidationError, RecursionError) as error:
        raise PicieError(f"{name} in {tree.path} is damaged ({error}): export again, or delete it") from error
    if record.is_raw:
        raise PicieError(f"the masks in {tree.path} hold cluster ids: export classes, without --raw, to correct them")
    return record


def read_class_list(tree: FileTree, near: str) -> list[str] | None:
    """Returns the names in the `classes.txt` closest above `near`, in the order of their ids; None without one."""
    name = tree.find("classes.txt", near)
    if name is None:
        return None
    try:
        return [line.strip() for line in tree.read(name).decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise PicieError(f"{name} in {tree.path} is no UTF-8 text ({error.reason}): save it as UTF-8") from error
