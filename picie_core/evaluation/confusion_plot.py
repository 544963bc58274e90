"""The confusion of clusters and classes as a picture: a row a cluster, by the class that it is mostly made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from picie_core.atomic_files import open_atomic
from picie_core.evaluation.metrics import match_identity, match_majority, match_one_to_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_IN, COLUMN_IN = 0.17, 0.42
"""Height and width of a cell, in inches; rows are twice as high where there are few."""
MAX_HEIGHT_IN = 400
"""As high as a picture can be drawn."""
FEW_ROWS = 40
"""Up to so many rows, cells are large enough for numbers."""
SHOWN_PERCENT = 3
"""Smaller shares have no number: they would hide the pattern."""
DOTS_PER_INCH = 130
MATCHED_COLOR = "#d55e00"


def write_confusion_picture(
    path: Path, counts: np.ndarray, class_names: Sequence[str], title: str = "", row_names: Sequence[str] = ()
) -> None:
    """Writes `confusion_figure` as a PNG file. Raises PicieError when it cannot be written."""
    figure = confusion_figure(counts, class_names, title, row_names)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomic(path) as file:
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH)


def confusion_figure(
    counts: np.ndarray, class_names: Sequence[str], title: str = "", row_names: Sequence[str] = ()
) -> Figure:
    """Returns the (K, C) confusion drawn with the share of each class in each cluster, so that every row sums to 1.

    Rows are sorted by the class that most of a cluster belongs to, large clusters first; the cell of the one class that
    a cluster is matched to one-to-one is outlined. row_names: of rows that are classes, which stay in their order.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = np.arange(len(counts)) if row_names else row_order(counts)
    matching = match_identity(counts) if row_names else match_one_to_one(counts)
    shares = counts[rows] / np.maximum(counts[rows].sum(1, keepdims=True), 1)
    few = len(rows) <= FEW_ROWS
    height = min(max(len(rows) * ROW_IN * (2 if few else 1), 1.5), MAX_HEIGHT_IN)
    figure = Figure(figsize=(COLUMN_IN * len(class_names) + 2.6, height + 2.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    _label_columns(axes, class_names, few)
    _label_rows(axes, counts, rows, row_names)
    _outline(axes, matching[rows], len(class_names))
    if few:
        _write_numbers(axes, shares)
    axes.set_title(title, loc="left", fontsize=10)
    bar = figure.colorbar(
        image, ax=axes, shrink=min(1, 3 / height), anchor=(0, 1), aspect=20, format=lambda share, _: f"{share:.0%}"
    )
    bar.set_label("share of the cluster's pixels", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def row_order(counts: np.ndarray) -> np.ndarray:
    """Returns the clusters by the class that most of each belongs to, then by size; those without pixels last."""
    majority, size = match_majority(counts), counts.sum(1)
    return np.lexsort((-size, np.where(majority < 0, counts.shape[1], majority)))


def _label_columns(axes: Axes, class_names: Sequence[str], few_rows: bool) -> None:
    axes.set_xticks(range(len(class_names)), class_names, fontsize=9)
    axes.tick_params(axis="x", rotation=45 if few_rows else 90)
    axes.tick_params(axis="x", top=not few_rows, labeltop=not few_rows)  # a tall picture is read from either end
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right" if few_rows else "center")
    axes.set_xlabel("ground truth; outlined: matched one-to-one", fontsize=9)
    axes.set_xticks(np.arange(len(class_names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", axis="x", color="#eeeeee", linewidth=0.6)
    axes.tick_params(which="minor", length=0)


def _label_rows(axes: Axes, counts: np.ndarray, rows: np.ndarray, names: Sequence[str]) -> None:
    """Each row's number or name and its share; lines between clusters of different majority classes."""
    shares = counts.sum(1) / max(counts.sum(), 1)
    labels = [f"{names[row] if names else row}  ({shares[row]:.1%})" for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=9 if len(rows) <= FEW_ROWS else 7)
    axes.set_ylabel(f"{'predicted class' if names else 'cluster'} (share of all pixels)", fontsize=9)
    if not names:
        for row in np.flatnonzero(np.diff(match_majority(counts)[rows])):
            axes.axhline(row + 0.5, color="#bbbbbb", linewidth=0.8)


def _outline(axes: Axes, matching: np.ndarray, classes: int) -> None:
    from matplotlib.patches import Rectangle

    for row, column in enumerate(matching):
        if 0 <= column < classes:
            cell = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, zorder=3)
            cell.set(edgecolor=MATCHED_COLOR, linewidth=1.6)
            axes.add_patch(cell)


def _write_numbers(axes: Axes, shares: np.ndarray) -> None:
    for row, column in np.argwhere(100 * shares >= SHOWN_PERCENT):
        share = shares[row, column]
        color = "white" if share > 0.55 else "#222222"
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7.5, color=color)
