"""The table of a comparison in Markdown: mean and standard deviation over seeds of each row on each data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from picie_core.evaluation.comparison.plan import Plan, PlannedRun, Row
from picie_core.evaluation.comparison.prepared_set import PreparedSet
from picie_core.evaluation.comparison.result import RunResult

LEGEND = (
    "Pixel accuracy / mIoU in percent, last epoch: mean ± standard deviation (n - 1) over seeds, of a run the mean of "
    "{seeds}. One-to-one: each class gets one cluster (Hungarian); named: each cluster gets its majority class; own "
    "labels: those of the classifier that the method learnt, matched one-to-one unless it learnt the classes."
)
WAYS = {"one-to-one": "", "named": "_named"}
"""Way of matching -> ending of the names of its figures."""
UNMEASURED = "–"


def compare_table(
    plan: Plan, sets: Mapping[str, PreparedSet], results: Mapping[str, RunResult], failures: Mapping[str, str]
) -> str:
    """Returns the whole page: a table for each data set, then what went wrong; rows without a run yet show dashes.

    results, failures: by the key of the run.
    """
    clusterings = "one clustering" if plan.cluster_seeds == 1 else f"{plan.cluster_seeds} clusterings"
    parts = ["# Comparison", LEGEND.format(seeds=clusterings)]
    runs = plan.runs()
    done = sum(run.key in results for run in runs)
    if done < len(runs):
        parts.append(f"**{done} of {len(runs)} runs are done.** The same command goes on.")
    for one in sets.values():
        parts.append(_set_title(one))
        parts.append(_set_table(plan, one, results))
    lines = [f"- {run.title}: {results[run.key].news}" for run in runs if run.key in results and results[run.key].news]
    lines += [f"- {run.title}: failed: {failures[run.key]}" for run in runs if run.key in failures]
    if lines:
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _set_title(one: PreparedSet) -> str:
    size = one.data.settings.get("size_px")
    at = f" at {size} px" if size else ""
    return (
        f"## {one.data.name}\n\n{one.images} images{at} to train on, {len(one.truth.pairs)} measured, "
        f"{one.classes} classes."
    )


def _set_table(plan: Plan, one: PreparedSet, results: Mapping[str, RunResult]) -> str:
    """All figures of a data set, then those of things and stuff alone where the set knows them."""
    columns = {f"K = {k} {name}": (f"k{k}", way) for k in plan.ks_of(one.classes) for name, way in WAYS.items()}
    if any(row.method not in ("frozen", "picie") for row in plan.rows):
        columns["own labels"] = ("head", "")
    table = _table(plan, one, results, columns, times=True)
    if one.truth.thing_classes is None:
        return table
    parts = {
        f"{part}, {name}": (f"k{one.classes}", f"{way}_{part}")
        for part in ("things", "stuff")
        for name, way in WAYS.items()
    }
    return f"{table}\n\nThings and stuff, K = {one.classes}:\n\n{_table(plan, one, results, parts, times=False)}"


def _table(
    plan: Plan,
    one: PreparedSet,
    results: Mapping[str, RunResult],
    columns: Mapping[str, tuple[str, str]],
    times: bool,
) -> str:
    """A table of pairs; columns: heading -> part of the figures and ending of their names."""
    headings = ["row", "seeds", *columns, *(["an epoch", "training", "whole run"] if times else [])]
    lines = [headings, ["---"] * len(headings)]
    for row in plan.rows:
        found = results_of(row, one.data.name, plan.runs(), results)
        seeds = f"{len(found)}" if len(found) == len(row.seeds) else f"{len(found)} of {len(row.seeds)}"
        pairs = [_pair(found, part, f"accuracy{way}", f"miou{way}") for part, way in columns.values()]
        lines.append([row.name.replace("|", "\\|"), seeds, *pairs, *(_times(found) if times else [])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def results_of(row: Row, data: str, runs: Iterable[PlannedRun], results: Mapping[str, RunResult]) -> list[RunResult]:
    """Returns the finished runs of a row on a data set, by seed."""
    wanted = [run for run in runs if run.row == row and run.data.name == data]
    return [results[run.key] for run in wanted if run.key in results]


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Returns mean and standard deviation (n - 1 in the divisor); None for the deviation of a single value."""
    return mean(values), stdev(values) if len(values) > 1 else None


def _pair(found: list[RunResult], part: str, accuracy: str, miou: str) -> str:
    """A cell such as `52.7 ± 1.2 / 26.2 ± 0.4`; a dash where nothing was measured."""
    shown = [one.figures[part] for one in found if part in one.figures]
    if not shown:
        return UNMEASURED
    return " / ".join(_spread_text([one[figure] for one in shown]) for figure in (accuracy, miou))


def _spread_text(values: list[float]) -> str:
    middle, deviation = spread(values)
    return f"{middle:.1f}" if deviation is None else f"{middle:.1f} ± {deviation:.1f}"


def _times(found: list[RunResult]) -> list[str]:
    """Wall time of an epoch, of the training and of the whole run, means over seeds."""
    if not found:
        return [UNMEASURED] * 3
    trained = [one for one in found if one.history]
    epoch = mean(one.train_s / len(one.history) for one in trained) if trained else None
    return [
        UNMEASURED if epoch is None else seconds_text(epoch),
        UNMEASURED if epoch is None else seconds_text(mean(one.train_s for one in trained)),
        seconds_text(mean(one.total_s for one in found)),
    ]


def seconds_text(seconds: float) -> str:
    """Returns a time such as `4.2 s`, `12 min 5 s` or `2 h 3 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    if round(seconds) < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def summary_rows(plan: Plan, sets: Mapping[str, PreparedSet], results: Mapping[str, RunResult]) -> list[dict[str, Any]]:
    """Returns the table as records: row, set, seeds, each figure with its deviation, seconds."""
    records = []
    for one in sets.values():
        for row in plan.rows:
            found = results_of(row, one.data.name, plan.runs(), results)
            record: dict[str, Any] = {"row": row.name, "set": one.data.name, "seeds": len(found)}
            for part, figures in (found[0].figures if found else {}).items():
                for figure in (one for one in figures if "absent_zero" not in one):
                    middle, deviation = spread([other.figures[part][figure] for other in found])
                    record |= {f"{part}_{figure}": round(middle, 3)}
                    record |= {} if deviation is None else {f"{part}_{figure}_sd": round(deviation, 3)}
            if found:
                record |= {"train_s": round(mean(other.train_s for other in found), 1)}
                record |= {"total_s": round(mean(other.total_s for other in found), 1)}
            records.append(record)
    return records
