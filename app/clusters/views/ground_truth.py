"""With ground truth: how good the names are, and the confusion of classes. Without it, none of this is drawn."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app.clusters.views.charts import PLAIN, confusion_figure
from app.session.cache import cached
from app.session.jobs import job_of, start
from app.shared.formatting import percent
from app.shared.job_panel import job_ending, watch_job
from app.shared.layout.elements import small
from app.shared.layout.notices import show_errors
from picie_core.workspace.workspace import Run, StoredClustering

if TYPE_CHECKING:
    from picie_core.evaluation.sampled_truth import ClusterTruth, MapTruth, SampledTruth

COMMAND = "truth"


def sampled_truth(clustering: StoredClustering) -> SampledTruth | None:
    """Returns the class of every sampled pixel; None without masks, or before they are read for this sample."""
    from picie_core.workspace.ground_truth import load_truth

    known = load_truth(clustering.run)
    return known if known is not None and len(known.labels) == len(clustering.labels) else None


def cluster_truths(clustering: StoredClustering) -> list[ClusterTruth] | None:
    """Returns the majority class of each cluster, and its purity; None without ground truth."""
    known = sampled_truth(clustering)
    return None if known is None else _cluster_truths(clustering, _masks(clustering), known)


@cached(8)
def _cluster_truths(clustering: StoredClustering, masks: str, _known: SampledTruth) -> list[ClusterTruth]:
    from picie_core.evaluation.sampled_truth import cluster_truth

    return cluster_truth(clustering, _known)


def map_truth(clustering: StoredClustering) -> MapTruth | None:
    """Returns the metrics of the names as they are now, on the workspace's own images; None without ground truth."""
    known = sampled_truth(clustering)
    if known is None:
        return None
    return _map_truth(clustering, _masks(clustering), clustering.label_map.version(), known)


@cached(8)
def _map_truth(clustering: StoredClustering, masks: str, version: int, _known: SampledTruth) -> MapTruth:
    from picie_core.evaluation.sampled_truth import map_truth

    names = [item.name for item in clustering.label_map.classes()]
    return map_truth(clustering, clustering.classes_of(), names, _known)


def _masks(clustering: StoredClustering) -> str:
    """What the workspace remembers of its masks: other masks give other metrics."""
    return clustering.label_map.get_choice("masks") or ""


def truth_words(clustering: StoredClustering) -> str:
    """Returns accuracy and mIoU of the names as they are now, as HTML; empty without ground truth."""
    metrics = map_truth(clustering)
    if metrics is None or metrics.accuracy is None or metrics.mean_iou is None:
        return ""
    accuracy, iou = f"<b>{percent(metrics.accuracy)}</b>", f"<b>{100 * metrics.mean_iou:.1f}</b>"
    return f"Against the ground truth: accuracy {accuracy}, mIoU {iou}."


def draw_truth(clustering: StoredClustering) -> None:
    """Draws the confusion of the names; before the masks are read for this run, the button that does it."""
    metrics, known = map_truth(clustering), sampled_truth(clustering)
    if metrics is None or known is None:
        _draw_start(clustering.run)
        return
    named = [item.name for item in clustering.label_map.classes()]
    rows = np.asarray(metrics.confusion)
    used = rows.sum(1) > 0
    labels = [name for name, shown in zip([*named, "not named"], used, strict=True) if shown]
    st.plotly_chart(
        confusion_figure(rows[used], labels, list(known.class_names)),
        key="truth_confusion",
        width="stretch",
        config=PLAIN,
        alt="Confusion: the share of each class of the ground truth that has each name",
    )
    known_iou = [(name, iou) for name, iou in zip(known.class_names, metrics.class_iou, strict=True) if iou is not None]
    small(" · ".join(f"{html.escape(name)} <b>{100 * iou:.0f}</b>" for name, iou in known_iou))
    st.caption("Each column is a class of the ground truth. Below: its IoU in %. Estimated from the sampled pixels.")


def _draw_start(run: Run) -> None:
    job = job_of(run.workspace, COMMAND)
    if job is not None and job.is_running:
        watch_job(run.workspace, COMMAND)
        return
    job_ending(job, tell_stop=False)
    st.caption("The ground truth of the sampled pixels is not read for this embedder yet.")
    if st.button("Read the masks", key="truth_start", icon=":material/play_arrow:"):
        with show_errors():
            start(run.workspace, COMMAND, ["--run", run.name])
            st.rerun()
