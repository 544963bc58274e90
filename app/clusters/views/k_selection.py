"""Choosing K: the curve over K, computed in the background, and how to read it; it never decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.clusters.views.charts import clickable_chart, k_figure
from app.session.jobs import Job, job_of, start
from app.session.record import session
from app.shared.job_panel import job_ending, watch_job
from app.shared.layout.notices import attempt
from picie_core.workspace.workspace import Run, StoredClustering

if TYPE_CHECKING:
    from picie_core.clustering.k_selection import ScoreCurve

COMMAND = "scores"
HIGHEST = (100, 200, 500)
CHART = "k_chart"


def draw_k_curve(clustering: StoredClustering) -> None:
    """Draws the curve as far as it is known, the job that makes it, or the button that starts it."""
    from picie_core.workspace.k_curve import load_k_curve

    curve, job = load_k_curve(clustering.run), job_of(clustering.workspace, COMMAND)
    drawn = len(curve.points) if curve else 0
    if curve is not None and curve.points:
        draw_curve(curve, clustering)
    if job is not None and job.is_running:
        watch_job(clustering.workspace, COMMAND, has_news=lambda: _points_known(clustering.run) > drawn)
    else:
        _draw_start(clustering.run, curve, job)


def draw_curve(curve: ScoreCurve, clustering: StoredClustering) -> None:
    """Draws the metrics of each K and how to read them; a click on a point moves to its K."""
    ks = [point.k for point in curve.points]
    figure = k_figure(
        ks,
        {
            "Inertia": [point.inertia for point in curve.points],
            "Silhouette": [point.silhouette for point in curve.points],
            "Stability": [point.stability for point in curve.points],
        },
        clustering.base_k,
    )
    point = clickable_chart(CHART, figure, f"Inertia, silhouette and stability over K = {ks[0]} to {ks[-1]}")
    st.markdown(curve.reading)
    st.caption(
        "Inertia: how loose the clusters are. Silhouette: how far apart. Stability: whether other seeds find them too. "
        "None of them knows which names you want. Click on a point to move K."
    )
    if point is not None:
        k = int(point["x"])
        session().wanted_k = k if k != clustering.base_k else None
        st.rerun()


def _draw_start(run: Run, curve: ScoreCurve | None, job: Job | None) -> None:
    job_ending(job, tell_stop=False)
    if curve is None:
        st.caption("Tries the usual K, each with three seeds, in the background: about half a minute up to K = 100.")
    known = [point.k for point in curve.points] if curve else []
    with st.container(horizontal=True, gap="small"):
        for highest in HIGHEST:
            if highest > max(known, default=0) or (curve is not None and not curve.done and highest in curve.wanted):
                st.button(
                    f"Try K up to {highest}",
                    key=f"scores_{highest}",
                    icon=":material/play_arrow:",
                    on_click=attempt,
                    args=(start, run.workspace, COMMAND, ["--run", run.name, "--up-to", str(highest)]),
                )


def _points_known(run: Run) -> int:
    from picie_core.workspace.k_curve import load_k_curve

    curve = load_k_curve(run)
    return len(curve.points) if curve else 0
