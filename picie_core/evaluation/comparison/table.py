"""The page of a comparison in Markdown: mean and standard deviation over seeds of each row on each data set.

It leads with what a user needs: which row gives the best masks when its clusters are named.

The results of single runs are stored as JSON and gathered by row and data set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from picie_core.atomic_files import write_json
from picie_core.settings import MASK_METHODS

LEGEND = (
    "Pixel accuracy / mIoU in percent of {protocol}, last epoch: mean ± standard deviation (n - 1) over seeds, of a "
    "run the mean of {clusterings}. Own images: those of the set's workspace, which were trained on and clustered. "
    "Other images: no training saw them."
)
NAMED = (
    "Named: each cluster has its majority class in the own images, as a person sees and names them. On own images "
    "these are the masks that are exported; on other images, what a network meets. Oracle: each cluster takes its "
    "majority class in the other images themselves, which a person who names has not seen. One-to-one: each class "
    "gets one cluster (Hungarian), on other images, as papers measure."
)
UNMEASURED = "–"
Columns = Mapping[str, tuple[str, str]]
"""Heading -> part of the figures, and ending of the names of its metrics."""


@dataclass(frozen=True)
class RunResult:
    """What one run of a comparison came to; the names of the fields are those of the file."""

    row: str
    data: str
    seed: int
    run: str
    """Its name in the workspace of the data set."""
    figures: dict[str, dict[str, float]]
    """`k11` (clustered at K = 11) or `head` (the classifier's own labels) -> metric, as of `HeadCounts` -> percent."""
    absent: list[str]
    """Sentences on classes that the measured or the own images never show."""
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
    named: bool
    """Whether its own images have masks, so that clusters can be named from them."""


def compare_table(
    sets: Sequence[SetResults], notes: Sequence[str], cluster_seeds: int, centre_square: bool = False
) -> str:
    """Returns the whole page: what named clusters give, then the tables of each data set, then the notes.

    Rows without a run yet show dashes.
    """
    clusterings = "one clustering" if cluster_seeds == 1 else f"{cluster_seeds} clusterings"
    protocol = "the centre square at 320 px (own images: whole)" if centre_square else "whole images"
    parts = ["# Comparison", LEGEND.format(clusterings=clusterings, protocol=protocol), NAMED]
    rows = [row for data in sets for row in data.rows]
    done, planned = sum(len(row.runs) for row in rows), sum(row.planned for row in rows)
    if done < planned:
        parts.append(f"**{done} of {planned} runs are done.** The same command goes on.")
    parts += _masks_of_named_clusters([data for data in sets if data.named])
    for data in sets:
        parts += _set_tables(data)
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def _masks_of_named_clusters(sets: Sequence[SetResults]) -> list[str]:
    """What a person gets who names the clusters of the largest K: the best row of each set, and mIoU of all rows."""
    if not sets:
        return []
    columns: dict[str, list[str]] = {}
    best = []
    for data in sets:
        k = max(data.ks)
        unlabelled = [row for row in data.rows if row.runs and row.method not in MASK_METHODS]
        if unlabelled:
            row = max(unlabelled, key=lambda one: mean(run.figures[f"k{k}"]["miou_own"] for run in one.runs))
            own, others = (_pair(row.runs, f"k{k}", way) for way in ("_own", "_named"))
            best.append(f"- {data.name}, K = {k}: **{row.name}** gives {own} on own images, {others} on others.")
        for title, way in (("own", "_own"), ("others", "_named")):
            texts = {row.name: _spread(row.runs, f"k{k}", f"miou{way}") for row in data.rows}
            columns[f"{data.name}, {title}"] = [texts[row.name] for row in data.rows]
    names = [row.name for row in sets[0].rows]
    lines = zip(names, *columns.values(), strict=True)
    return [
        f"## Masks from {max(sets[0].ks)} named clusters",
        "\n".join(["The best rows that need no masks:", "", *best]) if best else "",
        "mIoU of every row on own images and on others:",
        _markdown(["row", *columns], lines),
    ]


def _set_tables(data: SetResults) -> list[str]:
    """The part of the page on one data set: a table for each K, the largest first, classifiers, things, times."""
    classes = data.ks[0]
    absent = sorted({line for row in data.rows for run in row.runs for line in run.absent})
    parts = [f"## {data.name}", " ".join([f"{data.about}, {classes} classes.", *absent])]
    if not data.named:
        parts.append("Nothing is named here, as its own images have no masks: give the set `masks` in the plan.")
    named = {"own images": "_own", "other images": "_named"} if data.named else {}
    for k in sorted(data.ks, reverse=True):
        ways = {**named, "oracle": "_oracle", **({"one-to-one": ""} if k == classes else {})}
        columns = {heading: (f"k{k}", way) for heading, way in ways.items()}
        parts += [f"K = {k} clusters{', named' if named else ''}:", _table(data.rows, columns)]
    learnt = [row for row in data.rows if row.method not in ("frozen", "picie")]
    if learnt:
        columns = {heading: ("head", way) for heading, way in (named or {"other images": ""}).items()}
        how = "named from the own images" if named else "matched one-to-one"
        parts += [f"Labels of the classifiers that methods learn, {how} unless they learnt the classes:"]
        parts.append(_table(learnt, columns))
    part = f"k{classes}"
    if any("accuracy_things" in run.figures[part] for row in data.rows for run in row.runs):
        ways = {"one-to-one": "", **({"named": "_named"} if named else {}), "oracle": "_oracle"}
        columns = {
            f"{kind}, {name}": (part, f"{end}_{kind}") for kind in ("things", "stuff") for name, end in ways.items()
        }
        parts += [f"Things and stuff on other images, K = {classes}:", _table(data.rows, columns)]
    lines = [[row.name, *_times(row.runs)] for row in data.rows]
    return [*parts, "Wall time:", _markdown(["row", "an epoch", "training", "whole run"], lines)]


def _table(rows: Sequence[RowResults], columns: Columns) -> str:
    """A table of accuracy and mIoU."""
    lines = []
    for row in rows:
        seeds = f"{len(row.runs)}" if len(row.runs) == row.planned else f"{len(row.runs)} of {row.planned}"
        lines.append([row.name, seeds, *(_pair(row.runs, *column) for column in columns.values())])
    return _markdown(["row", "seeds", *columns], lines)


def _markdown(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    cells = [headings, ["---"] * len(headings), *([one.replace("|", "\\|") for one in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _pair(runs: Sequence[RunResult], part: str, way: str) -> str:
    """Accuracy and mIoU of some runs, such as `80.1 ± 0.2 / 41.3 ± 0.9`."""
    accuracy, miou = (_spread(runs, part, f"{metric}{way}") for metric in ("accuracy", "miou"))
    return UNMEASURED if accuracy == UNMEASURED else f"{accuracy} / {miou}"


def _spread(runs: Sequence[RunResult], part: str, metric: str) -> str:
    values = [run.figures[part][metric] for run in runs if metric in run.figures.get(part, {})]
    return spread_text(values) if values else UNMEASURED


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
    """Returns the page as records: row, set, seeds, each metric with its deviation, seconds."""
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
