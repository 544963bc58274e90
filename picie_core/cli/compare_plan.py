"""The plan of a comparison: which rows on which data sets with which seeds; read from TOML and checked whole."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, Field, ValidationInfo

from picie_core.atomic_files import write_text
from picie_core.errors import SettingError
from picie_core.settings import MASK_METHODS, METHODS, EmbedderSettings, SampleSettings
from picie_core.training.recipes import RECIPES, recipe_settings
from picie_core.training.settings import TrainSettings

Settings = tuple[TrainSettings, EmbedderSettings, SampleSettings]

ELSEWHERE = ("seed", "epochs", "processes", "keep_epochs", "dense_mb")
"""Settings that stand elsewhere in a plan, or follow from it."""

EXAMPLE = """\
weights = "none"
seeds = [0, 1]
epochs = 2
ks = [27]
rows = [
  {name = "frozen start", method = "frozen"},
  {name = "PiCIE", method = "picie"},
  {name = "PiCIE + H", method = "picie", settings = {overcluster = 100}},
  {name = "PiCIE, temperature 1", method = "picie", settings = {temperature = 1}},
  {name = "MDC", method = "mdc", seeds = [0]},
  {name = "supervised", method = "supervised", seeds = [0], epochs = 4},
]

[[sets]]
name = "sample"
images = "sample_data/images"
masks = "sample_data/masks"
val_images = "sample_data/images"
val_masks = "sample_data/masks"
count = 24
size = 160
batch = 8
"""


def _folder(value: str, info: ValidationInfo) -> str:
    if not (path := _below_root(value, info)).is_dir():
        raise ValueError(f"no folder at {path}: mend the path, or give --root DIR")
    return value


def _weights(value: str, info: ValidationInfo) -> str:
    if value in ("imagenet", "none"):
        return value
    if not (path := _below_root(value, info)).is_file():
        raise ValueError(f"no file at {path}: give imagenet, none or a path, or give --root DIR")
    return str(path)


def _below_root(value: str, info: ValidationInfo) -> Path:
    assert info.context is not None
    return info.context["root"] / value


def _different(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("a number stands there twice: give different ones")
    return values


Name = Annotated[str, Field(pattern="[a-zA-Z0-9]")]
Folder = Annotated[str, AfterValidator(_folder)]
Weights = Annotated[str, AfterValidator(_weights)]
AtLeast1 = Annotated[int, Field(ge=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_different)]


class Part(pydantic.BaseModel):
    """A table of the plan; unknown names and values of another type are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)

    @property
    def written(self) -> dict[str, Any]:
        """What the plan says, without defaults, its folders as it has them, so that they may move."""
        return self.model_dump(exclude_unset=True)


class Options(Part):
    """Single settings; the names of the command line (`cluster-images`, `size`) are understood too."""

    model_config = {
        "alias_generator": lambda name: name.removesuffix("_px").replace("_", "-"),
        "validate_by_name": True,
    }


if TYPE_CHECKING:
    Method = str
    Recipe = str
    RowSettings = Options
else:
    Method, Recipe = Literal["frozen", *METHODS], Literal[*RECIPES]
    known = [one for kind in (TrainSettings, EmbedderSettings, SampleSettings) for one in fields(kind)]
    kinds = {one.name: (type(one.default), one.default) for one in known if one.name not in ELSEWHERE}
    RowSettings = pydantic.create_model("RowSettings", __base__=Options, **{**kinds, "weights": (Weights, "imagenet")})


class ComparedSet(Part):
    """A data set: images to train on, and images with ground truth to measure on."""

    name: Name
    images: Folder
    val_images: Folder
    val_masks: Folder
    masks: Folder | None = None
    """Ground truth of the training images: clusters are named from it, and supervised and probe learn from it."""
    count: Annotated[int, Field(ge=0)] = 0
    """Train on a seeded choice of that many images; 0 is all."""
    size: AtLeast1 | None = None
    batch: AtLeast1 | None = None


class Row(Part):
    """A row of the table: a method with its settings, over some seeds."""

    name: Name
    method: Method
    recipe: Recipe = "default"
    settings: RowSettings = RowSettings()
    seeds: Seeds | None = None
    """Seeds and epochs are those of the plan unless the row has its own."""
    epochs: AtLeast1 | None = None

    @pydantic.model_validator(mode="after")
    def _frozen_is_not_trained(self) -> Row:
        trained = {one.name for one in fields(TrainSettings)}
        wrong = sorted({*self.written, *self.settings.written} & trained)
        if self.method == "frozen" and wrong:
            raise ValueError(f"{wrong[0]} has no meaning: method frozen is not trained, leave it out")
        return self


class Plan(Part):
    """What is compared."""

    sets: Annotated[list[ComparedSet], Field(min_length=1)]
    rows: Annotated[list[Row], Field(min_length=1)]
    seeds: Seeds = [0]
    epochs: AtLeast1 | None = None
    ks: Annotated[list[Annotated[int, Field(ge=2)]], AfterValidator(_different)] = []
    """K to cluster and measure at, besides the number of classes."""
    cluster_seeds: AtLeast1 = 5
    centre_square: bool = False
    """Measure as the paper does, the centre square at 320 px; whole images otherwise."""
    weights: Weights = "imagenet"
    settings: RowSettings = RowSettings()

    @pydantic.model_validator(mode="after")
    def _is_possible(self) -> Plan:
        """Refuses equal names, a data set without the masks that a row needs, and settings out of their range."""
        for kind, names in (("sets", [one.name for one in self.sets]), ("rows", [one.name for one in self.rows])):
            files = list(map(slug, names))
            twice = [name for name, file in zip(names, files, strict=True) if files.count(file) > 1]
            if twice:
                raise ValueError(f"{kind} has the names {twice[0]!r} and {twice[1]!r}: give different ones")
        for run in self.runs():
            place = f"row {run.row.name!r} on set {run.data.name!r}"
            if run.row.method in MASK_METHODS and run.data.masks is None:
                raise ValueError(f"{place} learns from masks: give the set masks, or leave the row out")
            try:
                sampling = run.settings(2)[2]
            except SettingError as error:
                raise ValueError(f"{place}: {error}") from None
            if max(self.ks, default=0) > sampling.pixels:
                k, pixels = max(self.ks), sampling.pixels
                raise ValueError(f"{place} samples {pixels} pixels, too few for ks with {k}: lower it or raise pixels")
        return self

    def ks_of(self, classes: int) -> list[int]:
        """Returns every K to measure at, the number of classes first."""
        return [classes, *(k for k in self.ks if k != classes)]

    def runs(self) -> list[PlannedRun]:
        """Returns every run, seed by seed, so that a whole table of one seed is there first."""
        runs = [
            PlannedRun(self, row, data, seed)
            for data in self.sets
            for row in self.rows
            for seed in row.seeds or self.seeds
        ]
        return sorted(runs, key=lambda run: run.seed)


@dataclass(frozen=True)
class PlannedRun:
    """One row on one data set with one seed."""

    plan: Plan
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

    def settings(self, classes: int) -> Settings:
        """Returns what it is trained with: recipe, data set, plan, row; K is `classes` unless the plan says it."""
        # The plan's epochs are of methods without labels: bounds train as long as their recipe says.
        usual = None if self.row.method in MASK_METHODS else self.plan.epochs
        data, epochs = self.data, self.row.epochs or usual
        optional = {"size_px": data.size, "batch": data.batch, "epochs": epochs}
        given = {
            **{"k": classes, "dense_mb": 0, "weights": self.plan.weights},
            **{name: value for name, value in optional.items() if value},
            **self.plan.settings.written,
            **self.row.settings.written,
            "seed": self.seed,
        }
        return recipe_settings(self.row.recipe, self.row.method, **given)

    def made_of(self, classes: int) -> dict[str, Any]:
        """Returns what decides its metrics, as the plan says it: paths as written, so that folders may move."""
        settings = {name: value for one in self.settings(classes) for name, value in asdict(one).items()}
        return {
            "set": self.data.written,
            "method": self.row.method,
            "settings": {**settings, "weights": Path(settings["weights"]).name},
            "ks": self.plan.ks_of(classes),
            "cluster_seeds": self.plan.cluster_seeds,
            "measured": "centre square at 320 px" if self.plan.centre_square else "whole images",
        }


def slug(name: str) -> str:
    """Returns a name as a file name: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")


def write_example(path: Path) -> dict[str, Any]:
    """Writes a plan over the sample images to start from. Raises SettingError rather than overwrite a file."""
    if path.exists():
        raise SettingError(f"{path} exists: give the name of a new file")
    write_text(path, EXAMPLE)
    parts: dict[str, Any] = {"fields": Plan, "of a set": ComparedSet, "of a row": Row, "settings of a row": RowSettings}
    return {"plan": str(path), **{name: _names(part) for name, part in parts.items()}}


def read_plan(path: Path, root: Path) -> Plan:
    """Returns the plan in a TOML file, checked to the last setting, so that nothing fails after hours.

    root: where relative paths start. Raises SettingError that names file, place, rule, value and remedy.
    """
    try:
        return Plan.model_validate(tomllib.loads(path.read_text()), context={"root": root})
    except OSError as error:
        raise SettingError(f"no plan at {path} ({error.strerror}): `compare PLAN --example` writes one") from None
    except pydantic.ValidationError as error:
        raise SettingError(f"{path}: {_first_error(error)}") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise SettingError(f"{path} is not TOML ({error}): mend it there") from None


def _first_error(error: pydantic.ValidationError) -> str:
    first = error.errors()[0]
    where, value = first["loc"], first["input"]
    place = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in where).lstrip(".")
    if first["type"] == "extra_forbidden":
        parts: dict[str, Any] = {"sets": ComparedSet, "rows": Row, "settings": RowSettings}
        part = next((parts[str(one)] for one in reversed(where[:-1]) if one in parts), Plan)
        more = " (seeds and epochs stand in the row itself)" if where[-1] in ("seed", "seeds", "epochs") else ""
        return f"{place} is unknown{more}: known are {_names(part)}"
    shown = "" if isinstance(value, dict) else f"={value!r}"
    rule = first["msg"].removeprefix("Value error, ")
    remedy = "" if first["type"] == "value_error" else ": `compare PLAN --example` writes a whole plan"
    return f"{place}{shown}: {rule}{remedy}".removeprefix(": ")


def _names(part: type[Part]) -> str:
    return ", ".join(one.alias or name for name, one in part.model_fields.items())
