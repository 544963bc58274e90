"""`evaluate`: metrics of a run's clusters against ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np

from picie_core.cli.job import Job
from picie_core.cli.options import DatasetOption, DeviceOption, ListOption, RunOption, WorkspaceOption
from picie_core.cli.output import MarkdownTable
from picie_core.cli.parser import Option
from picie_core.data.labelled_sets.datasets import open_dataset, open_labelled_set
from picie_core.errors import PicieError, SettingError
from picie_core.workspace.workspace import Run, Workspace

if TYPE_CHECKING:
    from picie_core.data.labelled_sets.labelled_set import LabelledSet
    from picie_core.models.classifier_head import Head


class _Labeller(NamedTuple):
    """What gives pixels their labels: a clustering, or the classifier that a training learnt."""

    name: str
    head: Head
    seed: int | None


def evaluate(
    workspace_root: WorkspaceOption,
    images: Annotated[Path | None, Option("folder of images with ground truth")] = None,
    masks: Annotated[
        Path | None, Option("folder of masks: PNG of class ids, 255 = ignored, same relative stems")
    ] = None,
    dataset: DatasetOption = "folders",
    root: Annotated[Path | None, Option("folder of a data set, instead of --images and --masks")] = None,
    split: Annotated[
        str | None, Option("such as val or train+val; without it COCO-Stuff val, Cityscapes train+val, folders all")
    ] = None,
    list_file: ListOption = None,
    k: Annotated[int | None, Option("evaluate every stored clustering with this K; without it the one in use")] = None,
    head: Annotated[bool, Option("evaluate the classifier that the training learnt, instead of clusterings")] = False,
    whole: Annotated[bool, Option("count whole images; without it the paper's centre square")] = False,
    picture: Annotated[Path | None, Option("PNG to draw the confusion of the first clustering into")] = None,
    run_name: RunOption = None,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Measure clusters against masks: accuracy and mIoU, one-to-one and many-to-one, per class, confusion.

    One-to-one matches each class to one cluster (Hungarian), as the papers do; many-to-one (named) gives each cluster
    its majority class, which is what naming by hand reaches. Sets that know their things (COCO-Stuff, Cityscapes,
    folders with things.txt) give metrics of things and of stuff too. Advice: metrics at one seed move by a point or
    two: `cluster` the same K with several seeds, then give --k for the mean. A classifier that was learnt from masks
    (--head) names its classes itself, so nothing is matched.
    """
    from picie_core.evaluation.metrics import summary
    from picie_core.evaluation.set_evaluation import confusions

    if picture is not None and picture.suffix.lower() != ".png":
        raise SettingError(f"picture={picture} must end in .png: give another name")
    workspace = Workspace.open(workspace_root)
    run = workspace.pick_run(run_name)
    labellers = _labellers(run, k, head)
    truth = _open_truth(images, masks, dataset, root, split, list_file)
    with Job(workspace, "evaluate") as job:
        engine, named = run.engine(device), _are_classes(labellers[0].head, truth)
        counts = confusions(engine, run.size_px, truth, [one.head for one in labellers], whole, job)
        if picture is not None:
            from picie_core.evaluation.confusion_plot import write_confusion_picture

            write_confusion_picture(picture, counts[0], truth.class_names, f"{run}, {labellers[0].name}", named)
        result = {
            "run": run.name,
            "images": len(truth.pairs),
            "k": len(counts[0]),
            "seeds": [one.seed for one in labellers],
            **_mean_metrics([summary(one, truth.thing_classes, named) for one in counts]),
            "per_class": _per_class(counts, truth, named),
            "confusion": counts[0].tolist(),
        }
        return job.done(result if picture is None else {**result, "picture": str(picture)})


def _open_truth(
    images: Path | None, masks: Path | None, dataset: str, root: Path | None, split: str | None, list_file: Path | None
) -> LabelledSet:
    """The labelled set that the options name. Raises SettingError when they name none, or two."""
    if root is not None and images is None and masks is None:
        return open_dataset(dataset, root, split, list_file)
    if root is None and images is not None and masks is not None and dataset == "folders":
        return open_labelled_set(images, masks, split=split, list_file=list_file)
    raise SettingError("ground truth is missing: give --images DIR and --masks DIR, or --dataset NAME and --root DIR")


def _labellers(run: Run, k: int | None, learnt: bool) -> list[_Labeller]:
    """What to evaluate: clusterings, or the classifier of the run. Raises SettingError for both at once."""
    from picie_core.evaluation.cluster_head import ClusterHead
    from picie_core.models.classifier_head import load_head

    if learnt and k is not None:
        raise SettingError(f"k={k} asks for clusterings, --head for the classifier: give one of them")
    if learnt:
        return [_Labeller("its classifier", load_head(run.folder / "head.npz"), None)]
    if k is None:
        found = [run.clustering()]
    else:
        names = [name for name in run.clusterings() if name.startswith(f"k{k}-")]
        found = [run.clustering(name) for name in names] or [run.cluster(k)]
    return [_Labeller(one.name, ClusterHead.of_centroids(one.base_centroids, one.splits), one.seed) for one in found]


def _are_classes(head: Head, truth: LabelledSet) -> bool:
    """Whether the rows are classes, not clusters. Raises PicieError when they are those of another ground truth."""
    if head.class_names and list(head.class_names) != truth.class_names:
        raise PicieError(
            f"the classifier knows {', '.join(head.class_names)}, the ground truth {', '.join(truth.class_names)}: "
            "evaluate it on the classes that it learnt"
        )
    return bool(head.class_names)


def _mean_metrics(seeds: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric over clusterings and, where there are several, its standard deviation."""
    result = {}
    for metric in seeds[0]:
        values = [one[metric] for one in seeds]
        result[metric] = float(np.mean(values))
        if len(values) > 1:
            result[f"{metric}_std"] = float(np.std(values))
    return result


def _per_class(counts: list[np.ndarray], truth: LabelledSet, named: bool = False) -> MarkdownTable:
    """A row a class, in percent, means over the clusterings (K, C); None where the ground truth has no pixel.

    share: of the counted pixels; accuracy: of its pixels that are right; `..._named`: each cluster by its majority;
    named: the rows of `counts` are the classes.
    """
    from picie_core.evaluation.metrics import matchings, score

    one, many = zip(*([score(each, matching) for matching in matchings(each, named)] for each in counts), strict=True)
    columns = {
        "share": counts[0].sum(0) / max(counts[0].sum(), 1),
        "accuracy": np.mean([each.class_accuracy for each in one], axis=0),
        "iou": np.mean([each.class_iou for each in one], axis=0),
        "accuracy_named": np.mean([each.class_accuracy for each in many], axis=0),
        "iou_named": np.mean([each.class_iou for each in many], axis=0),
    }
    things = truth.thing_classes
    rows = []
    for i, name in enumerate(truth.class_names):
        kind = {} if things is None else {"kind": "thing" if i in things else "stuff"}
        percents = {
            column: None if np.isnan(values[i]) else round(100 * float(values[i]), 2)  # JSON has no NaN
            for column, values in columns.items()
        }
        rows.append({"class": name, **kind, **percents})
    return MarkdownTable(rows)
