"""The curve of a training: one line an epoch, as the run wrote it, and what it says of the training's health."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

History = list[dict[str, Any]]

TERMS = {"within": "within views", "cross": "across views", "overcluster": "finer clusters"}
"""The terms of a loss, and how the page calls them."""
INFORMATION = {"information": "information", "overcluster": "finer classes"}
"""The same for IIC, whose loss is nothing but these with the sign changed."""


class Measure(NamedTuple):
    """One small chart: its title, the factor of the unit on screen, and whether the axis starts at zero."""

    title: str
    factor: float
    from_zero: bool


HEALTH = {
    "label_entropy": Measure("Label entropy, 1 = even", 1.0, False),
    "dead_clusters": Measure("Dead clusters", 1.0, True),
    "changed_labels": Measure("Labels changed, %", 100.0, True),
}
LEARNT = {
    "accuracy": Measure("Pixels right, %", 100.0, False),
    "changed_labels": Measure("Labels changed, %", 100.0, True),
}
"""What to look at where the labels are given."""


def read_history(path: Path) -> History:
    """Returns the records of `history.jsonl`, oldest first; a line that is being written is left for the next look."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def column(history: History, name: str, factor: float = 1.0) -> list[float]:
    """Returns one figure over the epochs times `factor`, nan where an epoch has none."""
    return [factor * float(value) if (value := record.get(name)) is not None else float("nan") for record in history]


def _has(history: History, name: str) -> bool:
    return any(record.get(name) is not None for record in history)


def loss_curves(history: History) -> tuple[str, dict[str, list[float]]]:
    """Returns the title of the large chart and its curves by name: what the method of this training has, no more."""
    if _has(history, "information"):
        return "Mutual information, nats", _curves(history, INFORMATION)
    return "Loss", {"total": column(history, "loss"), **_curves(history, TERMS)}


def _curves(history: History, names: dict[str, str]) -> dict[str, list[float]]:
    return {said: column(history, name) for name, said in names.items() if _has(history, name)}


def health_measures(history: History) -> dict[str, Measure]:
    """Returns the small charts to draw: the health of labels that are found, the accuracy where they are given."""
    return LEARNT if _has(history, "accuracy") else HEALTH


def metric_name(name: str) -> str:
    """Returns how the page calls a figure of the running step."""
    return {**TERMS, "accuracy": "pixels right"}.get(name, name)


def health_words(history: History) -> str:
    """Returns what the epochs say about the clusters, in a sentence; empty before the first epoch."""
    if not history:
        return ""
    dead, changed = history[-1].get("dead_clusters"), history[-1].get("changed_labels")
    parts = []
    if dead is not None and not _has(history, "accuracy"):
        parts.append(_dead_words(int(dead)))
    if changed is not None:
        parts.append(f"{100 * changed:.0f} % of the labels changed in the last epoch")
    before = [f"{record['epoch']}" for record in history if record.get("collapsed")]
    if before and not history[-1].get("collapsed"):
        parts.append(f"it had collapsed in epoch {', '.join(before)} and came back")
    return "; ".join(parts)[:1].upper() + "; ".join(parts)[1:] + "." if parts else ""


def _dead_words(dead: int) -> str:
    if not dead:
        return "no cluster is dead"
    return f"{dead} {'cluster is' if dead == 1 else 'clusters are'} dead: lower K or the learning rates"


def collapse_words(history: History, running: bool) -> str:
    """Returns what to say of a training whose last epoch collapsed, remedy included; empty while it is sound."""
    collapsed = list(takewhile(lambda record: record.get("collapsed"), reversed(history)))
    if not collapsed:
        return ""
    reason = history[-1].get("collapse", "nearly all pixels are in one cluster")
    then = "it learns nothing any more. Stop it, and train again" if running else "it tells little apart. Train again"
    return (
        f"**The training has collapsed** in epoch {collapsed[-1]['epoch']}: {reason}, so {then} "
        f"with {_remedy(history)}."
    )


def _remedy(history: History) -> str:
    """What to change, by where the labels come from: a head, the masks, or clusters whose shares can be held."""
    if _has(history, "information"):
        return "lower rates, that of the classifier too, or with fewer clusters K"
    if _has(history, "accuracy"):
        return "lower rates, or look at the masks: they may hold hardly more than one class"
    return "lower rates of decoder and backbone, a firmer hold on the shares, or class balance −0.5"


def newest(values: Sequence[float]) -> float:
    """Returns the last value of a curve that is a number, nan where none is."""
    known = [value for value in values if not math.isnan(value)]
    return known[-1] if known else math.nan
