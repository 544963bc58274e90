"""The curves of a comparison as a picture: a panel for each metric and data set, a colour for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from picie_core.atomic_files import open_atomic
from picie_core.evaluation.comparison.table import SetResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {
    "loss": "loss (each method its own)",
    "label_entropy": "label entropy (share of log K)",
    "changed_labels": "labels that changed (share)",
    "largest_share": "largest cluster (share)",
}
"""Metric of an epoch -> title of its panel."""
COLORS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb5500", "#000000", "#009988", "#882255",
    "#999933", "#777777",
)  # fmt: skip
"""Distinct with and without colour vision; further rows are dashed."""
Line = dict[int, float]
"""Epoch -> value of one metric of one run."""


def write_curves(path: Path, sets: Sequence[SetResults]) -> bool:
    """Writes a PNG of every metric over the epochs: a thin line for each seed, a thick one for their mean.

    Returns whether there was anything to draw: nothing before a training is done.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    trained = [one for one in sets if any(run.history for row in one.rows for run in row.runs)]
    metrics = [metric for metric in PANELS if any(lines for one in trained for lines in _lines(one, metric).values())]
    if not metrics:
        return False
    wanted = [(metric, one) for metric in metrics for one in trained]
    rows = list(_lines(trained[0], "loss"))
    across = len(trained) if len(trained) > 1 else min(2, len(wanted))
    down, legend_columns = -(-len(wanted) // across), min(len(rows), 2 * across)
    height = 2.7 * down + 0.25 * (1 + len(rows) // legend_columns)
    picture = Figure(figsize=(4.8 * across, height), dpi=110, layout="constrained")
    FigureCanvasAgg(picture)
    panels = picture.subplots(down, across, squeeze=False).ravel()
    styles = {row: {"color": COLORS[i % len(COLORS)], "linestyle": ("-", "--", ":")[i // len(COLORS) % 3]}
              for i, row in enumerate(rows)}  # fmt: skip
    for axes, (metric, one) in zip(panels, wanted, strict=False):
        _draw_panel(axes, one, metric, styles)
        axes.set_title(PANELS[metric] if len(trained) == 1 else f"{one.name}: {PANELS[metric]}", fontsize=9)
    for axes in panels[len(wanted) :]:
        axes.remove()
    handles = [panels[0].plot([], [], linewidth=2, label=row, **style)[0] for row, style in styles.items()]
    picture.legend(handles=handles, loc="outside lower center", ncols=legend_columns, fontsize=8, frameon=False)
    with open_atomic(path) as file:
        picture.savefig(file, format="png")
    return True


def _draw_panel(axes: Axes, data: SetResults, metric: str, styles: Mapping[str, dict[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for row, lines in _lines(data, metric).items():
        for line in lines if len(lines) > 1 else []:
            axes.plot(list(line), list(line.values()), linewidth=0.7, alpha=0.55, **styles[row])
        middle = mean_line(lines)
        axes.plot(list(middle), list(middle.values()), linewidth=2, marker=".", markersize=5, **styles[row])
    axes.set_xlabel("epoch", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _lines(data: SetResults, metric: str) -> dict[str, list[Line]]:
    """The lines of each trained row, one a finished run that has the metric."""
    rows = [row for row in data.rows if row.method not in ("frozen", "probe")]
    return {row.name: [line for run in row.runs if (line := line_of(run.history, metric))] for row in rows}


def line_of(history: Sequence[Mapping[str, Any]], metric: str) -> Line:
    """Returns the values of one metric by epoch; empty when the run did not measure it."""
    first = 2 if metric == "changed_labels" else 1  # against the epoch before
    return {line["epoch"]: line[metric] for line in history if metric in line and line["epoch"] >= first}


def mean_line(lines: Sequence[Line]) -> Line:
    """Returns the mean of some lines at every epoch that one of them has: some trainings end early."""
    epochs = sorted({epoch for line in lines for epoch in line})
    return {epoch: mean(line[epoch] for line in lines if epoch in line) for epoch in epochs}
