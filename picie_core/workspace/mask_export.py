"""The export of a clustering: every image of the workspace, or of another folder, with its full-size mask."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from picie_core.atomic_files import folder_atomic
from picie_core.clustering.clustering import Clustering
from picie_core.data.images.image_folder import Problem, walk_images
from picie_core.errors import PicieError, SettingError
from picie_core.export.export_folder import check_out, check_written, write_records
from picie_core.export.formats import FORMATS
from picie_core.export.legend import make_legend
from picie_core.export.mask_format import ExportImage, Format, TrainValSplit
from picie_core.export.pipeline import FeatureSource, Pipeline
from picie_core.progress import Report, ignore_progress
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.version import __version__
from picie_core.workspace.workspace import Run, StoredClustering, Workspace


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote, and which images it left out."""

    out: Path
    images: int
    problems: list[Problem]
    classes: list[str]
    ignored_share: float
    """Share of all written pixels that are 255."""
    seconds: float
    post_processing: dict[str, Any] = field(default_factory=dict)
    """The settings of the post-processing that differ from the defaults."""

    def record(self) -> dict[str, Any]:
        """Returns the report as JSON can hold it, without post-processing where there was none."""
        problems = [{"path": one.path, "reason": one.reason} for one in self.problems]
        record = {**asdict(self), "out": str(self.out), "problems": problems}
        return {name: value for name, value in record.items() if name != "post_processing" or value}


def export_masks(
    clustering: StoredClustering,
    fmt: str,
    out: Path,
    *,
    images: Path | None = None,
    raw: bool = False,
    post_processing: PostProcessing = PostProcessing(),
    val_share: float = 0.2,
    split_seed: int = 0,
    feature_source: FeatureSource | None = None,
    device: str = "auto",
    report: Report = ignore_progress,
    command_line: str = "",
) -> ExportReport:
    """Writes every image with its full-size mask into the new folder `out`; a failed export leaves no files.

    images: another folder of images than that of the workspace; raw: cluster ids instead of class ids; val_share,
    split_seed: share and seed of the validation set, for formats that have one; feature_source: computes feature maps
    instead of the network of the run; command_line: what export.json says about how it was made.
    Images that cannot be read are listed in the report and in export.json.
    Raises SettingError for an unknown format, an impossible share or class name; PicieError when no cluster has a
    name, `out` is in use, no image can be read or the disk is full.
    """
    start = time.monotonic()
    if fmt not in FORMATS:
        raise SettingError(f"format={fmt!r} is unknown: choose one of {', '.join(FORMATS)}")
    form, out, division = FORMATS[fmt], Path(out).absolute(), TrainValSplit(val_share, split_seed)
    run, workspace = clustering.run, clustering.workspace
    root = workspace.images_root if images is None else Path(images).absolute()
    check_out(out, root, workspace.root)
    legend = make_legend(workspace.label_map, clustering, raw, post_processing)
    form.check_classes(legend.classes)
    sources, problems = find_images(workspace, form, None if images is None else root)
    pipeline = Pipeline(run.image_cache(), feature_source or network_features(run, device), form, legend)
    with folder_atomic(out) as folder:
        written = pipeline.run(sources, folder, report)
        by_path = {one.path: one for one in [*problems, *pipeline.problems]}
        problems = [by_path[path] for path in sorted(by_path)]
        if not written:
            first = f"{problems[0].path}: {problems[0].reason}"
            raise PicieError(f"none of the {len(sources)} images of {root} can be read; the first: {first}")
        share = sum(one.ignored_pixels for one in written) / sum(one.size[0] * one.size[1] for one in written)
        head: dict[str, Any] = {"format": fmt, "version": __version__, "run": run.name, "clustering": clustering.name}
        head["digest"] = weights_digest(run.folder / "embedder", clustering)
        head |= form.write_set(folder, written, legend.classes, division)
        head |= {"source": str(root), "command": command_line, "ignored_share": round(share, 6)}
        head |= {"post_processing": post_processing.changes} if post_processing.changes else {}
        write_records(folder, legend, written, problems=problems, head=head)
        check_written(folder, written)
    names = [one.name for one in legend.classes]
    seconds = round(time.monotonic() - start, 3)
    return ExportReport(out, len(written), problems, names, share, seconds, post_processing.changes)


def network_features(run: Run, device: str) -> FeatureSource:
    """Returns a function that computes feature maps with the network of `run`, float32.

    Raises PicieError when the network cannot be read.
    """
    engine = run.engine(device)
    return lambda images: engine(images).float().cpu().numpy()


def find_images(
    workspace: Workspace, form: Format, folder: Path | None = None
) -> tuple[list[ExportImage], list[Problem]]:
    """Returns the images to export, those of the workspace or of another `folder`, and the unreadable ones.

    Raises PicieError when there are none.
    """
    ids: list[int | None]
    if folder is None:
        listed, root = workspace.image_list(), workspace.images_root
        paths, ids = [one.path for one in listed.readable], [one.id for one in listed.readable]
        problems = listed.problems
    else:
        root = folder
        if not root.is_dir():
            raise PicieError(f"images={root} is not a folder: give a folder of images")
        found, problems = walk_images(root)
        paths, ids = [one.path for one in found], [None] * len(found)
    if not paths:
        raise PicieError(f"no images under {root}: give a folder that holds some")
    rows = enumerate(zip(paths, form.stems(paths), ids, strict=True))
    return [ExportImage(i, path, root / path, stem, image_id) for i, (path, stem, image_id) in rows], list(problems)


def weights_digest(embedder: Path, clustering: Clustering) -> str:
    """Returns a digest of the weights in folder `embedder` and of the centroids.

    Equal digests and equal images mean equal masks of cluster ids.
    """
    digest = hashlib.sha256(clustering.base_centroids.tobytes())
    for split in clustering.splits:
        digest.update(f"/{split.cluster},{split.first_new},".encode() + split.centroids.tobytes())
    for path in sorted(embedder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
