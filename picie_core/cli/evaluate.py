"""`evaluate`: metrics of a run's clusters against ground truth."""

from __future__ import annotations

from contextlib import suppress
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
    from picie_core.evaluation.metrics import Scores
    from picie_core.evaluation.naming import HeadCounts, OwnImages
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
    own_masks: Annotated[
        Path | None, Option("masks of the workspace's images, to name from; without it those that `truth` remembers")
    ] = None,
    centre_square: Annotated[
        bool, Option("the paper's protocol: images and masks at 320 px, the centre square; without it whole images")
    ] = False,
    picture: Annotated[Path | None, Option("PNG to draw the confusion of the first clustering into")] = None,
    run_name: RunOption = None,
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Measure clusters against masks: accuracy and mIoU, one-to-one, named, by the oracle, per class, confusion.

    One-to-one matches each class to one cluster (Hungarian), as the papers do. Named: each cluster has its majority
    class in the workspace's images, as a person sees and names them; `..._named` measures these names on the images
    given, `..._own` on the workspace's own, whose masks are exported. It needs masks of these (`truth --masks DIR`
    once, or --own-masks). The oracle takes each cluster's majority in the measured images, which a person who
    names has not seen. Sets that know their things (COCO-Stuff, Cityscapes, folders with things.txt) give metrics of
    things and of stuff too. Advice: metrics at one seed move by a point or two: `cluster` the same K with several
    seeds, then give --k for the mean. A classifier that was learnt from masks (--head) names its classes itself.
    """
    from picie_core.evaluation.naming import absent_classes, measure_heads

    if picture is not None and picture.suffix.lower() != ".png":
        raise SettingError(f"picture={picture} must end in .png: give another name")
    workspace = Workspace.open(workspace_root)
    run = workspace.pick_run(run_name)
    labellers = _labellers(run, k, head)
    truth = _open_truth(images, masks, dataset, root, split, list_file)
    own, why_not = _own_images(run, truth, own_masks)
    with Job(workspace, "evaluate") as job:
        heads = [one.head for one in labellers]
        engine, size_px = run.engine(device), run.size_px
        counts = measure_heads(engine, size_px, truth, heads, own, job, centre_square=centre_square)
        confusion, learnt = counts[0].measured, heads[0].class_names
        notes = [why_not, *absent_classes(counts[0], truth.class_names)]
        result = {
            "run": run.name,
            "images": len(truth.pairs),
            "own_images": len(own.truth.pairs) if own else 0,
            "k": len(confusion),
            "seeds": [one.seed for one in labellers],
            **_mean_metrics([one.metrics(truth.thing_classes) for one in counts]),
            **({"note": " ".join(filter(None, notes))} if any(notes) else {}),
            "per_class": _per_class(counts, truth),
            "confusion": confusion.tolist(),
        }
        if picture is not None:
            from picie_core.evaluation.confusion_plot import write_confusion_picture

            write_confusion_picture(picture, confusion, truth.class_names, f"{run}, {labellers[0].name}", learnt)
            result["picture"] = str(picture)
        return job.done(result)


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


def _own_images(run: Run, truth: LabelledSet, own_masks: Path | None) -> tuple[OwnImages | None, str]:
    """The workspace's images with ground truth, or why there are none.

    The masks are those of the option, of `truth` where this is of the same images, or those that are remembered. Raises
    PicieError for an option that does not fit; other masks that do not are left out.
    """
    from picie_core.evaluation.naming import check_classes
    from picie_core.workspace.ground_truth import open_truth, own_images

    root = run.workspace.images_root
    if own_masks is not None:
        return own_images(run, open_labelled_set(root, own_masks)), ""
    if truth.images_root.resolve() == root.resolve():
        with suppress(PicieError):  # of other images of the same folder
            return own_images(run, truth), ""
    try:
        remembered = open_truth(run.workspace)
        if remembered is None:
            return None, (
                "There are no named metrics, as the masks of the workspace's own images are not known: "
                "give --own-masks DIR, or run `truth --masks DIR` once."
            )
        check_classes(remembered.class_names, truth.class_names, "the workspace's masks")
        return own_images(run, remembered), ""
    except PicieError as error:
        return None, f"There are no named metrics: {error}."


def _mean_metrics(seeds: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric over clusterings and, where there are several, its standard deviation."""
    result = {}
    for metric in seeds[0]:
        values = [one[metric] for one in seeds]
        result[metric] = float(np.mean(values))
        if len(values) > 1:
            result[f"{metric}_std"] = float(np.std(values))
    return result


def _per_class(counts: list[HeadCounts], truth: LabelledSet) -> MarkdownTable:
    """A row a class, in percent, means over the clusterings; None where the ground truth has no pixel.

    share: of the counted pixels; accuracy: of its pixels that are right, one-to-one; the endings are those of the
    metrics.
    """
    from picie_core.evaluation.metrics import score

    first = counts[0]
    scores: dict[str, list[Scores]] = {
        way: [score(one.measured, one.matchings()[way]) for one in counts] for way in first.matchings()
    }
    if first.own is not None:
        scores["_own"] = [one.own_scores for one in counts if one.own_scores is not None]
    columns = {"share": first.measured.sum(0) / first.measured.sum()}
    for way, found in scores.items():
        columns[f"accuracy{way}"] = np.mean([one.class_accuracy for one in found], axis=0)
        columns[f"iou{way}"] = np.mean([one.class_iou for one in found], axis=0)
    things, rows = truth.thing_classes, []
    for i, name in enumerate(truth.class_names):
        kind = {} if things is None else {"kind": "thing" if i in things else "stuff"}
        percents = {
            column: None if i >= len(values) or np.isnan(values[i]) else round(100 * float(values[i]), 2)
            for column, values in columns.items()  # own masks may show fewer classes; JSON has no NaN
        }
        rows.append({"class": name, **kind, **percents})
    return MarkdownTable(rows)
