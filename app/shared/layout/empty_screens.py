"""What stands where nothing is yet: what is missing, and the one button or the running job that helps."""

from __future__ import annotations

import streamlit as st

from app.session.current import current_clustering, current_run, current_workspace
from app.session.jobs import Job, job_of
from app.shared.job_panel import job_bar, watch_job
from app.shared.layout.elements import headline
from app.shared.layout.pages import page_path, purpose
from picie_core.progress import WRITERS
from picie_core.workspace.workspace import Run, StoredClustering, Workspace

HEIGHT_PX = 280


def empty_state(text: str, label: str, screen: str) -> None:
    """Draws what stands where nothing is yet: a sentence and the one button that helps."""
    with st.container(border=True, horizontal_alignment="center", vertical_alignment="center", height=HEIGHT_PX):
        st.markdown(text, text_alignment="center")
        if st.button(label, type="primary", key=f"empty_{screen}"):
            st.switch_page(page_path(screen))


def need_workspace(title: str) -> Workspace:
    """Returns the workspace of this tab; where there is none, says so under the title and ends the script."""
    workspace = current_workspace()
    if workspace is None:
        headline(title, purpose(title))
        empty_state("No images are open yet. Open a folder of images, or try the sample.", "Choose images", "images")
        st.stop()
    return workspace


def need_run(workspace: Workspace, title: str) -> Run:
    """Returns the run in use; where there is none, shows the job that makes one or what is missing, and ends."""
    run = current_run(workspace)
    if run is None:
        headline(title, purpose(title))
        running = [command for command in WRITERS if (job := job_of(workspace, command)) and job.is_running]
        if running:
            watch_job(workspace, running[0], _draw_waiting)
        else:
            text = "The images are not embedded yet, so there is nothing to cluster. It takes one click."
            empty_state(text, "Embed the images", "images")
        st.stop()
    return run


def need_clustering(run: Run, title: str) -> StoredClustering:
    """Returns the clustering in use; where there is none, the reason stands above already, and the script ends."""
    clustering = current_clustering(run)
    if clustering is None:
        headline(title, "")
        st.stop()
    return clustering


def _draw_waiting(job: Job) -> None:
    with st.container(border=True, horizontal_alignment="center", vertical_alignment="center", height=HEIGHT_PX):
        text = "The images are being embedded. This screen fills itself when that is done."
        st.markdown(text, text_alignment="center")
        job_bar(job, width=420)
