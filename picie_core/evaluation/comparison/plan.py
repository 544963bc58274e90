"""The plan of a comparison: which rows on which data sets with which seeds; read from JSON and checked whole."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from picie_core.atomic_files import write_text
from picie_core.errors import PicieError, SettingError
from picie_core.evaluation.comparison.plan_record import PlanRecord, read_plan_file
from picie_core.settings import EmbedderSettings, SampleSettings, TrainSettings
from picie_core.training.losses import METHODS
from picie_core.training.recipes import RECIPES, recipe_settings

Settings = tuple[TrainSettings, EmbedderSettings, SampleSettings]

PLAN_FIELDS = ("sets", "rows", "seeds", "epochs", "ks", "cluster_seeds", "weights", "settings", "curves")
SET_FIELDS = ("name", "images", "val_images", "val_masks", "masks", "count", "size", "batch")
ROW_FIELDS = ("name", "method", "recipe", "settings", "seeds", "epochs")
ROW_METHODS = ("frozen", *METHODS)
LEARN_FROM_MASKS = ("supervised", "probe")
WEIGHT_WORDS = ("imagenet", "none")

EXAMPLE = """{
 "sets": [
  {"name": "sample", "images": "sample_data/images", "masks": "sample_data/masks",
   "val_images": "sample_data/images", "val_masks": "sample_data/masks", "count": 24, "size": 160, "batch": 8}
 ],
 "weights": "none",
 "seeds": [0, 1],
 "epochs": 2,
 "ks": [27],
 "rows": [
  {"name": "frozen start", "method": "frozen"},
  {"name": "PiCIE", "method": "picie"},
  {"name": "PiCIE + H", "method": "picie", "settings": {"overcluster": 100}},
  {"name": "PiCIE, temperature 1", "method": "picie", "settings": {"temperature": 1}},
  {"name": "MDC", "method": "mdc", "seeds": [0]},
  {"name": "supervised", "method": "supervised", "seeds": [0], "epochs": 4}
 ]
}
"""


@dataclass(frozen=True)
class ComparedSet:
    """A data set: images to train on, and images with ground truth to measure on."""

    name: str
    images: Path
    val_images: Path
    val_masks: Path
    masks: Path | None
    """Ground truth of the training images, for supervised and probe."""
    count: int
    """Train on a seeded choice of that many images; 0 is all."""
    settings: dict[str, Any]
    """size_px and batch, where the plan says them."""
    written: dict[str, Any]
    """The set as the plan has it."""


@dataclass(frozen=True)
class Row:
    """A line of the table: a method with its settings, over some seeds."""

    name: str
    method: str
    recipe: str
    settings: dict[str, Any]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What is compared."""

    sets: tuple[ComparedSet, ...]
    rows: tuple[Row, ...]
    ks: tuple[int, ...]
    """K to cluster and measure at, besides the number of classes."""
    cluster_seeds: int
    curves: bool
    """Whether the network of every epoch is measured too."""

    def runs(self) -> list[PlannedRun]:
        """Returns every run, seed by seed, so that a whole table of one seed is there first."""
        seeds = sorted({seed for row in self.rows for seed in row.seeds})
        return [
            PlannedRun(row, data, seed)
            for seed in seeds
            for data in self.sets
            for row in self.rows
            if seed in row.seeds
        ]

    def ks_of(self, classes: int) -> list[int]:
        """Returns every K to measure at, the number of classes first."""
        return [classes, *(k for k in self.ks if k != classes)]


@dataclass(frozen=True)
class PlannedRun:
    """One row on one data set with one seed."""

    row: Row
    data: ComparedSet
    seed: int

    @property
    def title(self) -> str:
        """What a person reads, such as `camvid, PiCIE, seed 0`."""
        return f"{self.data.name}, {self.row.name}, seed {self.seed}"

    @property
    def key(self) -> str:
        """The name of its files."""
        return f"{slug(self.row.name)}-{slug(self.data.name)}-{self.seed}"

    def settings(self, classes: int, curves: bool = False) -> Settings:
        """Returns what it is trained with: recipe, then data set, then row; K is `classes` unless the row says it."""
        keep = {"keep_epochs": 1} if curves else {}
        given = {"k": classes, "dense_mb": 0, **keep, **self.data.settings, **self.row.settings, "seed": self.seed}
        method = "picie" if self.row.method == "frozen" else self.row.method
        return recipe_settings(self.row.recipe, method, **given)


def slug(name: str) -> str:
    """Returns a name as a file name: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")


def write_example(path: Path) -> dict[str, Any]:
    """Writes a plan over the sample images to start from. Raises SettingError rather than overwrite a file."""
    if path.exists():
        raise SettingError(f"{path} exists: give the name of a new file")
    write_text(path, EXAMPLE)
    return {"plan": str(path), "fields": ", ".join(PLAN_FIELDS), "of a set": ", ".join(SET_FIELDS),
            "of a row": ", ".join(ROW_FIELDS), "settings of a row": ", ".join(sorted(_known_settings()))}  # fmt: skip


def read_plan(path: Path, root: Path | None = None) -> Plan:
    """Returns the plan in a JSON file, checked to the last setting, so that nothing fails after hours.

    root: where relative paths start; without it the folder of the plan. Raises SettingError that names file, place,
    value and remedy.
    """
    root = (path.parent if root is None else root).absolute()
    record = read_plan_file(path, PLAN_FIELDS)
    sets = tuple(_read_set(one, root) for one in record.records("sets", SET_FIELDS))
    rows = tuple(_read_row(one, record, root) for one in record.records("rows", ROW_FIELDS))
    for name, several in (("sets", [one.name for one in sets]), ("rows", [one.name for one in rows])):
        _check_names(path, name, several)
    plan = Plan(sets, rows, record.numbers("ks", (), 2), record.number("cluster_seeds", 5, 1), record.flag("curves"))
    _check_settings(path, plan)
    return plan


def _read_set(record: PlanRecord, root: Path) -> ComparedSet:
    settings = {
        field: record.number(name, None, 1)
        for name, field in (("size", "size_px"), ("batch", "batch"))
        if record.has(name)
    }
    return ComparedSet(
        record.text("name"),
        record.folder("images", root),
        record.folder("val_images", root),
        record.folder("val_masks", root),
        record.folder("masks", root) if record.has("masks") else None,
        record.number("count", 0, 0),
        settings,
        record.values,
    )


def _read_row(record: PlanRecord, plan: PlanRecord, root: Path) -> Row:
    """Returns a row with what the plan says for all rows and the row does not say itself."""
    method = record.text("method", choices=ROW_METHODS)
    own = _read_settings(record)
    epochs = record if record.has("epochs") else plan
    trained = {"epochs": epochs.number("epochs", None, 1)} if epochs.has("epochs") else {}
    settings = {"weights": plan.text("weights", "imagenet"), **trained, **_read_settings(plan), **own}
    if settings["weights"] not in WEIGHT_WORDS:
        settings["weights"] = str(root / settings["weights"])
        if not Path(settings["weights"]).is_file():
            raise plan.wrong("weights", f"is no file ({settings['weights']} is not there): mend it, or give --root DIR")
    if method == "frozen":
        _refuse_training(record, own)
    seeds = (record if record.has("seeds") else plan).numbers("seeds", (0,), 0)
    if not seeds:
        raise record.wrong("seeds", "is empty: give at least one, as [0]")
    return Row(record.text("name"), method, record.text("recipe", "default", RECIPES), settings, seeds)


def _known_settings() -> dict[str, type]:
    """Every setting that a row may change, with its class."""
    kinds = (TrainSettings, EmbedderSettings, SampleSettings)
    fixed = ("seed", "epochs", "processes", "keep_epochs", "dense_mb")
    return {one.name: kind for kind in kinds for one in fields(kind) if one.name not in fixed}


def _read_settings(record: PlanRecord) -> dict[str, Any]:
    """Returns single settings by their names in the library; the names of the command line are understood too."""
    known, read = _known_settings(), {}
    for written, value in record.mapping("settings").items():
        name = written.replace("-", "_")
        name = f"{name}_px" if f"{name}_px" in known else name
        place = record.place(f"settings.{written}")
        if name not in known:
            more = " (seeds and epochs stand in the row itself)" if name in ("seed", "seeds", "epochs") else ""
            raise SettingError(f"{place} is unknown{more}: known are {', '.join(sorted(known))}")
        default: Any = next(one.default for one in fields(known[name]) if one.name == name)
        if type(value) is not type(default) and not (type(default) is float and type(value) is int):
            kind = {int: "a whole number", float: "a number", str: "a text"}[type(default)]
            raise SettingError(f"{place}={json.dumps(value)} is of another kind: give {kind}, such as {default}")
        read[name] = type(default)(value)
    return read


def _refuse_training(record: PlanRecord, own: dict[str, Any]) -> None:
    wrong = [name for name in own if _known_settings()[name] is TrainSettings]
    wrong += ["epochs"] * record.has("epochs")
    if wrong:
        raise SettingError(f"{record.place(wrong[0])} has no meaning: method frozen is not trained, leave it out")


def _check_names(path: Path, kind: str, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if not slug(name):
            raise SettingError(f"{path}: {kind} has the name {name!r}: give one with letters or digits")
        if slug(name) in seen:
            raise SettingError(f"{path}: {kind} has the names {seen[slug(name)]!r} and {name!r}: give different ones")
        seen[slug(name)] = name


def _check_settings(path: Path, plan: Plan) -> None:
    """Raises SettingError for a setting out of its range, or a data set that lacks what a row needs."""
    for number, row in enumerate(plan.rows):
        for data in plan.sets:
            if row.method in LEARN_FROM_MASKS and data.masks is None:
                raise SettingError(
                    f"{path}: rows[{number}] {row.name!r} learns from masks, set {data.name!r} has none for its "
                    "training images: give masks there, or leave the row out"
                )
            try:
                PlannedRun(row, data, row.seeds[0]).settings(2)
            except PicieError as error:
                raise SettingError(f"{path}: rows[{number}] {row.name!r} on set {data.name!r}: {error}") from None
