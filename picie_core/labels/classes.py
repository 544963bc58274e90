"""A class (id, name, colour), and the JSON record of a label map, read and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from picie_core.clustering.splits import Split, read_splits
from picie_core.colors import IGNORE_COLOR, clean_color, next_color
from picie_core.data.class_names import IGNORE_ID, IGNORE_NAME, MAX_CLASSES, clean_name, name_key
from picie_core.errors import SettingError


@dataclass(frozen=True)
class Class:
    """One class."""

    id: int
    name: str
    color: str
    """`#rrggbb`, lower case."""


def given_name(name: str) -> str:
    """Returns a name as it is stored, every spelling of ignore as `ignore`. Raises SettingError if it is impossible."""
    return IGNORE_NAME if isinstance(name, str) and name_key(name) == IGNORE_NAME else clean_name(name)


def find_class(classes: Iterable[Class], name: str) -> Class | None:
    """Returns the class of that name in any spelling of it, None where there is none."""
    return next((one for one in classes if name_key(one.name) == name_key(name)), None)


# -- the exchanged record


@dataclass(frozen=True)
class MapRecord:
    """A checked label map from JSON; `ids` and `colors` are parallel to `names`, None where the record has none."""

    names: list[str]
    ids: list[int | None]
    colors: list[str | None]
    clusters: dict[int, str | None]
    """Cluster to class name as spelled in `names`; None for ignore."""
    splits: list[Split]

    @property
    def contiguous(self) -> bool:
        """True when the ids are 0 to C-1, each once."""
        return sorted(value for value in self.ids if value is not None) == list(range(len(self.names)))


def read_map(record: Any, k: int, dim: int | None = None) -> MapRecord:
    """Returns the label map {"classes": [{"id", "name", "color"}], "clusters": {"0": "road"}, "splits": []}, checked.

    k: clusters of the clustering before any split; dim: width of its embeddings. "splits" is optional.
    Raises SettingError that names key, rule, value and remedy.
    """
    if not isinstance(record, dict) or not isinstance(record.get("classes"), list):
        raise SettingError('label map: "classes" must be a list of {"id", "name", "color"}: see `label export`')
    if not isinstance(record.get("clusters"), dict):
        raise SettingError('label map: "clusters" must be an object such as {"0": "road"}: see `label export`')
    names: list[str] = []
    ids: list[int | None] = []
    colors: list[str | None] = []
    for index, item in enumerate(record["classes"]):
        key = f'label map: "classes"[{index}]'
        if not isinstance(item, dict):
            raise SettingError(f'{key} must be an object {{"id", "name", "color"}}, got {item!r}: mend it')
        if item.get("name") == IGNORE_NAME and item.get("id") == IGNORE_ID:
            continue  # every label map has it
        name, class_id, color = _read_class(key, item)
        _refuse_twice(f"{key}.name", name_key(name), [name_key(other) for other in names])
        _refuse_twice(f"{key}.id", class_id, ids)
        _refuse_twice(f"{key}.color", color, colors)
        names.append(name)
        ids.append(class_id)
        colors.append(color)
    if len(names) > MAX_CLASSES:
        raise SettingError(f'label map: "classes" may hold {MAX_CLASSES} at most, got {len(names)}: merge some')
    splits = read_splits(record.get("splits", []), k, dim)
    clusters = _read_clusters(record["clusters"], names, splits[-1].end if splits else k)
    return MapRecord(names, ids, colors, clusters, splits)


def _read_class(key: str, item: dict[str, Any]) -> tuple[str, int | None, str | None]:
    class_id, color = item.get("id"), item.get("color")
    if class_id is not None and (type(class_id) is not int or not 0 <= class_id < MAX_CLASSES):
        raise SettingError(f"{key}.id must be a whole number from 0 to {MAX_CLASSES - 1}, got {class_id!r}: change it")
    try:
        return clean_name(item.get("name", "")), class_id, None if color is None else clean_color(color)
    except SettingError as error:
        raise SettingError(f"{key}: {error}") from None


def _refuse_twice(key: str, value: Any, before: list[Any]) -> None:
    if value is not None and value in before:
        raise SettingError(f"{key} must be there once, got {value!r} twice: change one")


def _read_clusters(record: dict[str, Any], names: list[str], k: int) -> dict[int, str | None]:
    known: dict[str, str | None] = {name_key(name): name for name in names}
    known[IGNORE_NAME] = None
    clusters: dict[int, str | None] = {}
    for key, name in record.items():
        number = int(key) if isinstance(key, str) and re.fullmatch(r"0|[1-9][0-9]{0,8}", key) else -1
        if not 0 <= number < k:
            remedy = "is this map of another clustering?"
            raise SettingError(f'label map: "clusters" key must be a cluster from 0 to {k - 1}, got {key!r}: {remedy}')
        if not isinstance(name, str) or name_key(name) not in known:
            remedy = f'add it to "classes" or write "{IGNORE_NAME}"'
            raise SettingError(f'label map: "clusters"["{key}"] must name a class of "classes", got {name!r}: {remedy}')
        clusters[number] = known[name_key(name)]
    return clusters


def merge_classes(classes: list[Class], wanted: MapRecord) -> list[tuple[int | None, str, str]]:
    """Returns the classes after an import in the order of their new ids, each as (present id or None, name, colour).

    Raises SettingError when a colour is taken or the classes are more than a mask holds.
    """
    known = {name_key(item.name): item for item in classes}
    listed = {name_key(name) for name in wanted.names}
    others = [item for item in classes if name_key(item.name) not in listed]
    used = {IGNORE_COLOR: IGNORE_NAME, **{item.color: item.name for item in others}}
    for index, color in enumerate(wanted.colors):
        if color in used:
            raise SettingError(f'label map: "classes"[{index}].color {color} is the one of {used[color]!r}: change it')
    used |= {color: name for color, name in zip(wanted.colors, wanted.names, strict=True) if color}
    rows: list[tuple[int | None, str, str]] = []
    for name, color in zip(wanted.names, wanted.colors, strict=True):
        old = known.get(name_key(name))
        if color is None:  # a known class keeps its colour unless another class gets it
            color = old.color if old and old.color not in used else next_color(used)
            used[color] = name
        rows.append((old.id if old else None, name, color))
    if wanted.contiguous and not others:
        return [row for _, row in sorted(zip(wanted.ids, rows, strict=True))]
    kept = [(item.id, item.name, item.color) for item in others] + [row for row in rows if row[0] is not None]
    result = sorted(kept) + [row for row in rows if row[0] is None]
    if len(result) > MAX_CLASSES:
        raise SettingError(
            f"the import would make {len(result)} classes, a mask holds {MAX_CLASSES}: delete some first"
        )
    return result
