"""Settings of the core as fields on the page: one field a setting, with meaning and range; and the arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import Field, fields
from typing import Any

import streamlit as st

LABELS = {
    "k": "Clusters K",
    "epochs": "Epochs",
    "size_px": "Image size, px",
    "batch": "Images a step",
    "seed": "Seed",
    "backbone": "Backbone",
    "weights": "Weights",
    "stages": "Stages",
    "dim": "Embedding width D",
    "pixels": "Sampled pixels",
    "dense_mb": "Disk for dense cells, MB",
    "lr_decoder": "Rate of the decoder",
    "lr_backbone": "Rate of the backbone",
    "temperature": "Temperature",
    "balance": "Class balance",
    "batch_norm": "Batch norm",
    "cluster_images": "Images a clustering",
    "precision": "Precision",
    "processes": "Processes",
}


def flag_of(name: str) -> str:
    """Returns how the command line spells a setting."""
    return "--" + name.removesuffix("_px").replace("_", "-")


def label_of(name: str) -> str:
    """Returns how the page calls a setting."""
    return LABELS.get(name, name.replace("_", " ").capitalize())


def draw_settings(
    settings: Iterable[type], main: tuple[str, ...], place: str, defaults: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Draws a field for every setting, those in `main` in sight and the rest folded away. Returns the values by name.

    defaults: values to start from where they differ from those of the core.
    """
    known = {one.name: one for kind in settings for one in fields(kind)}
    starts = {name: (defaults or {}).get(name, one.default) for name, one in known.items()}
    values: dict[str, Any] = {}
    for column, name in zip(st.columns(len(main)), main, strict=True):
        with column:
            values[name] = draw_field(known[name], starts[name], place)
    with st.expander("More settings"):
        for row in _rows([name for name in known if name not in main], 4):
            for column, name in zip(st.columns(4), row, strict=False):
                with column:
                    values[name] = draw_field(known[name], starts[name], place)
    return values


def _rows(names: list[str], width: int) -> Iterator[list[str]]:
    for start in range(0, len(names), width):
        yield names[start : start + width]


def draw_field(one: Field, start: Any, place: str) -> Any:
    """Draws the field that fits the kind of a setting and returns its value."""
    meaning = one.metadata.get("help", "")
    text = {"help": meaning[:1].upper() + meaning[1:] + f". Default: {one.default}.", "key": f"set_{place}_{one.name}"}
    label, choices = label_of(one.name), one.metadata.get("choices")
    low, high = one.metadata.get("low"), one.metadata.get("high")
    if choices:
        return st.selectbox(label, choices, index=list(choices).index(start), persist_state="session", **text)
    if isinstance(start, int):
        low, high = (None if edge is None else int(edge) for edge in (low, high))
        return st.number_input(label, low, high, start, step=1, persist_state="session", **text)
    if isinstance(start, float):
        low, high = (None if edge is None else float(edge) for edge in (low, high))
        step = 10.0**-5 if start < 0.01 else 0.05
        shape = "%.5f" if start and abs(start) < 0.01 else "%.2f"
        return st.number_input(label, low, high, start, step=step, format=shape, persist_state="session", **text)
    return st.text_input(label, start, persist_state="session", **text)


def arguments_of(settings: Iterable[type], values: dict[str, Any], always: tuple[str, ...] = ()) -> list[str]:
    """Returns the options of the command line for values that differ from the defaults and those in `always`."""
    known = [one for kind in settings for one in fields(kind)]
    chosen = [one for one in known if one.name in values and (one.name in always or values[one.name] != one.default)]
    return [word for one in chosen for word in (flag_of(one.name), f"{values[one.name]}")]
