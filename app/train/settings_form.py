"""Settings of the core as fields on the page: one field a setting, with meaning and range; and the arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, fields
from typing import Any

import streamlit as st

from picie_core.errors import SettingError
from picie_core.settings import EmbedderSettings, SampleSettings, option_name
from picie_core.training.settings import TrainSettings

LABELS = {
    "k": "Clusters K",
    "overcluster": "Over-clustering",
    "epochs": "Epochs",
    "size_px": "Image size, px",
    "batch": "Batch size",
    "seed": "Seed",
    "backbone": "Backbone",
    "weights": "Weights",
    "stages": "Stages",
    "dim": "Embedding width D",
    "pixels": "Sampled pixels",
    "dense_mb": "Disk for dense features, MB",
    "pool": "Average pooling",
    "context": "Context",
    "decoder": "Initial decoder",
    "stage_norm": "Stage normalisation",
    "upsampling": "Upsampling",
    "padding": "Padding",
    "scales": "Image scales",
    "lr_decoder": "Learning rate, decoder",
    "lr_backbone": "Learning rate, backbone",
    "lr_head": "Learning rate, classifier",
    "train_stages": "Stages that train",
    "crop_scale": "Size of view 1",
    "schedule": "Learning-rate schedule",
    "temperature": "Temperature",
    "balance": "Class weights",
    "labels": "Pseudo-labels",
    "prior_matching": "Prior matching",
    "centroids": "Initial centroids",
    "clustered": "Clustered features",
    "kmeans": "K-means",
    "cluster_images": "Images to cluster",
    "batch_norm": "Batch norm",
    "views": "Sizes of the views",
    "square": "Square",
    "displacement": "Displacement",
    "lamb": "Weight of the marginals",
    "settle": "Early stop",
    "keep_epochs": "Keep every N epochs",
    "precision": "Precision",
    "processes": "Workers",
}

ELSEWHERE = ("head_start", "held_out")
"""Settings of methods that the app does not offer."""
IN_A_ROW = 4
GROUPS = {TrainSettings: "How it learns", SampleSettings: "What it sees", EmbedderSettings: "What the network is"}


def draw_settings(
    settings: Sequence[type],
    main: tuple[str, ...],
    place: str,
    *,
    defaults: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    backbone: str,
) -> dict[str, Any]:
    """Draws a field for every setting, those in `main` in sight and the rest folded away. Returns the values by name.

    defaults: values to start from where they differ from those of the core. recipe: the same, by the chosen recipe;
    its fields have keys of their own, so that each keeps what was typed into it. backbone: what is chosen already; its
    weights have a field of their own.
    """
    known = {one.name: one for kind in settings for one in fields(kind)}
    starts = {name: one.default for name, one in known.items()} | dict(defaults or {}) | dict(recipe or {})
    places = {name: f"{place}_recipe" if name in (recipe or {}) else place for name in known}
    places["weights"] += f"_{backbone}"
    values: dict[str, Any] = {"backbone": backbone}
    for column, name in zip(st.columns(len(main)), main, strict=True):
        with column:
            values[name] = draw_field(known[name], starts[name], places[name])
    with st.expander("More settings"):
        for kind in settings:
            st.caption(GROUPS[kind])
            rest = [one.name for one in fields(kind) if one.name not in (*main, *values, *ELSEWHERE)]
            for row in range(0, len(rest), IN_A_ROW):
                for column, name in zip(st.columns(IN_A_ROW), rest[row : row + IN_A_ROW], strict=False):
                    with column:
                        values[name] = draw_field(known[name], starts[name], places[name])
    return values


def problem_of(settings: Sequence[type], values: Mapping[str, Any]) -> str:
    """Returns why settings with these values cannot be, in the words of the core; empty when they can."""
    for kind in settings:
        try:
            kind(**{one.name: values[one.name] for one in fields(kind) if one.name in values})
        except SettingError as error:
            return str(error)
    return ""


def draw_field(one: Field, start: Any, place: str) -> Any:
    """Draws the field that fits the kind of a setting, with the value `start`, and returns what it holds."""
    meaning = one.metadata.get("help", "")
    text = {"help": meaning[:1].upper() + meaning[1:] + f". Default: {start}.", "key": f"set_{place}_{one.name}"}
    label = LABELS.get(one.name, one.name.replace("_", " ").capitalize())
    choices = one.metadata.get("choices")
    low, high = one.metadata.get("low"), one.metadata.get("high")
    if choices:
        return st.selectbox(label, choices, index=list(choices).index(start), persist_state="session", **text)
    if isinstance(start, int):
        low, high = (None if edge is None else int(edge) for edge in (low, high))
        return st.number_input(label, low, high, start, step=1, persist_state="session", **text)
    if isinstance(start, float):
        low, high = (None if edge is None else float(edge) for edge in (low, high))
        places = decimals(start, low, high)
        step = 10.0 ** (1 - places) if start else 0.01
        shape = f"%.{places}f"
        return st.number_input(label, low, high, start, step=step, format=shape, persist_state="session", **text)
    return st.text_input(label, start, persist_state="session", **text)


def decimals(*numbers: float | None) -> int:
    """Returns how many decimals a field needs to write its start and its limits, two at least.

    Of a small start one more, so that it can be changed by less than itself.
    """
    shown = [f"{number:.6f}".rstrip("0").partition(".")[2] for number in numbers if number is not None]
    small = 0 < abs(numbers[0] or 0.0) < 0.1
    return max(2, *map(len, shown)) + small


def arguments_of(
    settings: Iterable[type],
    values: Mapping[str, Any],
    always: tuple[str, ...] = (),
    recipe: Mapping[str, Any] | None = None,
) -> list[str]:
    """Returns the options of the command line for values that differ from the recipe's or the defaults.

    always: names that are spelt out even so.
    """
    known = {one.name: one.default for kind in settings for one in fields(kind)}
    starts = known | {name: value for name, value in (recipe or {}).items() if name in known}
    chosen = [name for name in known if name in values and (name in always or values[name] != starts[name])]
    return [word for name in chosen for word in ("--" + option_name(name), f"{values[name]}")]
