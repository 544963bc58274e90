"""One export from beginning to end: what is asked is checked, then all of it is written or nothing."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from picie_core.atomic_files import folder_atomic, write_json, write_text
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.image_file import open_image
from picie_core.data.image_folder import Problem, walk_images
from picie_core.errors import PicieError, SettingError
from picie_core.export.formats import FORMATS
from picie_core.export.mask_format import Format, Item, Legend, Written, digest_of, make_legend
from picie_core.export.pipeline import FeatureSource, Pipeline
from picie_core.progress import Report, ignore_progress
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.version import __version__

if TYPE_CHECKING:
    from picie_core.workspace.workspace import Run, StoredClustering, Workspace


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote and what it had to leave out."""

    out: Path
    images: int
    problems: list[Problem]
    classes: list[str]
    ignored_share: float
    """Share of all written pixels that are 255."""
    seconds: float
    post_processing: dict[str, Any] = field(default_factory=dict)
    """How masks were finished, where that differs from the defaults."""

    def record(self) -> dict[str, Any]:
        """Returns the report as JSON can hold it."""
        record = {**asdict(self), "out": str(self.out), "problems": _problem_records(self.problems)}
        return (
            record
            if self.post_processing
            else {name: value for name, value in record.items() if name != "post_processing"}
        )


def export_masks(
    clustering: StoredClustering,
    fmt: str,
    out: Path,
    images: Path | None = None,
    raw: bool = False,
    val_share: float = 0.2,
    split_seed: int = 0,
    report: Report = ignore_progress,
    command_line: str = "",
    device: str = "auto",
    feature_source: FeatureSource | None = None,
    post_processing: PostProcessing = PostProcessing(),
) -> ExportReport:
    """Writes a full-size mask of every image into the new folder `out`, and returns what was written.

    images: another folder of images than the workspace's own; raw: cluster ids instead of classes; cells_source:
    what makes the cells, by default the run's network; finish: what becomes of doubtful pixels, borders and specks.
    Unreadable images are listed, in the report and export.json.
    Raises SettingError for a wrong format, share or class name; PicieError when nothing has a name, `out` is in use,
    no image can be read or the disk is full. Nothing half-written is left then.
    """
    start = time.monotonic()
    if fmt not in FORMATS:
        raise SettingError(f"format={fmt!r} is unknown: choose one of {', '.join(FORMATS)}")
    if not 0 <= val_share <= 1:
        raise SettingError(f"val-share={val_share} must be from 0 to 1: 0.2 puts a fifth of the images into val")
    run, workspace = clustering.run, clustering.workspace
    form, out = FORMATS[fmt], Path(out).absolute()
    root = workspace.images_root if images is None else Path(images).absolute()
    check_out(out, root, workspace.root)
    legend = make_legend(workspace.label_map, clustering, raw, post_processing)
    form.check_legend(legend)
    items, problems = find_items(workspace, root, form, own=images is None)
    pipeline = Pipeline(run.image_cache(), feature_source or network_features(run, device), form, legend)
    with folder_atomic(out) as folder:
        written = pipeline.run(items, folder, report)
        by_path = {one.path: one for one in [*problems, *pipeline.problems]}
        problems = [by_path[path] for path in sorted(by_path)]
        if not written:
            first = f"{problems[0].path}: {problems[0].reason}"
            raise PicieError(f"none of the {len(items)} images of {root} can be read; the first: {first}")
        share = sum(one.ignored_pixels for one in written) / sum(one.size[0] * one.size[1] for one in written)
        head: dict[str, Any] = {"format": fmt, "version": __version__, "run": run.name, "clustering": clustering.name}
        head["digest"] = digest_of(run.folder / "embedder", clustering)
        head |= form.finish(folder, written, legend, val_share, split_seed)
        head |= {"source": str(root), "command": command_line, "ignored_share": round(share, 6)}
        head |= {"post_processing": post_processing.changes} if post_processing.changes else {}
        write_records(folder, legend, written, problems, head)
        check_written(folder, written)
    names = [entry.name for entry in legend.entries]
    return ExportReport(
        out, len(written), problems, names, share, round(time.monotonic() - start, 3), post_processing.changes
    )


def network_features(run: Run, device: str) -> FeatureSource:
    """Returns the network of `run` as a source of feature maps, float32. Raises PicieError when it cannot be read."""
    engine = run.engine(device)
    return lambda images: engine(images).float().cpu().numpy()


def check_out(out: Path, images_root: Path, workspace_root: Path) -> None:
    """Raises PicieError unless `out` is new or empty, and no place where the masks would be taken for images."""
    real_out, real_images = os.path.realpath(out), os.path.realpath(images_root)
    inside = Path(real_out).is_relative_to(real_images)
    if inside and not Path(real_out).is_relative_to(os.path.realpath(workspace_root)):
        raise PicieError(
            f"{out} lies in the folder of images {images_root}, where masks would be taken for images: "
            "choose another --out"
        )
    try:
        used = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise PicieError(
            f"{out} cannot be looked at ({error.strerror}): choose a folder that you may write to"
        ) from error
    if used:
        raise PicieError(f"{out} exists and is not an empty folder: give a new --out, so that nothing is overwritten")


def find_items(workspace: Workspace, root: Path, form: Format, own: bool) -> tuple[list[Item], list[Problem]]:
    """Returns the images to export and those known to be unreadable. Raises PicieError when there are none."""
    ids: list[int | None]
    if own:
        listed = workspace.image_list()
        paths, ids, problems = (
            [one.path for one in listed.readable],
            [one.id for one in listed.readable],
            listed.problems,
        )
    else:
        if not root.is_dir():
            raise PicieError(f"images={root} is not a folder: give a folder of images")
        found, problems = walk_images(root)
        paths, ids = [one.path for one in found], [None] * len(found)
    if not paths:
        raise PicieError(f"no images under {root}: give a folder that holds some")
    stems = form.stems(paths)
    rows = enumerate(zip(paths, stems, ids, strict=True))
    return [Item(index, path, root / path, stem, number) for index, (path, stem, number) in rows], list(problems)


def write_records(
    folder: Path, legend: Legend, written: list[Written], problems: list[Problem], head: dict[str, Any]
) -> None:
    """Writes export.json (what made the masks and what they mean), classes.txt and labelmap.json."""
    pairs = [(one.item.path, one.item.stem) for one in written]
    renamed = {path: stem for path, stem in pairs if str(PurePosixPath(path).with_suffix("")) != stem}
    meaning = {"images": len(written), "ignore_id": IGNORE_ID, "classes": legend.records()}
    write_json(folder / "export.json", {**head, **meaning, "renamed": renamed, "problems": _problem_records(problems)})
    write_text(folder / "classes.txt", "".join(f"{entry.name}\n" for entry in legend.entries))
    write_json(folder / "labelmap.json", legend.label_map)


def check_written(folder: Path, written: list[Written]) -> None:
    """Raises PicieError when a file is missing or an image and its mask differ in size."""
    for one in written:
        for path in (one.image, one.mask):
            with open(folder / path, "rb") as file, open_image(file) as picture:
                if picture.size != one.size:
                    raise PicieError(
                        f"{path} is {picture.size}, {one.item.path} was {one.size}: it changed meanwhile, export again"
                    )
    if len({one.mask for one in written}) != len(written):
        raise PicieError(f"{len(written)} images gave fewer masks: two have the same name, rename one")


def _problem_records(problems: list[Problem]) -> list[dict[str, str]]:
    return [{"path": one.path, "reason": one.reason} for one in problems]
