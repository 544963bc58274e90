"""The curves of a comparison as a picture: a panel for each figure and data set, a colour for each row."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from picie_core.atomic_files import open_atomic
from picie_core.evaluation.comparison.plan import Plan, Row
from picie_core.evaluation.comparison.result import RunResult
from picie_core.evaluation.comparison.table import results_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {
    "loss": "loss (each method its own)",
    "label_entropy": "label entropy (share of log K)",
    "changed_labels": "labels that changed (share)",
    "largest_share": "largest cluster (share)",
    "measured_accuracy": "accuracy, one-to-one, K = classes (%)",
    "measured_miou": "mIoU, one-to-one, K = classes (%)",
}
"""Figure of an epoch -> what stands over its panel."""
COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb5500", "#000000", "#009988", "#882255",
    "#999933", "#777777",
)  # fmt: skip
"""Told apart with and without colour vision; more rows than that change to dashed lines."""


START_STYLE: dict[str, Any] = {"color": "#555555", "linestyle": (0, (1, 2)), "linewidth": 1.2}
Line = dict[int, float]
"""Epoch -> value of one figure of one run."""


def write_curves(path: Path, plan: Plan, results: Mapping[str, RunResult]) -> bool:
    """Writes a PNG of every figure over the epochs: a thin line for each seed, a thick one for their mean.

    Returns whether there was anything to draw: not before a training is done.
    """
    rows = [row for row in plan.rows if row.method != "frozen"]
    runs = plan.runs()
    found = {
        (data.name, row.name): [one.history for one in results_of(row, data.name, runs, results)]
        for data in plan.sets
        for row in rows
    }
    figures = [one for one in PANELS if any(line_of(h, one) for several in found.values() for h in several)]
    sets = [data.name for data in plan.sets if any(found[data.name, row.name] for row in rows)]
    if not figures:
        return False
    lines = {
        (data, one, row.name): [line for h in found[data, row.name] if (line := line_of(h, one))]
        for data in sets
        for one in figures
        for row in rows
    }
    starts = {(data, one): _start(plan, data, one, results) for data in sets for one in figures}
    picture = _draw(figures, sets, rows, lines, starts)
    with open_atomic(path) as file:
        file.write(picture)
    return True


def line_of(history: Sequence[Mapping[str, Any]], figure: str) -> Line:
    """Returns the values of one figure by epoch; empty when the run did not measure it."""
    first = 2 if figure == "changed_labels" else 1  # against the epoch before
    return {line["epoch"]: line[figure] for line in history if figure in line and line["epoch"] >= first}


def _start(plan: Plan, data: str, figure: str, results: Mapping[str, RunResult]) -> float | None:
    """What the frozen start reaches in a measured figure; None for other figures and plans without one."""
    frozen = [row for row in plan.rows if row.method == "frozen"][:1]
    found = [one for row in frozen for one in results_of(row, data, plan.runs(), results)]
    name = figure.removeprefix("measured_")
    if not found or name == figure:
        return None
    return mean(one.figures[f"k{one.classes}"][name] for one in found)


def mean_line(lines: Sequence[Line]) -> Line:
    """Returns the mean of some lines at every epoch that one of them has: some trainings end early."""
    epochs = sorted({epoch for line in lines for epoch in line})
    return {epoch: mean(line[epoch] for line in lines if epoch in line) for epoch in epochs}


def _draw(
    figures: Sequence[str],
    sets: Sequence[str],
    rows: Sequence[Row],
    lines: Mapping[tuple[str, str, str], list[Line]],
    starts: Mapping[tuple[str, str], float | None],
) -> bytes:
    """Returns the PNG: a column for each data set; a single data set takes two."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = len(sets) if len(sets) > 1 else min(2, len(figures))
    down = -(-len(figures) * len(sets) // across)
    legend_columns = min(len(rows), 2 * across)
    height = 2.7 * down + 0.25 * (1 + len(rows) // legend_columns)
    picture = Figure(figsize=(4.8 * across, height), dpi=110, layout="constrained")
    FigureCanvasAgg(picture)
    panels = picture.subplots(down, across, squeeze=False).ravel()
    wanted = [(data, one) for one in figures for data in sets]
    for axes, (data, one) in zip(panels, wanted, strict=False):
        for number, row in enumerate(rows):
            _plot(axes, lines[data, one, row.name], _style(number))
        if (start := starts[data, one]) is not None:
            axes.axhline(start, **START_STYLE)
        _finish(axes, PANELS[one] if len(sets) == 1 else f"{data}: {PANELS[one]}")
    for axes in panels[len(wanted) :]:
        axes.remove()
    handles = [panels[0].plot([], [], linewidth=2, label=row.name, **_style(i))[0] for i, row in enumerate(rows)]
    if any(start is not None for start in starts.values()):
        handles.append(panels[0].plot([], [], label="frozen start", **START_STYLE)[0])
    picture.legend(handles=handles, loc="outside lower center", ncols=legend_columns, fontsize=8, frameon=False)
    file = io.BytesIO()
    picture.savefig(file, format="png")
    return file.getvalue()


def _style(number: int) -> dict[str, Any]:
    dashes = ("-", "--", ":")[number // len(COLOURS) % 3]
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": dashes}


def _plot(axes: Axes, lines: Sequence[Line], style: dict[str, Any]) -> None:
    if len(lines) > 1:
        for line in lines:
            axes.plot(list(line), list(line.values()), linewidth=0.7, alpha=0.55, **style)
    middle = mean_line(lines)
    axes.plot(list(middle), list(middle.values()), linewidth=2, marker=".", markersize=5, **style)


def _finish(axes: Axes, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, fontsize=9)
    axes.set_xlabel("epoch", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
