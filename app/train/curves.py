"""A training on the page: the curves of its epochs, the health of its labels, and a collapse where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from app.shared.formatting import count
from app.shared.pictures.charts import curve_figure
from picie_core.workspace.trainings.training_history import collapse_words, read_history
from picie_core.workspace.workspace import Run

History = list[dict[str, Any]]
"""The metrics of each finished epoch, oldest first."""

TERMS = {"within": "within views", "cross": "across views", "overcluster": "over-clustering"}
"""The terms of a loss, and what the page calls them."""
INFORMATION = {"information": "information", "overcluster": "over-clustering"}
"""The same for IIC, whose loss is nothing but these with the sign changed."""
QUIET = {"displayModeBar": False}


class Metric(NamedTuple):
    """One small chart: its title, the factor of the unit on screen, and whether the axis starts at zero."""

    title: str
    factor: float
    from_zero: bool


HEALTH = {
    "label_entropy": Metric("Label entropy, 1 = even", 1.0, False),
    "dead_clusters": Metric("Dead clusters", 1.0, True),
    "changed_labels": Metric("Labels changed, %", 100.0, True),
}
SUPERVISED = {
    "accuracy": Metric("Accuracy, %", 100.0, False),
    "held_out_miou": Metric("mIoU, held-out images, %", 100.0, False),
    "changed_labels": Metric("Labels changed, %", 100.0, True),
}
"""What to look at where the labels come from masks; images are held out where there are enough."""


def draw_curves(run: Run | None, running: bool) -> None:
    """Draws loss and health over the epochs; the place is there before the first epoch is done."""
    history = read_history(run.workspace, run.name) if run else []
    if history and history[-1].get("collapsed"):
        words = collapse_words(history[-1])
        then = "Stop it and train again." if running else "Train again."
        st.warning(f"{words[:1].upper()}{words[1:]}. {then}", icon=":material/warning:")
    with st.container(height=440, border=False, key="curves"):
        if not history:
            st.caption("The curves start with the first finished epoch.")
            return
        epochs = [int(record["epoch"]) for record in history]
        title, curves = loss_curves(history)
        st.plotly_chart(
            curve_figure(epochs, curves, title, height=210),
            key=f"loss_{run}",
            config=QUIET,
            alt=f"{title} over {count(len(epochs), 'epoch')}, now {newest(next(iter(curves.values()))):.3g}",
        )
        charts = SUPERVISED if _has(history, "accuracy") else HEALTH
        metrics = {name: metric for name, metric in charts.items() if _has(history, name)}
        for place, (name, metric) in zip(st.columns(len(metrics)), metrics.items(), strict=True):
            values = column(history, name, metric.factor)
            place.plotly_chart(
                curve_figure(epochs, {metric.title: values}, metric.title, height=160, from_zero=metric.from_zero),
                key=f"{name}_{run}",
                config=QUIET,
                alt=f"{metric.title} over the epochs, now {newest(values):.3g}",
            )
        st.caption(health_words(history))


def metric_name(name: str) -> str:
    """Returns what the page calls a metric of the running step."""
    return TERMS.get(name, name)


def column(history: History, name: str, factor: float = 1.0) -> list[float]:
    """Returns one metric over the epochs times `factor`, nan where an epoch has none."""
    return [factor * float(value) if (value := record.get(name)) is not None else math.nan for record in history]


def newest(values: Sequence[float]) -> float:
    """Returns the last value of a curve that is a number, nan where none is."""
    return next((value for value in reversed(values) if not math.isnan(value)), math.nan)


def loss_curves(history: History) -> tuple[str, dict[str, list[float]]]:
    """Returns the title of the large chart and its curves by name: what the method of this training has, no more."""
    information = _has(history, "information")
    terms = {
        words: column(history, name)
        for name, words in (INFORMATION if information else TERMS).items()
        if _has(history, name)
    }
    return ("Mutual information, nats", terms) if information else ("Loss", {"total": column(history, "loss"), **terms})


def health_words(history: History) -> str:
    """Returns what the epochs say about the clusters, in a sentence."""
    dead, changed = history[-1].get("dead_clusters"), history[-1].get("changed_labels")
    parts = []
    if dead is not None and not _has(history, "accuracy"):
        verb = f"{dead} {'cluster is' if dead == 1 else 'clusters are'} dead: lower K or the learning rates"
        parts.append(verb if dead else "no cluster is dead")
    if changed is not None:
        parts.append(f"{100 * changed:.0f} % of the labels changed in the last epoch")
    collapsed = [f"{record['epoch']}" for record in history if record.get("collapsed")]
    if collapsed and not history[-1].get("collapsed"):
        parts.append(f"it had collapsed in epoch {', '.join(collapsed)} and recovered")
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}." if parts else ""


def _has(history: History, name: str) -> bool:
    return any(record.get(name) is not None for record in history)
