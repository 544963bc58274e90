"""`compare`: methods on data sets with seeds, in one command that goes on where it was stopped."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from picie_core.atomic_files import write_json, write_text
from picie_core.cli.embed import embed
from picie_core.cli.job import Job
from picie_core.cli.options import DeviceOption
from picie_core.cli.parser import Option
from picie_core.cli.train import train
from picie_core.data.feature_grid import feature_map_shape
from picie_core.data.images.image_file import scaled_size
from picie_core.data.images.image_folder import find_images
from picie_core.data.images.image_selection import store_selection
from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.errors import PicieError, SettingError, Stopped, WorkspaceBusy
from picie_core.evaluation.comparison.curves import write_curves
from picie_core.evaluation.comparison.table import RowResults, RunResult, SetResults, compare_table, table_records
from picie_core.progress import Report
from picie_core.settings import MASK_METHODS, SampleSettings
from picie_core.workspace.trainings.training_history import read_history
from picie_core.workspace.trainings.training_plan import has_settings
from picie_core.workspace.workspace import Run, Workspace

if TYPE_CHECKING:
    from picie_core.cli.compare_plan import ComparedSet, Plan, PlannedRun


def compare(
    plan: Annotated[Path, Option("TOML file that says what to compare", positional=True)],
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
    from picie_core.cli.compare_plan import read_plan, slug, write_example
    from picie_core.models.inference import pick_device

    if example:
        return write_example(plan)
    if out is None:
        raise SettingError("out is missing: give --out DIR, a folder for the runs and the table")
    root = (root or plan.parent).absolute()
    wanted, out = read_plan(plan, root), out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(out / "compare.lock").acquire(timeout=0)  # the system frees it even after kill -9
    except Timeout:
        raise PicieError(f"{out} is in use by another comparison: wait for it, or give another --out") from None
    with held:
        pick_device(device)
        sets = {one.name: prepare_set(one, root, out / "sets" / slug(one.name)) for one in wanted.sets}
        return _Comparison(wanted, out, device, sets).run()


class PreparedSet(NamedTuple):
    """A data set whose folders were looked at and whose workspace is there."""

    workspace: Workspace
    """Of all runs on the data set: decoded images are shared."""
    images: int
    """Images to train on."""
    truth: LabelledSet
    classes: int
    """Classes of the ground truth that it is measured against."""
    masks: Path | None
    """Ground truth of the images to train on."""
    own: LabelledSet | None
    """The same, opened; None without."""


def prepare_set(data: ComparedSet, root: Path, folder: Path) -> PreparedSet:
    """Returns a data set ready for runs; its workspace lies in `folder`, relative paths of the plan start at `root`.

    Raises PicieError when the folders hold no images, or `folder` was made for other images, and when the masks of the
    images to train on have other classes than those that are measured, before anything is trained on them.
    """
    from picie_core.evaluation.naming import check_classes

    truth = open_labelled_set(root / data.val_images, root / data.val_masks)
    names = find_images(root / data.images)
    if not names:
        raise PicieError(f"set {data.name!r} has no images under {root / data.images}: mend the path in the plan")
    chosen = choose_images(names, data.count)
    made_of, record = {"images": data.images, "chosen": chosen}, folder / "set.json"
    if not record.exists():
        write_json(record, made_of)
    elif json.loads(record.read_text()) != made_of:
        raise PicieError(f"{folder} was made from other images: give the set another name, or another --out")
    linked = folder / "images"  # a comparison that 0.3 began has links to the chosen images there
    workspace = Workspace.create(folder / "workspace", linked if linked.is_dir() else root / data.images)
    if len(chosen) < len(names) and not linked.is_dir():
        store_selection(workspace.root, chosen)
    masks = root / data.masks if data.masks else None
    own = None if masks is None else open_labelled_set(root / data.images, masks)
    if own is not None:
        check_classes(own.class_names, truth.class_names, f"the masks of set {data.name!r}")
    return PreparedSet(workspace, len(chosen), truth, len(truth.class_names), masks, own)


def choose_images(names: list[str], count: int) -> list[str]:
    """Returns `count` of the names, the same ones every time, in their order; all of them for 0 or too many."""
    if not 0 < count < len(names):
        return names
    return [names[i] for i in np.sort(np.random.default_rng(0).choice(len(names), count, replace=False))]


@dataclass
class _Comparison:
    plan: Plan
    out: Path
    device: str
    sets: dict[str, PreparedSet]
    results: dict[str, RunResult] = field(default_factory=dict)
    """By the key of the run."""
    failures: dict[str, str] = field(default_factory=dict)
    """By the title of the run."""

    def run(self) -> dict[str, Any]:
        """Makes what is missing, run by run, and returns the table as records. Raises PicieError if a run failed."""
        runs = self.plan.runs()
        for planned in runs:
            made_of = planned.made_of(self.sets[planned.data.name].classes)  # raises for an over-clustering below K
            stored = RunResult.read(self.out / "rows" / f"{planned.key}.json", made_of)
            self.results |= {planned.key: stored} if stored else {}
        todo = [planned for planned in runs if planned.key not in self.results]
        sets = self._show()
        for number, planned in enumerate(todo, 1):
            self._try(planned, f"run {number} of {len(todo)}")
            sets = self._show()
        table = self.out / "compare.md"
        if self.failures:
            title, reason = next(iter(self.failures.items()))
            raise PicieError(f"{len(self.failures)} of {len(runs)} runs failed, such as {title}: {reason}; see {table}")
        files = {"table": str(table), "curves": str(self.out / "curves.png")}
        return {**files, "runs": len(runs), "made_now": len(todo), "rows": table_records(sets)}

    def _show(self) -> list[SetResults]:
        """Writes the table and the curves of what there is, and returns it."""
        runs, sets = self.plan.runs(), []
        for data in self.plan.sets:
            prepared, rows = self.sets[data.name], []
            for row in self.plan.rows:
                keys = [run.key for run in runs if run.row is row and run.data is data]
                done = tuple(self.results[key] for key in keys if key in self.results)
                rows.append(RowResults(row.name, row.method, len(keys), done))
            at = f" at {data.size} px" if data.size else ""
            which = "(the own ones among them)" if data.val_images == data.images else "others"
            about = f"{prepared.images} own images{at} to train on, {len(prepared.truth.pairs)} {which} to measure on"
            ks = self.plan.ks_of(prepared.classes)
            sets.append(SetResults(data.name, about, ks, rows, named=prepared.own is not None))
        notes = [(one.title, self.results[one.key].news) for one in runs if one.key in self.results]
        notes += [(title, f"failed: {reason}") for title, reason in self.failures.items()]
        lines = [f"{title}: {note}" for title, note in notes if note]
        page = compare_table(sets, lines, self.plan.cluster_seeds, self.plan.centre_square)
        write_text(self.out / "compare.md", page)
        write_curves(self.out / "curves.png", sets)
        return sets

    def _try(self, planned: PlannedRun, number: str) -> None:
        """Makes one run; a failure is noted, and the others go on."""
        data = self.sets[planned.data.name]
        try:
            with Job(data.workspace, "compare") as job:
                job.note(f"{number}: {planned.title}")
                result = _make(planned, data, self.device, job)
                job.done({"run": result.run, **result.figures})
        except WorkspaceBusy:
            raise
        except Stopped:
            raise Stopped(f"stopped in {planned.title}; the same command goes on") from None
        except PicieError as error:
            self.failures[planned.title] = str(error)
            job.note(f"{planned.title} failed: {error}")
            return
        result.write(self.out / "rows" / f"{planned.key}.json")
        self.results[planned.key] = result
        (data.workspace.run_dir(result.run) / "checkpoint.pt").unlink(missing_ok=True)  # a finished run needs none


def _make(planned: PlannedRun, data: PreparedSet, device: str, job: Job) -> RunResult:
    """Returns the result of a run, which is there already, goes on, or is made."""
    workspace, settings, method = data.workspace, planned.settings(data.classes), planned.row.method
    start = time.monotonic()
    _check_sample(workspace, settings[2], max(planned.plan.ks_of(data.classes)))
    masks = data.masks if method in MASK_METHODS else None
    same = [
        info
        for info in workspace.runs()
        if info.method == method
        and has_settings(info, settings)
        and (info.settings.get("start"), info.settings.get("masks")) == (None, masks and str(masks))
    ]
    found = min(same, key=lambda info: (info.state != "done", -info.created), default=None)
    before_s = found.seconds if found else 0.0
    if found is not None and found.state == "done":
        run = found.id
    elif method == "frozen":
        run = embed(workspace.root, *settings[1:], device=device)["run"]
    else:
        resume = found.id if found else None
        before_s = sum(line["seconds"] for line in read_history(workspace, resume)) if resume else 0.0
        run = train(workspace.root, *settings, method=method, masks=masks, resume=resume, device=device)["run"]
    job.status.name_run(run)
    history = read_history(workspace, run)
    collapsed = [line["epoch"] for line in history if line["collapsed"]]
    figures, absent = _measure(workspace.run(run), data, planned.plan, device, job)
    return RunResult(
        row=planned.row.name,
        data=planned.data.name,
        seed=planned.seed,
        run=run,
        figures=figures,
        absent=absent,
        images=len(workspace.image_list().readable),
        classes=data.classes,
        train_s=sum(line["seconds"] for line in history),
        total_s=before_s + time.monotonic() - start,
        history=history,
        news=f"collapsed in epoch {collapsed[0]}" if collapsed else "",
        made_of=planned.made_of(data.classes),
    )


def _check_sample(workspace: Workspace, sampling: SampleSettings, k: int) -> None:
    """Raises SettingError when the images have too few positions for K clusters, before anything is trained on them."""
    sizes = (scaled_size(image.width, image.height, sampling.size_px) for image in workspace.scan().readable)
    positions = sum(math.prod(feature_map_shape(height, width)) for width, height in sizes)
    if k > positions:
        raise SettingError(
            f"k={k} needs at least {k} sampled pixels, the images have {positions} at {sampling.size_px} px: lower ks, "
            "or raise size or count"
        )


def _measure(
    run: Run, data: PreparedSet, plan: Plan, device: str, report: Report
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Returns the metrics of a finished run, at each K means over some clusterings, and of its classifier.

    And what to say of classes that never occur.
    """
    from picie_core.evaluation.cluster_head import ClusterHead
    from picie_core.evaluation.naming import absent_classes, mean_metrics, measure_heads
    from picie_core.models.classifier_head import Head, load_head
    from picie_core.workspace.ground_truth import own_images

    where = "cpu" if device == "cpu" else "cuda"  # which k-means uses where it can
    truth = data.truth
    heads: list[tuple[str, Head]] = [
        (f"k{k}", ClusterHead.of_centroids(run.cluster(k, seed, device=where).centroids))
        for k in plan.ks_of(len(truth.class_names))
        for seed in range(plan.cluster_seeds)
    ]
    learnt = run.folder / "head.npz"
    heads += [("head", load_head(learnt))] if learnt.exists() else []
    own = None if data.own is None else own_images(run, data.own)
    names, classifiers = [name for name, _ in heads], [head for _, head in heads]
    engine, square = run.engine(device), plan.centre_square
    counts = measure_heads(engine, run.size_px, truth, classifiers, own, report, centre_square=square)
    return mean_metrics(names, counts, truth.thing_classes), absent_classes(counts[0], truth.class_names)
