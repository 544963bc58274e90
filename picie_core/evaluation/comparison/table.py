"""The table of a comparison in Markdown: mean and standard deviation over seeds of each row on each data set.

The results of single runs are stored as JSON and gathered by row and data set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from picie_core.atomic_files import write_json

LEGEND = (
    "Pixel accuracy / mIoU in percent, last epoch: mean ± standard deviation (n - 1) over seeds, of a run the mean of "
    "{clusterings}. One-to-one: each class gets one cluster (Hungarian); named: each cluster gets its majority class; "
    "own labels: those of the classifier that the method learnt, matched one-to-one unless it learnt the classes."
)
MATCHINGS = {"one-to-one": "", "named": "_named"}
"""How clusters are matched -> ending of the names of its metrics."""
UNMEASURED = "–"


@dataclass(frozen=True)
class RunResult:
    """What one run of a comparison came to; the names of the fields are those of the file."""

    row: str
    data: str
    seed: int
    run: str
    """Its name in the workspace of the data set."""
    figures: dict[str, dict[str, float]]
    """`k11` (clustered at K = 11) or `head` (the classifier's own labels) -> metric -> percent."""
    images: int
    """Images that it was trained on."""
    classes: int
    train_s: float
    """Seconds of all epochs, clustering included; 0 for a frozen start."""
    total_s: float
    """Seconds of starting, training, embedding, clustering and measuring; before a stop, of whole epochs."""
    history: list[dict[str, Any]]
    """The metrics of each epoch."""
    news: str
    """What a person should know of the run, such as a collapse."""
    made_of: dict[str, Any]
    """What the plan said of it: with another plan the run is made again."""

    def write(self, path: Path) -> None:
        """Stores the result in one step."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path, made_of: dict[str, Any]) -> RunResult | None:
        """Returns the stored result of a run; None when there is none, or one that another plan made."""
        try:
            found = cls(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):  # absent, or of another version: it is made again
            return None
        return found if found.made_of == json.loads(json.dumps(made_of)) else None


@dataclass(frozen=True)
class RowResults:
    """The finished runs of one row of the table on one data set, by seed."""

    name: str
    method: str
    planned: int
    """Runs that there will be, one a seed."""
    runs: Sequence[RunResult]


@dataclass(frozen=True)
class SetResults:
    """What is compared on one data set."""

    name: str
    about: str
    """A line on its images."""
    ks: Sequence[int]
    """The K that it is measured at, the number of classes first."""
    rows: Sequence[RowResults]


def compare_table(sets: Sequence[SetResults], notes: Sequence[str], cluster_seeds: int) -> str:
    """Returns the whole page: a table for each data set, then the notes; rows without a run yet show dashes."""
    clusterings = "one clustering" if cluster_seeds == 1 else f"{cluster_seeds} clusterings"
    parts = ["# Comparison", LEGEND.format(clusterings=clusterings)]
    rows = [row for data in sets for row in data.rows]
    done, planned = sum(len(row.runs) for row in rows), sum(row.planned for row in rows)
    if done < planned:
        parts.append(f"**{done} of {planned} runs are done.** The same command goes on.")
    for data in sets:
        parts += [f"## {data.name}", f"{data.about}, {data.ks[0]} classes."]
        columns = {f"K = {k} {name}": (f"k{k}", end) for k in data.ks for name, end in MATCHINGS.items()}
        if any(row.method not in ("frozen", "picie") for row in data.rows):
            columns["own labels"] = ("head", "")
        parts.append(_table(data.rows, columns, times=True))
        k = f"k{data.ks[0]}"
        if any("accuracy_things" in run.figures[k] for row in data.rows for run in row.runs):
            columns = {
                f"{part}, {name}": (k, f"{end}_{part}")
                for part in ("things", "stuff")
                for name, end in MATCHINGS.items()
            }
            parts += [f"Things and stuff, K = {data.ks[0]}:", _table(data.rows, columns, times=False)]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[RowResults], columns: Mapping[str, tuple[str, str]], times: bool) -> str:
    """A table of accuracy and mIoU; columns: heading -> part of the metrics and ending of their names."""
    headings = ["row", "seeds", *columns, *(["an epoch", "training", "whole run"] if times else [])]
    lines = [headings, ["---"] * len(headings)]
    for row in rows:
        seeds = f"{len(row.runs)}" if len(row.runs) == row.planned else f"{len(row.runs)} of {row.planned}"
        cells = []
        for part, end in columns.values():
            measured = [run.figures[part] for run in row.runs if part in run.figures]
            pair = [spread_text([one[name + end] for one in measured]) for name in ("accuracy", "miou") if measured]
            cells.append(" / ".join(pair) or UNMEASURED)
        lines.append([row.name.replace("|", "\\|"), seeds, *cells, *(_times(row.runs) if times else [])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _times(runs: Sequence[RunResult]) -> list[str]:
    """Wall time of an epoch, of the training and of the whole run, means over seeds."""
    trained = [run for run in runs if run.history]
    seconds = (
        [run.train_s / len(run.history) for run in trained],
        [run.train_s for run in trained],
        [run.total_s for run in runs],
    )
    return [seconds_text(mean(one)) if one else UNMEASURED for one in seconds]


def spread_text(values: Sequence[float]) -> str:
    """Returns mean and standard deviation (n - 1 in the divisor), such as `52.7 ± 1.2`; of one value no deviation."""
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{mean(values):.1f}"


def seconds_text(seconds: float) -> str:
    """Returns a time such as `4.2 s`, `12 min 5 s` or `2 h 3 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    if round(seconds) < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def table_records(sets: Sequence[SetResults]) -> list[dict[str, Any]]:
    """Returns the table as records: row, set, seeds, each metric with its deviation, seconds."""
    records = []
    for name, row in ((one.name, row) for one in sets for row in one.rows):
        record: dict[str, Any] = {"row": row.name, "set": name, "seeds": len(row.runs)}
        for run in row.runs[:1]:
            for part, metric in ((part, one) for part, metrics in run.figures.items() for one in metrics):
                values = [one.figures[part][metric] for one in row.runs]
                if "absent_zero" not in metric:
                    record[f"{part}_{metric}"] = round(mean(values), 3)
                    record |= {f"{part}_{metric}_sd": round(stdev(values), 3)} if len(values) > 1 else {}
            record["train_s"] = round(mean(one.train_s for one in row.runs), 1)
            record["total_s"] = round(mean(one.total_s for one in row.runs), 1)
        records.append(record)
    return records
