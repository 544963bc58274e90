"""Corrected masks come back: what was corrected most, and buttons that take it over; part of the Export screen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import streamlit as st

from app.export.correction_pictures import draw_pictures
from app.session.folders import check_folder
from app.session.jobs import job_of, start
from app.session.record import session
from app.session.widget_keys import Key
from app.shared.formatting import count, literal, percent
from app.shared.job_panel import job_ending, watch_job
from app.shared.layout.elements import small
from app.shared.layout.notices import attempt, show_errors
from picie_core.atomic_files import open_atomic
from picie_core.errors import PicieError
from picie_core.workspace.workspace import StoredClustering, Workspace

COMMAND = "import"
FORMATS = {
    "auto": "Find out",
    "png": "Index PNG",
    "voc": "Pascal VOC, CVAT segmentation mask",
    "coco": "COCO",
    "cvat": "CVAT for images",
    "label-studio": "Label Studio",
}
UPLOADS = "imports"
"""Folder of a workspace that holds what was uploaded."""


@dataclass
class CorrectionsRecord:
    """What a tab remembers of this part."""

    asked: bool = False
    """True once this tab has started an import: the report of an older one stays folded up."""


def corrections_part(clustering: StoredClustering) -> None:
    """Draws the whole part: what is annotated, what to compare, and the report of the last comparison."""
    st.markdown("**Corrected masks**")
    with show_errors():
        annotated_part(clustering.workspace)
        job = job_of(clustering.workspace, COMMAND)
        if job is not None and job.is_running:
            watch_job(clustering.workspace, COMMAND)
            return
        choose_masks(clustering)
        job_ending(job)
        if job is not None and job.state == "done":
            report = job.status.result
            with st.expander(_title(report), expanded=session().of(CorrectionsRecord).asked):
                draw_report(clustering, report)


# -- what is annotated now


def annotated_part(workspace: Workspace) -> None:
    """Says how many images have an annotation, lists them, and offers to remove some or all."""
    paths = sorted(workspace.label_map.annotated_paths())
    if not paths:
        small("No image has an annotation. Export writes the predicted mask of every image.")
        return
    verb = "has an annotation" if len(paths) == 1 else "have annotations"
    small(f"<b>{count(len(paths), 'image')}</b> {verb}, which export writes instead of the predicted masks.")
    with st.expander("Annotated images"):
        chosen = st.dataframe(
            {"Image": paths},
            hide_index=True,
            height="content" if len(paths) <= 6 else 240,
            on_select="rerun",
            selection_mode="multi-row",
            key="annotated_images",
            alt="Images that have an annotation",
        )
        rows = chosen.selection.rows
        wanted = [paths[row] for row in rows if row < len(paths)] or paths
        label = (
            f"Remove {count(len(wanted), 'annotation')}" if rows else f"Remove all {count(len(paths), 'annotation')}"
        )
        st.button(
            label,
            icon=":material/delete:",
            key="remove_annotations",
            on_click=attempt,
            args=(workspace.label_map.remove_annotations, wanted),
            help="Export writes the predicted masks again. Undo brings the annotations back.",
        )


# -- what to compare


def choose_masks(clustering: StoredClustering) -> None:
    """Draws the field for a path on this machine and the one for an upload; both start a comparison."""
    with st.form("compare_masks", border=False):
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        text = left.text_input(
            "Masks that were corrected elsewhere",
            key=Key.IMPORT_PATH,
            persist_state="session",
            placeholder=str(Path.home() / "corrected.zip"),
            help="A folder, a zip or a file on this machine, as the other tool exported it.",
        )
        form = right.selectbox(
            "Format",
            list(FORMATS),
            format_func=lambda key: FORMATS[key],
            key=Key.IMPORT_FORMAT,
            persist_state="session",
        )
        asked = st.form_submit_button("Compare", icon=":material/compare:")
    with st.expander("Or upload a file"):
        uploaded = st.file_uploader(
            "Zip, JSON of COCO or Label Studio, or CVAT XML",
            type=["zip", "json", "xml"],
            key="upload_masks",
            label_visibility="collapsed",
        )
        if uploaded is not None and st.button("Upload and compare", icon=":material/upload:", key="compare_upload"):
            path = store_upload(clustering.workspace, uploaded.name, uploaded.getvalue())
            _start(clustering, path, form, ["--dry-run"])
    if asked:
        with show_errors():
            if not text.strip():
                raise PicieError("no path is given: type the folder, zip or file of the corrected masks")
            _start(clustering, check_folder(text.strip()), form, ["--dry-run"])
    small("Nothing changes before you take it over, and everything that you take over can be undone.")


def store_upload(workspace: Workspace, name: str, data: bytes) -> Path:
    """Writes an uploaded file below the workspace and returns its path; one of the same name is replaced."""
    path = workspace.root / UPLOADS / PurePosixPath(name.replace("\\", "/")).name.lstrip(".")
    with open_atomic(path) as file:
        file.write(data)
    return path


def _start(clustering: StoredClustering, path: Path, form: str, options: list[str]) -> None:
    words = [str(path), "--format", form, "--run", clustering.run.name, "--clustering", clustering.name]
    start(clustering.workspace, COMMAND, [*words, *options])
    session().of(CorrectionsRecord).asked = True
    st.rerun()


# -- the report


def _title(report: dict[str, Any]) -> str:
    what = "Taken over from" if report["applied"] else "Compared with"
    return f"{what} {literal(Path(report['path']).name)}"


def draw_report(clustering: StoredClustering, report: dict[str, Any]) -> None:
    """Draws what was found, the button that takes it over or what was taken over, and what could not be used."""
    corrected = report["corrected"]
    words = [f"<b>{count(len(corrected), 'corrected mask')}</b>", f"{report['unchanged']:,} unchanged"]
    if corrected:
        agree = percent(report["accuracy"])
        words.append(f"the predicted masks of these agree in {agree} of the pixels, mIoU {report['mean_iou']:.2f}")
    small(" · ".join(words))
    for told in _told(report):
        st.caption(told)
    if report["applied"]:
        st.success("Done: " + "; ".join(literal(one) for one in report["applied"]) + ".", icon=":material/check:")
    elif clustering.run.name == report["run"] and clustering.name == report["clustering"]:
        take_over(clustering, report)
    if corrected:
        _draw_tables(report)
        with show_errors():
            draw_pictures(clustering, report)
    if report["problems"]:
        with st.expander(f"{count(len(report['problems']), 'mask')} that could not be used, or not wholly"):
            st.dataframe(report["problems"], hide_index=True, alt="Masks that could not be used, with the reason")


def _told(report: dict[str, Any]) -> list[str]:
    """What is good to know before taking over."""
    lines = []
    if report["new_classes"]:
        lines.append(f"New classes: {', '.join(map(literal, report['new_classes']))}.")
    if report["other_spellings"]:
        pairs = (f"{literal(told)} is {literal(known)}" for told, known in report["other_spellings"].items())
        lines.append(f"Other spellings: {', '.join(pairs)}.")
    if report["ignored_names"]:
        lines.append(f"Taken as not labelled: {', '.join(map(literal, report['ignored_names']))}.")
    return lines


def take_over(clustering: StoredClustering, report: dict[str, Any]) -> None:
    """Draws what can be taken over, each with its switch, and the button that does it."""
    corrected, renames, splits = (len(report[name]) for name in ("corrected", "renames", "splits"))
    if not corrected:
        st.caption("No mask differs from what the label map says, so there is nothing to take over.")
        return
    keep = st.checkbox(f"Keep {count(corrected, 'corrected mask')} as annotations", value=True, key="keep_corrected")
    options = ["--keep", "changed" if keep else "none"]
    if report["names"]:
        named = ", ".join(f"{one['cluster']} {literal(one['name'])}" for one in report["names"][:8])
        label = f"Name {count(len(report['names']), 'cluster')} without a name: {named}"
        if not st.checkbox(label, value=True, key="name_corrected"):
            options.append("--no-names")
    if renames and st.checkbox(f"Rename {count(renames, 'cluster')} whose name disagrees", key="rename_corrected"):
        options.append("--rename")
    if splits and st.checkbox(f"Split {count(splits, 'cluster')} that hold several classes", key="split_corrected"):
        options.append("--split")
    if st.button("Take over", type="primary", icon=":material/check:", key="take_over"):
        _start(clustering, Path(report["path"]), report["form"], options)


def _draw_tables(report: dict[str, Any]) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        st.caption("Classes, over the corrected images")
        rows = [
            {
                "Class": one["name"],
                "Corrected px": one["corrected"],
                "Predicted px": one["predicted"],
                "IoU": one["iou"],
            }
            for one in report["classes"]
        ]
        st.dataframe(rows, hide_index=True, height=240, alt="Pixels and IoU of each class")
    with right:
        st.caption("Images, the most corrected first")
        images = [
            {"Image": one["path"], "Changed": percent(one["changed"] / one["pixels"]), "mIoU": one["mean_iou"]}
            for one in report["corrected"]
        ]
        st.dataframe(images, hide_index=True, height=240, alt="Share of changed pixels and mIoU of each image")
    for name, title in (("renames", "Names that disagree"), ("splits", "Clusters that hold several classes")):
        if report[name]:
            with st.expander(f"{title} ({len(report[name])})"):
                st.dataframe([_row(one) for one in report[name]], hide_index=True, alt=title)


def _row(one: dict[str, Any]) -> dict[str, Any]:
    """A proposed name or split as a row."""
    if "parts" in one:
        parts = ", ".join(f"{name} {percent(share)}" for name, share in one["parts"].items())
        right = f"{percent(one['right_before'])} to {percent(one['right_after'])}"
        return {"Cluster": one["cluster"], "Now": one["now"] or "-", "Holds": parts, "Right pixels": right}
    return {"Cluster": one["cluster"], "Now": one["now"], "Corrected": one["name"], "Share": percent(one["share"])}
