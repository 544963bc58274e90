"""The part of the Export screen that trains a network on written masks: start, curve, result pictures, download."""

from __future__ import annotations

import html
import json
import shlex
import time
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from app.export.archive import download_button
from app.session.jobs import Job, command_line, job_of, start
from app.session.weights import default_weights
from app.shared.formatting import count, duration, literal
from app.shared.job_panel import job_ending, job_panel, watch_job
from app.shared.layout.elements import show_jpeg, small
from app.shared.pictures.charts import curve_figure
from picie_core.atomic_files import write_json
from picie_core.distillation.settings import NETWORKS, StudentSettings
from picie_core.distillation.student.student_folder import read_history, read_report, training_folder
from picie_core.workspace.workspace import StoredClustering, Workspace

NETWORK_TITLES = {
    "fpn_resnet18": "ResNet-18 with a feature pyramid: the one for a CPU",
    "lraspp_mobilenet_v3_large": "LRASPP MobileNetV3: the lightest",
    "deeplabv3_mobilenet_v3_large": "DeepLabV3 MobileNetV3",
    "deeplabv3_resnet18": "DeepLabV3 ResNet-18",
    "deeplabv3_resnet50": "DeepLabV3 ResNet-50: wants a GPU",
}
QUIET = {"displayModeBar": False}
ARGUMENTS = "arguments.json"
"""What a training was started with, beside its checkpoint."""


def distil_part(clustering: StoredClustering) -> None:
    """Draws the training of a network on an export of this workspace, and the networks that were trained."""
    workspace = clustering.workspace
    exports = learnable_exports(workspace)
    job = job_of(workspace, "distil")
    if not exports and job is None and not students(workspace):
        return
    st.markdown("**Train a network on the masks**")
    st.caption("A small segmentation network that needs no clusters any more: an ONNX file, its label map, a script.")
    if job is not None and job.is_running:
        watch_job(workspace, "distil", partial(_draw_running, workspace))
        return
    if exports:
        _draw_form(workspace, exports)
    job_ending(job)
    for folder in students(workspace):
        _draw_student(folder)


def learnable_exports(workspace: Workspace) -> list[Path]:
    """Returns the exports of index PNG masks of classes, the newest first."""
    folder = workspace.root / "exports"
    found = [*folder.glob("[!.]*/export.json"), *folder.glob("[!.]*/*/export.json")]  # of several formats one each
    paths = sorted(found, key=lambda path: -path.stat().st_mtime)
    records = [(path.parent, json.loads(path.read_text())) for path in paths]
    return [
        folder
        for folder, record in records
        if record.get("format") == "png" and len(record["classes"]) > 1 and (folder / "images").is_dir()
    ]


def students(workspace: Workspace) -> list[Path]:
    """Returns the folders of the networks that were trained, the newest first."""
    paths = (workspace.root / "students").glob("*/report.json")
    return [path.parent for path in sorted(paths, key=lambda path: -path.stat().st_mtime)]


def _draw_form(workspace: Workspace, exports: list[Path]) -> None:
    """Draws what to learn from, which network, how long; and the button that starts."""
    with st.container(border=True):
        first, second, third = st.columns([2, 2, 1], vertical_alignment="bottom")
        base = workspace.root / "exports"
        export = first.selectbox(
            "Masks to learn from",
            exports,
            format_func=lambda folder: folder.relative_to(base).as_posix(),
            key="distil_export",
            help="Exports of index PNG masks of classes, with their images.",
        )
        network = second.selectbox(
            "Network", NETWORKS, format_func=NETWORK_TITLES.__getitem__, key="distil_network", persist_state="session"
        )
        minutes = third.number_input("Minutes", 1, 1440, 15, key="distil_minutes", persist_state="session")
        weights = st.text_input(
            "Weights of the backbone",
            default_weights() if "resnet18" in network else StudentSettings().weights,
            key=f"distil_weights_{network}",
            help="imagenet (downloaded once), none (random) or the path of a state dict.",
        )
        out = workspace.root / "students" / f"{export.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        unfinished = _unfinished(workspace)
        options = ["--minutes", f"{minutes}", "--epochs", "1000", "--network", network, "--weights", weights]
        words = [str(export), "--out", str(out), *options]
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Train the network", type="primary", icon=":material/play_arrow:", key="start_distil"):
                _begin(workspace, words, out)
            if unfinished and st.button("Go on with the stopped one", icon=":material/replay:", key="resume_distil"):
                _begin(workspace, unfinished[1], unfinished[0])
            st.caption("In the background: the tab may be closed. A stop keeps the best network so far.")
        with st.expander("The command that does the same"):
            st.code(shlex.join(command_line(workspace, "distil", words)), language="bash", wrap_lines=True)


def _begin(workspace: Workspace, words: list[str], out: Path) -> None:
    """Starts a training and keeps its arguments beside its checkpoint, so that it can go on."""
    write_json(training_folder(out) / ARGUMENTS, {"out": str(out), "words": words})
    start(workspace, "distil", words)
    st.rerun()


def _unfinished(workspace: Workspace) -> tuple[Path, list[str]] | None:
    """The newest training that has not come to its end: the folder of its student, and its arguments."""
    paths = (workspace.root / "students").glob(f"*.training/{ARGUMENTS}")
    newest = max(paths, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        return None
    record = json.loads(newest.read_text(encoding="utf-8"))
    return Path(record["out"]), record["words"]


def _draw_running(workspace: Workspace, job: Job) -> None:
    """Draws progress, stop button and the curve so far."""
    with st.container(border=True):
        st.markdown(f"**Training a network** :gray[for {duration(job.seconds)}]")
        job_panel(job)
        unfinished = _unfinished(workspace)
        _draw_curve(unfinished[0] if unfinished else None, "running")


def _draw_curve(out: Path | None, key: str) -> None:
    history = read_history(out) if out is not None else []
    if not history:
        st.caption("The curve starts with the first finished epoch.")
        return
    epochs = [int(one["epoch"]) for one in history]
    left, right = st.columns(2)
    loss = [float(one["loss"]) for one in history]
    left.plotly_chart(
        curve_figure(epochs, {"loss": loss}, "Loss", height=180),
        key=f"distil_loss_{key}",
        config=QUIET,
        alt=f"Loss over {count(len(epochs), 'epoch')}, now {loss[-1]:.3g}",
    )
    curves = {
        "mIoU": [100 * float(one["val_miou"]) for one in history],
        "accuracy": [100 * float(one["val_accuracy"]) for one in history],
    }
    right.plotly_chart(
        curve_figure(epochs, curves, "Agreement with held-out masks, %", height=180),
        key=f"distil_agreement_{key}",
        config=QUIET,
        alt=f"Agreement with held-out masks, now {curves['mIoU'][-1]:.1f} % mIoU",
    )


def _draw_student(folder: Path) -> None:
    """Draws one network: what it agrees with, its curve, held-out images beside both masks, the download."""
    report = read_report(folder)
    if report is None:
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            with st.container(gap=None):
                st.markdown(f"**{literal(folder.name)}**")
                small(html.escape(" · ".join(_facts(report))))
            download_button(folder)
        with st.expander("Curve, and held-out images: photograph, mask learnt from, mask of the network"):
            _draw_curve(folder, folder.name)
            for picture in sorted((folder / "pictures").glob("*.jpg")):
                show_jpeg(picture.read_bytes(), f"{picture.stem}: photograph, exported mask, mask of the network")
            changed = report["held_out"]["relabelled"]
            if changed:
                st.caption("What the network calls otherwise than the masks it learnt from, % of the held-out pixels")
                st.dataframe(changed, hide_index=True, alt="Classes that the network calls otherwise")


def _facts(report: dict[str, Any]) -> list[str]:
    """What there is to say of a network in one line."""
    held_out = report["held_out"]
    words = [report["student"]["network"], count(report["images"]["train"], "image"), duration(report["seconds"])]
    words.append(f"agrees on {held_out['accuracy']:.1f} % of the held-out pixels, {held_out['miou']:.1f} % mIoU")
    return words + ["stopped early"] * report["stopped"]
