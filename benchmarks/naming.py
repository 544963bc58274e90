"""Named as a person would: mIoU and accuracy of exported masks against the number of actions.

    python benchmarks/naming.py --workspace W --masks MASKS --val-images VAL --val-masks VAL_MASKS --out naming.png

W is an embedded workspace; nothing in it changes but clusterings that it lacks. The person knows the ground truth of
the sampled pixels of W's own images and nothing of VAL, and does only what the app offers, in the order that it
suggests:

- name: a cluster, or a group of clusters that the merge tree suggests, gets the class that most of its pixels have. One
  action, whatever the number of clusters.
- branches: two halves of a group are shown; if most of one is something else it gets that name. One action; looking and
  finding both alike is none.
- sort out: 60 random crops of a cluster are shown; those of another class, if at least a tenth, are picked and
  named, which splits what is like them off the cluster: one action, one edit, one undo. The next class
  is picked from the same crops, and all of them are sorted again, still one edit.

The second line of each counts in another way: picking the crops is an action of its own, then naming them.
Masks of VAL are written by the export after so many actions and compared with VAL_MASKS at full size; what has no name
is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from picie_core.clustering.clustering import Clustering
from picie_core.clustering.hierarchy import merge_tree
from picie_core.clustering.uncertainty import cluster_uncertainty, next_clusters
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.embedding_sample import EmbeddingSample
from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.data.labelled_sets.labelled_set import LabelledSet, read_mask
from picie_core.evaluation.metrics import confusion, score
from picie_core.evaluation.sampled_truth import SampledTruth
from picie_core.export.pipeline import FeatureSource
from picie_core.labels.crop_split import crops_to_review, split_crops
from picie_core.labels.label_map import LabelMap
from picie_core.labels.review_queue import START_GROUPS, Step, naming_steps
from picie_core.workspace.ground_truth import look_up_truth
from picie_core.workspace.masks.mask_export import export_masks, network_features
from picie_core.workspace.workspace import Run, Workspace

ACTIONS = (10, 30, 60, 100, 200)
PICKED_SHARE = 0.1
"""Crops of another class are picked when they are at least this share; fewer are not worth an action."""
ORDERS = {"review": "tree, then what differs", "area": "one by one, by area"}

Measure = Callable[[], dict[str, float]]


@dataclass
class Counter:
    """Counts actions and measures the masks when a milestone is reached: with the most edits that fit below it."""

    measure: Measure
    milestones: tuple[int, ...] = ACTIONS
    actions: int = 0
    figures: dict[int, dict[str, float]] = field(default_factory=dict)

    def before(self, cost: int) -> None:
        """Takes the figures of every milestone that an edit of `cost` actions would go beyond."""
        for milestone in self.milestones:
            if milestone not in self.figures and self.actions + cost > milestone:
                self.figures[milestone] = {**self.measure(), "actions": self.actions}
        self.actions += cost

    @property
    def full(self) -> bool:
        """Whether every milestone has its figures."""
        return len(self.figures) == len(self.milestones)


class Person:
    """Someone who knows the ground truth of the sampled pixels and edits a label map through the app's own calls."""

    def __init__(self, space: Workspace, run: Run, clustering: Clustering, truth: SampledTruth, measure: Measure):
        self.space, self.run, self.clustering, self.truth = space, run, clustering, truth
        self.sample: EmbeddingSample = run.sample()
        self.stored = run.dense_features().index
        self.named, self.split = Counter(measure), Counter(measure)  # the two ways to count
        self.steps = 0

    @property
    def done(self) -> bool:
        """Whether all that is to be measured was."""
        return self.named.full and self.split.full

    def answer(self, step: Step) -> None:
        """Answers one step: gives the names that are missing or wrong."""
        self.steps += 1
        if step.kind == "inside":
            self._split_crops(step.parts[0][0])
            return
        for clusters in step.parts:
            shown = self._majority(np.isin(self.clustering.labels, clusters))
            if shown is not None and shown != self._class_of(clusters[0]):
                self._count(1, 0)
                self._name(clusters, shown)

    def _split_crops(self, cluster: int) -> None:
        """Picks the crops of one other class after the other and names them, which splits them off the cluster."""
        shown = crops_to_review(self.sample, self.clustering, cluster, self.stored)
        classes = self.truth.labels[shown]
        counts = np.bincount(classes[classes != IGNORE_ID], minlength=len(self.truth.class_names))
        own, sets, event = self._class_of(cluster), {}, None
        if own is None or not counts[own]:
            return
        for other in np.argsort(-counts, kind="stable"):
            if other != own and counts[other] >= self._enough(counts):
                self._count(1, 1)
                sets[self.truth.class_names[other]] = np.flatnonzero(classes == other).tolist()
                split_crops(
                    self.space.label_map,
                    self.sample,
                    self.clustering,
                    cluster,
                    crops=shown,
                    sets=sets,
                    instead_of=event,
                )
                last = self.space.label_map.can_undo()
                event = last.id if last else None
        self.clustering = self.run.clustering(self.clustering.name)

    def _enough(self, counts: np.ndarray) -> float:
        return max(2.0, PICKED_SHARE * counts.sum())

    def _count(self, names: int, picks: int) -> None:
        self.named.before(names)
        self.split.before(names + picks)

    def _name(self, clusters: tuple[int, ...], class_id: int) -> None:
        self.space.label_map.name_clusters(self.clustering.key, clusters, self.truth.class_names[class_id])

    def _majority(self, pixels: np.ndarray) -> int | None:
        classes = self.truth.labels[pixels]
        counts = np.bincount(classes[classes != IGNORE_ID], minlength=1)
        return int(counts.argmax()) if counts.any() else None

    def _class_of(self, cluster: int) -> int | None:
        """The class of the ground truth whose name a cluster has."""
        class_id = self.space.label_map.classes_of(self.clustering.key).get(cluster)
        if class_id is None:
            return None
        return self.truth.class_names.index(self.space.label_map.classes()[class_id].name)


def suggested(space: Workspace, run: Run, clustering: Clustering, order: str) -> Iterator[Step]:
    """Yields the steps that the app suggests: those of its review queue, or cluster by cluster."""
    uncertainty = cluster_uncertainty(run.sample(), clustering)
    if order == "review":
        yield from naming_steps(merge_tree(clustering.centroids, clustering.counts, "ward"), uncertainty, START_GROUPS)
        return
    yield from (Step("group", ((cluster,),)) for cluster in next_clusters(clustering, uncertainty, {}))
    everything = dict.fromkeys(range(clustering.k), 0)
    yield from (Step("inside", ((cluster,),)) for cluster in next_clusters(clustering, uncertainty, everything))


def remembered(source: FeatureSource) -> FeatureSource:
    """Returns a source of cells that embeds every batch of images once, in half precision."""
    known: dict[str, np.ndarray] = {}

    def cells(images: np.ndarray) -> np.ndarray:
        key = hashlib.sha256(images.tobytes()).hexdigest()
        if key not in known:
            known[key] = source(images).astype(np.float16)
        return known[key]

    return cells


def measure_export(
    space: Workspace, run: Run, name: str, truth: LabelledSet, class_names: tuple[str, ...], source: FeatureSource
) -> dict[str, float]:
    """Returns accuracy and mIoU, percent, of the masks that the export writes for the images of `truth` now."""
    clustering, c = run.clustering(name), len(class_names)
    table = np.full(256, c)
    for item in space.label_map.classes():
        table[item.id] = class_names.index(item.name)
    counts = np.zeros((c + 1, c), np.int64)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "masks"
        export_masks(clustering, "png", out, images=truth.images_root, feature_source=source)
        written = {path.stem: path for path in (out / "masks").rglob("*.png")}
        for index, (image, _) in enumerate(truth.pairs):
            mask = read_mask(written[Path(image).stem])
            counts += confusion(table[mask], truth.read_mask(index), c + 1, c)
    found = score(counts, np.append(np.arange(c), -1))
    return {"accuracy": 100 * found.accuracy, "miou": 100 * found.mean_iou}


def simulate(
    space: Workspace,
    run: Run,
    k: int,
    order: str,
    truth: SampledTruth,
    val: LabelledSet,
    source: FeatureSource,
    seed: int = 0,
) -> Person:
    """Returns the person after all milestones, with the figures; the names are in a label map that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        space.label_map = LabelMap(Path(folder) / "labels.sqlite")
        clustering = run.cluster(k, seed)
        memory: dict[int, dict[str, float]] = {}

        def measure() -> dict[str, float]:
            version = space.label_map.version()
            if version not in memory:
                memory[version] = measure_export(space, run, clustering.name, val, truth.class_names, source)
            return memory[version]

        person = Person(space, run, clustering, truth, measure)
        for step in suggested(space, run, clustering, order):
            if person.done:
                break
            person.answer(step)
        person._count(max(ACTIONS) + 1, 0)  # nothing is left to do: what was reached stands for the rest
        return person


def line(title: str, k: int, order: str, figures: dict[int, dict[str, float]], way: str) -> str:
    """Returns a line of the table: accuracy / mIoU after so many actions; in brackets how many there were to do."""
    cells = []
    for milestone, found in figures.items():
        short = f" ({found['actions']:.0f})" if found["actions"] < milestone - 8 else ""
        cells.append(f"{found['accuracy']:.1f} / {found['miou']:.1f}{short}")
    return f"| {title} | {k} | {ORDERS[order]} | {way} | {' | '.join(cells)} |"


def draw(path: Path, results: list[dict], aims: list[str] | None = None) -> None:
    """Draws mIoU and accuracy against actions, a line for each embedder and K; aims: such as `60:40`, mIoU to reach."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    titles, ks = list(dict.fromkeys(one["title"] for one in results)), sorted({one["k"] for one in results})
    for axis, name, words in zip(axes, ("miou", "accuracy"), ("mIoU, %", "pixels named right, %"), strict=True):
        for one in results:
            if one["way"] != "named":
                continue
            points = one["figures"]
            style = {"color": f"C{ks.index(one['k'])}", "marker": "o", "markersize": 3}
            style["linestyle"] = ":" if one["order"] == "area" else ("-", "--")[titles.index(one["title"]) % 2]
            label = f"{one['title']}, K = {one['k']}" + (", by area" if one["order"] == "area" else "")
            axis.plot(list(points), [found[name] for found in points.values()], label=label, **style)
        axis.set_xlabel("actions")
        axis.set_ylabel(words)
        axis.grid(alpha=0.3)
    for aim in aims or []:
        axes[0].plot(*(float(part) for part in aim.split(":")), "k*", markersize=9)
    axes[0].legend(fontsize=7, loc="lower right", handlelength=4)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Simulates, prints the table as it grows, draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--workspace", "--masks", "--val-images", "--val-masks"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--run", nargs="+", help="embedders to compare; without it the one in use")
    parser.add_argument("--ks", type=int, nargs="+", default=[60, 100, 200, 300])
    parser.add_argument("--seed", type=int, default=0, help="of the clusterings")
    parser.add_argument("--orders", nargs="+", choices=ORDERS, default=list(ORDERS))
    parser.add_argument("--aims", nargs="*", metavar="ACTIONS:MIOU", help="stars to draw, such as 60:40 200:48")
    parser.add_argument("--out", type=Path, help="PNG to draw; the figures go beside it as JSON lines")
    arguments = parser.parse_args()
    val = open_labelled_set(arguments.val_images, arguments.val_masks)
    columns = " | ".join(f"{actions} actions" for actions in ACTIONS)
    print(f"| embedder | K | order | counted | {columns} |\n|{'---|' * (4 + len(ACTIONS))}", flush=True)
    results: list[dict] = []
    for name in arguments.run or [None]:
        space = Workspace.open(arguments.workspace)
        run = space.pick_run(name)
        title, source = run.info.title, remembered(network_features(run, "auto"))
        truth = look_up_truth(run, arguments.masks)
        for k in arguments.ks:
            for order in arguments.orders:
                person = simulate(space, run, k, order, truth, val, source, arguments.seed)
                for way, counter in (("named", person.named), ("picking and naming apart", person.split)):
                    print(line(title, k, order, counter.figures, way), flush=True)
                    results.append({"title": title, "k": k, "order": order, "way": way, "figures": counter.figures})
                if arguments.out:
                    draw(arguments.out, results, arguments.aims)
                    arguments.out.with_suffix(".jsonl").write_text("".join(json.dumps(one) + "\n" for one in results))


if __name__ == "__main__":
    main()
