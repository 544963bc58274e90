"""What an index PNG export says of itself: its classes, its splits, and which masks a person corrected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from picie_core.colors import clean_color
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_folder import SUFFIXES
from picie_core.data.labelled_sets.dataset_layout import read_lines
from picie_core.errors import PicieError

REMEDY = "give the folder that `export --format png` wrote"


@dataclass(frozen=True)
class LearntClass:
    """One class of the student."""

    id: int
    name: str
    color: str
    """`#rrggbb`."""


@dataclass(frozen=True)
class ExportRecord:
    """What the records of an export say."""

    classes: tuple[LearntClass, ...]
    """By id, 0 to C-1."""
    splits: Mapping[str, Sequence[str]]
    """`train` and `val`: stems of masks; empty where the export has no val split."""
    annotated: frozenset[str]
    """Stems of the masks that a person corrected."""
    confidence_root: Path
    """Where confidence maps lie, if there are any."""


def read_export_record(root: Path) -> ExportRecord:
    """Returns the records of the export at `root`.

    Raises PicieError when it is no export of index PNG, or one of less than two classes.
    """
    record = _read_json(root)
    beside = root / "confidence"
    if not beside.is_dir() and record.get("confidence") == "png":  # of several formats in one pass, beside them all
        beside = root.parent / "confidence"
    renamed = record.get("renamed") or {}
    stems = (renamed.get(path) or _stem(path) for path in record.get("annotated") or ())
    return ExportRecord(_classes(root, record), _splits(root, record), frozenset(stems), beside)


def _stem(path: str) -> str:
    """The stem of a path; what has no suffix of an image is a stem already."""
    suffix = PurePosixPath(path).suffix.lower()
    return path.removesuffix(PurePosixPath(path).suffix) if suffix in SUFFIXES else path


def _read_json(root: Path) -> dict[str, Any]:
    path = root / "export.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PicieError(f"{root} is no export, it has no export.json: {REMEDY}") from None
    except (OSError, ValueError) as error:
        raise PicieError(f"{path} cannot be read ({error}): {REMEDY}") from error
    if not isinstance(record, dict) or not isinstance(record.get("classes"), list):
        raise PicieError(f"{path} has no list of classes: {REMEDY}")
    if not (root / "masks").is_dir() or record.get("format", "png") != "png":
        raise PicieError(f"{root} has the format {record.get('format')!r}, not png with a folder masks/: {REMEDY}")
    if not (root / "images").is_dir():
        raise PicieError(f"{root} has masks but no images: export again, with the image files copied or linked")
    if record.get("mask_mode", "L") != "L":
        raise PicieError(
            f"the masks of {root} are cluster ids of 16 bit, which are too many classes to learn: name the clusters "
            "and export them without --raw"
        )
    return record


def _classes(root: Path, record: dict[str, Any]) -> tuple[LearntClass, ...]:
    path = root / "export.json"
    try:
        classes = tuple(
            LearntClass(int(one["id"]), str(one["name"]), clean_color(one["color"])) for one in record["classes"]
        )
    except (TypeError, KeyError, ValueError) as error:
        raise PicieError(f"{path} has a class without id, name or colour ({error}): export again") from error
    if [one.id for one in classes] != list(range(len(classes))) or len(classes) > IGNORE_ID:
        raise PicieError(f"the class ids of {path} must be 0 to {len(classes) - 1} in order: export again")
    if len(classes) < 2:
        raise PicieError(
            f"{root} has {len(classes)} class: a network needs two classes to tell apart, name another and export again"
        )
    return classes


def _splits(root: Path, record: dict[str, Any]) -> dict[str, list[str]]:
    """The lists of stems in export.json, else in splits/; none where nothing is in val."""
    listed = record.get("splits")
    if isinstance(listed, dict):
        found = {name: list(listed.get(name) or ()) for name in ("train", "val")}
    elif (root / "splits" / "val.txt").is_file():
        found = {name: read_lines(root / "splits" / f"{name}.txt") for name in ("train", "val")}
    else:
        return {}
    return found if found["val"] else {}
