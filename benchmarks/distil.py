"""A network distilled from masks that were named in 60 actions, against those masks, on images that neither saw.

    python -m benchmarks.distil --root ../shared --out DIR --sets camvid dubai_aerial --seeds 0 1 2

For every data set and seed: the training images are embedded (frozen) and clustered, 60 actions of `naming.py` name the
clusters, knowing the ground truth of the sampled pixels of the *training* images alone; `export --format png` writes
masks of the training images; `distil` learns from them. Which epoch is kept is decided by
held-out pseudo-labels of training images. At the end, and only then, the masks that the same clusters and names give
the images of val (the teacher) and those of the student are scored on the ground truth of val, at full size; what has
no name is wrong.

Prints a Markdown table; what is done already in DIR is not done again. The minutes are those of the processor (all
threads together): what a run takes on one free core, and no more than twice what it takes on two.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

import torch

from benchmarks.naming import Person, suggested
from picie_core.cli.output import MarkdownTable
from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.distillation.comparison import Truth
from picie_core.distillation.distil_run import distil_export
from picie_core.distillation.settings import DistilSettings, StudentSettings
from picie_core.export.export_settings import ExportSettings
from picie_core.labels.label_map import LabelMap
from picie_core.progress import Progress
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace.embedding import embed_workspace
from picie_core.workspace.ground_truth import look_up_truth
from picie_core.workspace.masks.mask_export import export_masks, network_features
from picie_core.workspace.workspace import Workspace

K, ACTIONS = 100, 60
SIZE_PX = {"camvid": 320, "dubai_aerial": 640}
"""Of the teacher's images, as in docs/results.md."""
STUDENT_PX = {"camvid": 360, "dubai_aerial": 640}
VAL_SHARE = 0.1


def export_named(root: Path, name: str, seed: int, out: Path) -> None:
    """Embeds, clusters and names the training images, and exports masks of them, and of val for the score."""
    data = root / "data" / name
    space = Workspace.create(out / name / "work", data / "images" / "train")
    if not space.runs():
        with space.writer_lock("embed"):
            network = EmbedderSettings(weights=str(root / "weights" / "resnet18.pth"))
            embed_workspace(space, network, SampleSettings(size_px=SIZE_PX[name]))
    run = space.current_run()
    space.label_map = LabelMap(out / name / f"labels-{seed}.sqlite")
    clustering = run.cluster(K, seed)
    source = network_features(run, "auto")

    def write() -> dict[str, float]:
        named = run.clustering(clustering.name)
        for part, images in (("train", None), ("val", data / "images" / "val")):
            folder = out / name / f"teacher-{seed}-{part}"
            if not folder.exists():
                settings = ExportSettings(val_share=0)  # `distil` holds out its own share, by the seed
                export_masks(named, "png", folder, settings=settings, images=images, feature_source=source)
        return {}

    person = Person(space, run, clustering, look_up_truth(run, data / "masks" / "train"), write)
    person.named.milestones, person.split.milestones = (ACTIONS,), ()
    for step in suggested(space, run, clustering, "review"):
        if person.done:
            return
        person.answer(step)
    person.named.before(ACTIONS + 1)  # nothing is left to do


def train(root: Path, name: str, seed: int, out: Path, settings: DistilSettings, say: Callable[[str], None]) -> dict:
    """Returns the report of one student, trained now unless it was before."""
    folder = out / name / f"student-{seed}"
    if (folder / "report.json").exists():
        return json.loads((folder / "report.json").read_text()) | json.loads(
            (out / name / f"cpu-{seed}.json").read_text()
        )
    data = root / "data" / name
    val = Truth(open_labelled_set(data / "images" / "val", data / "masks" / "val"), out / name / f"teacher-{seed}-val")
    student = StudentSettings(weights=str(root / "weights" / "resnet18.pth"), size_px=STUDENT_PX[name])
    phase = ""

    def report(progress: Progress) -> None:
        nonlocal phase
        if progress.phase != phase:
            phase = progress.phase
            say(f"{name} seed {seed}: {phase}, {(time.process_time() - start) / 60:.1f} min of the processor")

    start = time.process_time()
    export = out / name / f"teacher-{seed}-train"
    made = distil_export(export, folder, student, dataclasses.replace(settings, seed=seed), truth=val, report=report)
    cpu = {"cpu_minutes": round((time.process_time() - start) / 60, 1)}
    (out / name / f"cpu-{seed}.json").write_text(json.dumps(cpu))
    return made | cpu


def row(name: str, seed: str, teacher: str, student: str, gain: str, minutes: str) -> dict[str, str]:
    """Returns a line of the table."""
    titles = ("set", "seed", "teacher", "student", "gain", "minutes of one core")
    return dict(zip(titles, (name, seed, teacher, student, gain, minutes), strict=True))


def rows_of(name: str, reports: dict[int, dict]) -> list[dict[str, str]]:
    """Returns a line a seed, and the mean with its standard deviation over the seeds."""
    rows, found = [], []
    for seed, one in reports.items():
        teacher, student = (one["truth"][who] for who in ("teacher", "student"))
        gain = [student[metric] - teacher[metric] for metric in ("accuracy", "miou")]
        found.append([teacher["accuracy"], teacher["miou"], student["accuracy"], student["miou"], *gain])
        pairs = [f"{found[-1][i]:.1f} / {found[-1][i + 1]:.1f}" for i in (0, 2)]
        minutes = f"{one['cpu_minutes']:.1f}, {one['epochs']} epochs, best {one['best_epoch']}"
        rows.append(row(name, str(seed), *pairs, f"{gain[0]:+.1f} / {gain[1]:+.1f}", minutes))
    if len(found) > 1:
        means = [(mean(column), stdev(column)) for column in zip(*found, strict=True)]
        pairs = [" / ".join(f"{one:.1f} ± {std:.1f}" for one, std in means[i : i + 2]) for i in (0, 2)]
        gain = " / ".join(f"{one:+.1f} ± {std:.1f}" for one, std in means[4:])
        rows.append(row(name, "mean", *pairs, gain, f"{mean(one['cpu_minutes'] for one in reports.values()):.1f}"))
    return rows


def main() -> None:
    """Makes the teachers and the students, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with data/ and weights/")
    parser.add_argument("--out", type=Path, required=True, help="folder for workspaces, exports and students")
    parser.add_argument("--sets", nargs="+", choices=SIZE_PX, default=list(SIZE_PX))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the training")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    known = {one.name: type(one.default) for one in dataclasses.fields(DistilSettings)}
    pairs = dict(one.split("=", 1) for one in arguments.set)
    values = {name: known[name](value) for name, value in pairs.items()}
    settings = dataclasses.replace(DistilSettings(val_share=VAL_SHARE), **values)
    rows = []
    for name in arguments.sets:
        reports = {}
        for seed in arguments.seeds:
            if not (arguments.out / name / f"teacher-{seed}-val").exists():
                export_named(arguments.root, name, seed, arguments.out)
            reports[seed] = train(
                arguments.root, name, seed, arguments.out, settings, lambda line: print(line, flush=True)
            )
        rows += rows_of(name, reports)
    print(f"\nAccuracy / mIoU on val, percent. {settings}\n\n{MarkdownTable(rows)}")


if __name__ == "__main__":
    main()
