"""`compare`: methods on data sets with seeds, in one command that goes on where it was stopped."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock, Timeout

from picie_core.atomic_files import write_json, write_text
from picie_core.cli.embed import embed, frozen_run_name
from picie_core.cli.options import DeviceOption
from picie_core.cli.parser import Job, Option, Stopped
from picie_core.cli.train import train
from picie_core.errors import PicieError, SettingError, WorkspaceBusy
from picie_core.evaluation.comparison.curves import write_curves
from picie_core.evaluation.comparison.plan import (
    LEARN_FROM_MASKS,
    Plan,
    PlannedRun,
    Settings,
    read_plan,
    slug,
    write_example,
)
from picie_core.evaluation.comparison.prepared_set import PreparedSet, prepare_set
from picie_core.evaluation.comparison.result import RunResult, measure_run, read_result, write_result
from picie_core.evaluation.comparison.table import compare_table, summary_rows
from picie_core.progress import Report, read_status
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.training_run import read_history, stored_settings
from picie_core.workspace.workspace import Run, Workspace


def compare(
    plan: Annotated[Path, Option("JSON file that says what to compare", positional=True)],
    out: Annotated[Path | None, Option("folder for everything; the same one goes on with a stopped comparison")] = None,
    root: Annotated[Path | None, Option("where relative paths of the plan start; without it the plan's folder")] = None,
    example: Annotated[bool, Option("write an example of a plan to PLAN, and stop")] = False,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Compare methods, recipes or single settings on data sets, over seeds: a table with means and deviations.

    Advice: start with --example. Stop it whenever you like, and give the same command again: finished runs are kept,
    a half-trained one goes on, rows that were added or changed are made. DIR/compare.md and DIR/curves.png are
    written anew after every run. Look at the runs of a data set in the app: -- --workspace DIR/sets/NAME/workspace.
    """
    if example:
        return write_example(plan)
    if out is None:
        raise SettingError("out is missing: give --out DIR, a folder for the runs and the table")
    wanted = read_plan(plan, root)
    with _alone(out):
        return _Comparison(wanted, out.absolute(), device).run()


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Holds the folder of a comparison; the system frees it even after kill -9."""
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / "compare.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PicieError(f"{out} is in use by another comparison: wait for it, or give another --out") from None
    try:
        yield
    finally:
        lock.release()


@dataclass
class _Comparison:
    """A comparison on its way."""

    plan: Plan
    out: Path
    device: str
    sets: dict[str, PreparedSet] = field(default_factory=dict)
    results: dict[str, RunResult] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Makes what is missing, run by run, and returns the table as records. Raises PicieError if a run failed."""
        from picie_core.models.embedder import pick_device

        pick_device(self.device)
        self.sets = {one.name: prepare_set(one, self.out / "sets" / slug(one.name)) for one in self.plan.sets}
        runs = self.plan.runs()
        for planned in runs:
            planned.settings(self.sets[planned.data.name].classes)  # a K that fits no over-clustering shows now
            stored = read_result(self._path(planned), self._made_of(planned))
            if stored is not None:
                self.results[planned.key] = stored
        todo = [planned for planned in runs if planned.key not in self.results]
        self._show()
        for number, planned in enumerate(todo):
            self._try(planned, f"run {number + 1} of {len(todo)}")
            self._show()
        if self.failures:
            first = next(planned.title for planned in runs if planned.key in self.failures)
            raise PicieError(
                f"{len(self.failures)} of {len(runs)} runs failed, such as {first}: "
                f"{next(iter(self.failures.values()))}; see {self.out / 'compare.md'}"
            )
        return {
            "table": str(self.out / "compare.md"),
            "curves": str(self.out / "curves.png"),
            "runs": len(runs),
            "made_now": len(todo),
            "rows": summary_rows(self.plan, self.sets, self.results),
        }

    def _path(self, planned: PlannedRun) -> Path:
        return self.out / "rows" / f"{planned.key}.json"

    def _made_of(self, planned: PlannedRun) -> dict[str, Any]:
        """What decides the figures of a run, as the plan says it: paths as written, so that folders may move."""
        data, row, classes = self.sets[planned.data.name], planned.row, self.sets[planned.data.name].classes
        training, embedder, sampling = planned.settings(classes)
        weights = Path(embedder.weights).name
        return {
            "set": data.data.written,
            "method": row.method,
            "settings": {**asdict(training), **asdict(embedder), **asdict(sampling), "weights": weights},
            "ks": self.plan.ks_of(classes),
            "cluster_seeds": self.plan.cluster_seeds,
            "curves": self.plan.curves and row.method != "frozen",
        }

    def _show(self) -> None:
        """Writes the table and the curves of what there is."""
        write_text(self.out / "compare.md", compare_table(self.plan, self.sets, self.results, self.failures))
        write_curves(self.out / "curves.png", self.plan, self.results)

    def _try(self, planned: PlannedRun, number: str) -> None:
        """Makes one run; a failure is noted, and the others go on."""
        data = self.sets[planned.data.name]
        try:
            with Job(data.workspace, "compare") as job:
                job.note(f"{number}: {planned.title}")
                result = self._make(planned, data, job)
                job.done({"run": result.run, **result.figures})
        except WorkspaceBusy:
            raise
        except Stopped:
            raise Stopped(f"stopped in {planned.title}; the same command goes on") from None
        except PicieError as error:
            self.failures[planned.key] = str(error)
            job.note(f"{planned.title} failed: {error}")
            return
        write_result(self._path(planned), result)
        self.results[planned.key] = result
        (data.workspace.run_dir(result.run) / "checkpoint.pt").unlink(missing_ok=True)  # a finished run needs none
        shutil.rmtree(data.workspace.run_dir(result.run) / "epochs", ignore_errors=True)

    def _make(self, planned: PlannedRun, data: PreparedSet, job: Job) -> RunResult:
        workspace, classes = data.workspace, data.classes
        curves = self.plan.curves and planned.row.method != "frozen"
        settings = planned.settings(classes, curves)
        if planned.row.method == "frozen":
            run = _frozen_run(workspace, settings, self.device)
        else:
            masks = planned.data.masks if planned.row.method in LEARN_FROM_MASKS else None
            run = _trained_run(workspace, planned.row.method, settings, masks, self.device)
        job.status.name_run(run)
        start = time.monotonic()
        ks, seeds = self.plan.ks_of(classes), self.plan.cluster_seeds
        figures = measure_run(workspace.run(run), data.truth, ks, seeds, self.device, job)
        measured_s = time.monotonic() - start
        history = read_history(workspace, run)
        if curves:
            history = _with_figures(history, workspace, run, data, self.device, job)
        collapsed = [line["epoch"] for line in history if line["collapsed"]]
        return RunResult(
            row=planned.row.name,
            data=planned.data.name,
            seed=planned.seed,
            run=run,
            figures=figures,
            images=len(workspace.image_list().readable),
            classes=classes,
            train_s=sum(line["seconds"] for line in history),
            total_s=sum(_sessions(workspace, run).values()) + measured_s,
            history=history,
            news=f"collapsed in epoch {collapsed[0]}" if collapsed else "",
            made_of=self._made_of(planned),
        )


# -- the runs of a workspace


def _frozen_run(workspace: Workspace, settings: Settings, device: str) -> str:
    """Returns the frozen run with these settings, made unless it is there."""
    _, embedder, sampling = settings
    run = frozen_run_name(embedder, sampling)
    if not any(info.id == run and info.state == "done" for info in workspace.runs()):
        embed(workspace.root, embedder, sampling, device=device)
    _count_session(workspace, "embed", run)
    return run


def _trained_run(workspace: Workspace, method: str, settings: Settings, masks: Path | None, device: str) -> str:
    """Returns the trained run with these settings: there already, gone on with, or made."""
    found = find_run(workspace, method, settings, masks)
    if found is not None:
        _count_session(workspace, "train", found.id)
        if found.state == "done":
            return found.id
    resume = found.id if found else None
    training, embedder, sampling = settings
    made = train(workspace.root, training, embedder, sampling, method=method, masks=masks, resume=resume, device=device)
    run = made["run"]
    _count_session(workspace, "train", run)
    return run


def find_run(workspace: Workspace, method: str, settings: Settings, masks: Path | None) -> RunInfo | None:
    """Returns the run that was made with exactly these settings, a finished one first; None when there is none."""
    more = {"start": None, "masks": None if masks is None else str(masks.absolute())}
    same = [
        info
        for info in workspace.runs()
        if info.method == method
        and stored_settings(info) == settings
        and all(info.settings.get(name) == value for name, value in more.items())
    ]
    return min(same, key=lambda info: (info.state != "done", -info.created), default=None)


def _sessions(workspace: Workspace, run: str) -> dict[str, float]:
    """Seconds of each time that a run was worked on, by when it began."""
    path = workspace.run_dir(run) / "sessions.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _count_session(workspace: Workspace, command: str, run: str) -> None:
    """Adds the time of the last job of `command` to the run's, if it worked on it, however it ended."""
    status = read_status(workspace.job_path(command))
    if status is not None and status.run == run:
        spent = {f"{command} {status.started}": round(status.heartbeat - status.started, 3)}
        write_json(workspace.run_dir(run) / "sessions.json", {**_sessions(workspace, run), **spent})


def _with_figures(
    history: list[dict[str, Any]], workspace: Workspace, run: str, data: PreparedSet, device: str, report: Report
) -> list[dict[str, Any]]:
    """Returns the history with the figures of each epoch's network, clustered once at K = number of classes."""
    from picie_core.models.embedder import FrozenEmbedder, load_embedder
    from picie_core.workspace.embedding import make_sample

    path, sampling = workspace.run_dir(run) / "epoch_figures.json", stored_settings(workspace.run_info(run))[2]
    if not path.exists():
        measured = {}
        for line in history:
            one = f"{run}/epochs/{line['epoch']:03d}"  # a small run inside of the run
            network, _ = load_embedder(workspace.run_dir(one) / "embedder")
            make_sample(workspace, one, FrozenEmbedder(network, device), sampling, report=report)
            (found,) = measure_run(Run(workspace, one), data.truth, [data.classes], 1, device, report).values()
            measured[line["epoch"]] = {f"measured_{figure}": value for figure, value in found.items()}
        write_json(path, measured)
    figures = json.loads(path.read_text())
    return [{**line, **figures[str(line["epoch"])]} for line in history]
