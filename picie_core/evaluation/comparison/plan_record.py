"""One JSON object of a plan, read field by field: errors say file, place, value and remedy."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from picie_core.errors import SettingError

MISSING = object()


class PlanRecord:
    """A JSON object at `where` in `path`; every read raises SettingError for a value that makes no sense."""

    def __init__(self, path: Path, where: str, values: Any, known: Collection[str]):
        self.path, self.where, self.known = path, where, known
        if not isinstance(values, dict):
            raise SettingError(f"{path}: {where or 'the plan'} is {values!r}: give an object with {', '.join(known)}")
        self.values: dict[str, Any] = values
        for name in values:
            if name not in known:
                raise SettingError(f"{self.place(name)} is unknown: known are {', '.join(known)}")

    def place(self, name: str) -> str:
        """Returns where a field stands, such as `plan.json: rows[2].seeds`."""
        return f"{self.path}: {self.where}.{name}" if self.where else f"{self.path}: {name}"

    def wrong(self, name: str, rule: str) -> SettingError:
        """Returns the error for a field that breaks `rule`, with its value."""
        return SettingError(f"{self.place(name)}={json.dumps(self.values.get(name))} {rule}")

    def has(self, name: str) -> bool:
        """Whether the field is given; null is not."""
        return self.values.get(name) is not None

    def _value(self, name: str, default: Any) -> Any:
        if self.has(name):
            return self.values[name]
        if default is MISSING:
            raise SettingError(f"{self.place(name)} is missing: `compare PLAN --example` writes a whole plan")
        return default

    def text(self, name: str, default: Any = MISSING, choices: Collection[str] | None = None) -> str:
        """Returns a text that is not empty, one of `choices` where there are any."""
        value = self._value(name, default)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name, "is no text: give one in quotes")
        if choices is not None and value not in choices:
            raise self.wrong(name, f"is unknown: choose one of {', '.join(choices)}")
        return value

    def number(self, name: str, default: Any, low: int) -> int:
        """Returns a whole number of at least `low`."""
        value = self._value(name, default)
        if type(value) is not int or value < low:
            raise self.wrong(name, f"is no such number: give a whole one, at least {low}")
        return value

    def numbers(self, name: str, default: Collection[int], low: int) -> tuple[int, ...]:
        """Returns different whole numbers of at least `low`."""
        values = self._value(name, list(default))
        fits = isinstance(values, list) and all(type(one) is int and one >= low for one in values)
        if not fits or len(set(values)) < len(values):
            raise self.wrong(name, f"is no such list: give different whole numbers, at least {low}, as [0, 1]")
        return tuple(values)

    def flag(self, name: str) -> bool:
        """Returns true or false; false when it is not given."""
        value = self._value(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, "is neither: give true or false")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """Returns a JSON object as it is, empty when it is not given."""
        value = self._value(name, {})
        if not isinstance(value, dict):
            raise self.wrong(name, 'is no object: give names with values, as {"temperature": 1}')
        return value

    def records(self, name: str, known: Collection[str]) -> list[PlanRecord]:
        """Returns the objects of a list that is not empty."""
        values = self._value(name, MISSING)
        if not isinstance(values, list) or not values:
            raise self.wrong(name, "is no list: give at least one object in []")
        return [PlanRecord(self.path, f"{name}[{i}]", one, known) for i, one in enumerate(values)]

    def folder(self, name: str, root: Path) -> Path:
        """Returns a folder that exists; relative ones start at `root`."""
        folder = root / self.text(name)
        if not folder.is_dir():
            raise self.wrong(name, f"is no folder ({folder} is not there): mend the path, or give --root DIR")
        return folder


def read_plan_file(path: Path, known: Collection[str]) -> PlanRecord:
    """Returns the object in a JSON file. Raises SettingError when there is none."""
    try:
        return PlanRecord(path, "", json.loads(path.read_text()), known)
    except FileNotFoundError:
        raise SettingError(f"no plan at {path}: `compare {path} --example` writes one to start from") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} is not JSON ({error}): mend it there") from None
    except OSError as error:
        raise SettingError(f"{path} cannot be read ({error.strerror}): give the JSON file of a plan") from None
