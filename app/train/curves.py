"""A training on the page: its curves, the health of its labels, and a collapse where there is one."""

from __future__ import annotations

import streamlit as st

from app.shared.charts import curve_figure
from app.shared.formatting import count
from app.train.history import (
    collapse_words,
    column,
    health_measures,
    health_words,
    loss_curves,
    newest,
    read_history,
)
from picie_core.workspace.workspace import Run

QUIET = {"displayModeBar": False}


def draw_curves(run: Run | None, running: bool) -> None:
    """Draws loss and health over the epochs; the place is there before the first epoch is done."""
    history = read_history(run.folder / "history.jsonl") if run else []
    collapse = collapse_words(history, running)
    if collapse:
        st.warning(collapse, icon=":material/warning:")
    epochs = [int(record["epoch"]) for record in history]
    with st.container(height=440, border=False, key="curves"):
        if not history:
            st.caption("The curves start with the first finished epoch.")
            return
        title, curves = loss_curves(history)
        st.plotly_chart(
            curve_figure(epochs, curves, title, 210),
            key=f"loss_{run}",
            config=QUIET,
            alt=f"{title} over {count(len(epochs), 'epoch')}, now {newest(next(iter(curves.values()))):.3g}",
        )
        measures = health_measures(history)
        for place, (name, measure) in zip(st.columns(len(measures)), measures.items(), strict=True):
            values = column(history, name, measure.factor)
            place.plotly_chart(
                curve_figure(epochs, {measure.title: values}, measure.title, 160, measure.from_zero),
                key=f"{name}_{run}",
                config=QUIET,
                alt=f"{measure.title} over the epochs, now {newest(values):.3g}",
            )
        st.caption(health_words(history))
