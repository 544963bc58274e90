"""The export of a clustering: every image of the workspace, or of another folder, with its full-size mask."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from picie_core.clustering.clustering import Clustering
from picie_core.data.images.image_file import ImageError, probe_image
from picie_core.data.images.image_folder import Problem, file_stamp, walk_images
from picie_core.data.images.image_index import ImageRecord
from picie_core.errors import PicieError, SettingError
from picie_core.export.export_folder import check_out, check_written, write_records
from picie_core.export.export_settings import ExportSettings
from picie_core.export.formats import FORMATS
from picie_core.export.image_files import folder_stems
from picie_core.export.journal import JOURNAL_FILE, Journal, WrittenByFormat, unfinished_folder
from picie_core.export.legend import Legend, make_legend
from picie_core.export.mask_format import Format, held_classes
from picie_core.export.pipeline import ExportImage, FeatureSource, MaskSource, Pipeline, Target
from picie_core.progress import Report, ignore_progress
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.version import __version__
from picie_core.workspace.masks.exported_masks import remember_mask
from picie_core.workspace.masks.mask_files import MappedMask, MaskFiles
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
    annotated: int
    """Images whose mask is a person's annotation."""
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
    formats: str | Sequence[str],
    out: Path,
    *,
    settings: ExportSettings = ExportSettings(),
    post_processing: PostProcessing = PostProcessing(),
    images: Path | None = None,
    feature_source: FeatureSource | None = None,
    device: str = "auto",
    report: Report = ignore_progress,
    command_line: str = "",
) -> ExportReport:
    """Writes every image with its full-size mask into the new folder `out`, of several formats each into its own one.

    Each mask is computed once, whatever the number of formats. An export that was stopped or killed goes on where it
    was when it is called again in the same way; one that fails leaves no files.

    images: another folder of images than that of the workspace; feature_source: computes feature maps instead of the
    network of the run; command_line: what export.json says about how it was made.
    Images that cannot be read are listed in the report and in export.json.
    Raises SettingError for an unknown format, class or folder, and for a class name that a format cannot hold;
    PicieError when no cluster has a name, `out` is in use, no image can be read or the disk is full; Stopped after
    Ctrl-C or SIGTERM.
    """
    start = time.monotonic()
    chosen, out = _chosen_formats(formats), Path(out).absolute()
    run, workspace = clustering.run, clustering.workspace
    root = workspace.images_root if images is None else Path(images).absolute()
    check_out(out, root, workspace.root)
    legend = make_legend(workspace.label_map, clustering, settings.raw, post_processing, settings.classes)
    held = {form.key: held_classes(form, legend.classes, settings.fix_names) for form in chosen}
    sources, problems = find_images(workspace, chosen, settings, None if images is None else root)
    for form in chosen:
        form.check_splits([image.split for image in sources])
    digest = weights_digest(run.folder / "embedder", clustering)
    own = images is None and not settings.raw
    annotated = workspace.label_map.annotated_images() if own else None
    plan = {**_plan(chosen, legend, settings, digest, sources), "annotations": annotated.digest if annotated else ""}
    names = [one.name for one in legend.classes]
    with unfinished_folder(out, plan, command_line) as folder:
        targets = [Target(form, folder / form.key if len(chosen) > 1 else folder, held[form.key]) for form in chosen]
        tiled = run.tiling is not None
        pipeline = Pipeline(
            None if tiled else run.image_cache(),
            None if tiled else feature_source or network_features(run, device),
            legend,
            targets,
            image_files=settings.image_files,
            confidence=None if settings.confidence == "none" else (settings.confidence, folder / "confidence"),
            annotation=annotated.mask if annotated else lambda path: None,
            whole_masks=tiled_masks(run, legend, folder, sources, root, device) if tiled else None,
            finished=lambda path, mask: remember_mask(workspace.root, path, mask, names) if own else None,
        )
        with Journal(folder / JOURNAL_FILE) as journal:
            pipeline.run(sources, journal, report)
        summary = journal.summary()
        problems = sorted({one.path: one for one in [*problems, *summary.problems]}.values(), key=lambda one: one.path)
        if not summary.splits:
            first = f"{problems[0].path}: {problems[0].reason}"
            raise PicieError(f"none of the {len(sources)} images of {root} can be read; the first: {first}")
        facts = {
            "version": __version__,
            "run": run.name,
            "clustering": clustering.name,
            "digest": digest,
            "split": settings.division.record(summary.splits),
            "annotated": summary.annotated,
            "source": str(root),
            "command": command_line,
            "ignored_share": round(summary.ignored_share, 6),
            **({"post_processing": post_processing.changes} if post_processing.changes else {}),
            **({"confidence": settings.confidence} if settings.confidence != "none" else {}),
        }
        for target in targets:
            written = WrittenByFormat(journal.path, target.form.key)
            head = {"format": target.form.key, **facts}
            head |= target.form.write_set(target.folder, written, target.classes)
            write_records(target.folder, target.classes, legend.label_map, written, problems=problems, head=head)
            check_written(target.folder, written)
    return ExportReport(
        out,
        images=len(summary.splits),
        problems=problems,
        classes=[one.name for one in legend.classes],
        ignored_share=summary.ignored_share,
        annotated=len(summary.annotated),
        seconds=round(time.monotonic() - start, 3),
        post_processing=post_processing.changes,
    )


def _chosen_formats(formats: str | Sequence[str]) -> list[Format]:
    """The formats by their names, each once. Raises SettingError for an unknown one."""
    names = [formats] if isinstance(formats, str) else list(dict.fromkeys(formats))
    for name in names:
        if name not in FORMATS:
            raise SettingError(f"format={name!r} is unknown: choose one of {', '.join(FORMATS)}")
    if not names:
        raise SettingError(f"format needs at least one of {', '.join(FORMATS)}: choose one")
    return [FORMATS[name] for name in names]


def _plan(
    formats: Sequence[Format],
    legend: Legend,
    settings: ExportSettings,
    digest: str,
    images: Sequence[ExportImage],
) -> dict[str, Any]:
    """What makes two exports the same one, as JSON holds it: an unfinished one of the same plan is gone on with."""
    listed = hashlib.sha256()
    for image in images:
        listed.update(f"{image.source}\t{image.stamp}\t{image.split}\n".encode())
    plan = {
        "version": __version__,
        "formats": [form.key for form in formats],
        "settings": asdict(settings),
        "post_processing": legend.post_processing.changes,
        "classes": [asdict(one) for one in legend.classes],
        "digest": digest,
        "images": listed.hexdigest(),
    }
    return json.loads(json.dumps(plan))


def network_features(run: Run, device: str) -> FeatureSource:
    """Returns a function that computes feature maps with the network of `run`, float32.

    Raises PicieError when the network cannot be read.
    """
    engine = run.engine(device)
    return lambda images: engine(images).float().cpu().numpy()


def tiled_masks(
    run: Run, legend: Legend, folder: Path, images: Sequence[ExportImage], root: Path, device: str
) -> MaskSource:
    """Returns what makes the masks of a run that embeds images in tiles, in files below `folder`, one at a time."""
    records = run.workspace.image_list().records
    others = [ImageRecord(one.index, one.path, 0, 0, one.stamp) for one in images if one.image_id is None]
    files = MaskFiles(
        run,
        legend.clustering,
        legend.classes_of,
        legend.post_processing,
        folder,
        others=(root, others) if others else None,
        device=device,
    )

    def mask_of(image: ExportImage, confidence: bool) -> AbstractContextManager[MappedMask]:
        if image.image_id is None:
            return files.mask_of(files.know(image.index, probe_image(image.source)), confidence)
        record = records[image.image_id]
        if file_stamp(os.stat(image.source)) != record.stamp:
            raise ImageError(image.source, "changed since it was embedded: run `embed` again")
        return files.mask_of(record, confidence)

    return mask_of


def find_images(
    workspace: Workspace, formats: Sequence[Format], settings: ExportSettings, folder: Path | None = None
) -> tuple[list[ExportImage], list[Problem]]:
    """Returns the images to export, those of the workspace or of another `folder`, and the unreadable ones.

    Raises PicieError when there are none.
    """
    if folder is None:
        listed, root = workspace.image_list(), workspace.images_root
        paths, problems = [one.path for one in listed.readable], listed.problems
        known: list[tuple[int | None, int]] = [(one.id, one.stamp) for one in listed.readable]
    else:
        root = folder
        if not root.is_dir():
            raise PicieError(f"images={root} is not a folder: give a folder of images")
        found, problems = walk_images(root)
        paths, known = [one.path for one in found], [(None, one.stamp) for one in found]
    if not paths:
        raise PicieError(f"no images under {root}: give a folder that holds some")
    stems = {form.key: form.stems(paths) for form in formats}
    if settings.confidence != "none":
        stems["confidence"] = folder_stems(paths)
    splits = settings.division.splits_of(paths)
    sources = [
        ExportImage(i, path, root / path, splits[i], {key: names[i] for key, names in stems.items()}, *known[i])
        for i, path in enumerate(paths)
    ]
    return sources, list(problems)


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
