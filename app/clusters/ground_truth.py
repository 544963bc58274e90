"""With ground truth: how good the names are as they stand, and what is taken for what. Without, nothing of this."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st

from app.clusters.charts import confusion_figure
from app.session import cluster_caches
from app.session.jobs import job_of, start
from app.shared.formatting import percent
from app.shared.layout import job_bar, small
from app.shared.notices import show_errors
from picie_core.workspace.workspace import Run, StoredClustering, Workspace

COMMAND = "truth"


def truth_words(clustering: StoredClustering) -> str:
    """Returns accuracy and mIoU of the names as they stand, as HTML; empty without ground truth."""
    figures = cluster_caches.map_truth(clustering)
    if figures is None or figures.accuracy is None or figures.mean_iou is None:
        return ""
    right, iou = f"<b>{percent(figures.accuracy)}</b> right", f"mIoU <b>{100 * figures.mean_iou:.1f}</b>"
    return f"Against the ground truth: {right}, {iou}."


def draw_truth(clustering: StoredClustering) -> None:
    """Draws the confusion of the names; while the masks of this run are not looked up yet, the button that does it."""
    figures, known = cluster_caches.map_truth(clustering), cluster_caches.sampled_truth(clustering)
    if figures is None or known is None:
        _draw_look_up(clustering.run)
        return
    named = [item.name for item in clustering.label_map.classes()]
    rows = np.asarray(figures.confusion)
    used = rows.sum(1) > 0
    labels = [name for name, shown in zip([*named, "not named"], used, strict=True) if shown]
    st.plotly_chart(
        confusion_figure(rows[used], labels, list(known.class_names)),
        key="truth_confusion",
        width="stretch",
        config={"displaylogo": False, "displayModeBar": False},
        alt="Share of each class of the ground truth that the names call what",
    )
    known_iou = [(name, iou) for name, iou in zip(known.class_names, figures.class_iou, strict=True) if iou is not None]
    small(" · ".join(f"{html.escape(name)} <b>{100 * iou:.0f}</b>" for name, iou in known_iou))
    st.caption("Each column is a class of the ground truth. Below: its IoU in %. Estimated from the sampled pixels.")


def _draw_look_up(run: Run) -> None:
    job = job_of(run.workspace, COMMAND)
    if job is not None and job.is_running:
        st.fragment(run_every=1)(_running)(run.workspace)
        return
    if job is not None and job.state in ("failed", "crashed"):
        st.error(job.status.message or f"It ended without a word. The log is in {job.log}.")
    st.caption("The masks are not looked up for this embedder yet.")
    if st.button("Look them up", key="truth_start", icon=":material/play_arrow:"):
        with show_errors():
            start(run.workspace, COMMAND, ["--run", run.name])
            st.rerun()


def _running(workspace: Workspace) -> None:
    job = job_of(workspace, COMMAND)
    if job is None or not job.is_running:
        st.rerun()
        return
    job_bar(job, width=420)
