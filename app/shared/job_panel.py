"""A background job on the page: how far it is, the button that stops it, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from app.session.jobs import KILL_AFTER_S, Job, job_of, log_tail, stop
from app.session.record import session
from app.shared.formatting import duration, progress_line
from app.shared.layout.notices import show_errors
from picie_core.workspace.workspace import Workspace

WATCH_S = 1
Width = int | Literal["stretch"]


@dataclass(frozen=True)
class JobWords:
    """What the page calls a job."""

    title: str
    unit: str = "images"
    """Of its rate; empty where the steps are not alike, so that a rate would say nothing."""


JOBS = {
    "embed": JobWords("Embedding"),
    "train": JobWords("Training"),
    "project": JobWords("UMAP", ""),
    "scores": JobWords("Trying K", ""),
    "truth": JobWords("Ground truth"),
    "export": JobWords("Exporting"),
    "import": JobWords("Importing"),
    "distil": JobWords("Training a network"),
    "scan": JobWords("Scanning"),
}


def job_words(job: Job) -> JobWords:
    """Returns what the page calls a job; of one that it does not know, the command."""
    return JOBS.get(job.status.command, JobWords(job.status.command))


def job_share(job: Job) -> float:
    """Returns how much of its present phase a job has done, 0 to 1."""
    progress = job.status.progress
    return min(1.0, progress.done / progress.total) if progress and progress.total else 0.0


def job_bar(job: Job, width: Width = "stretch") -> None:
    """Draws how far a job is: what it does, of how much, how fast, how long still."""
    progress = job.status.progress
    text = progress_line(progress, job_words(job).unit) if progress else "Starting: loading the program"
    st.progress(job_share(job), text=text, width=width)


def stop_button(job: Job, on_stop: Callable[[], None] | None = None) -> None:
    """Draws the button that asks a job to stop, and after a while the one that ends it at once."""
    command = job.status.command
    waiting = time.time() - session().stop_asked.get(command, 0.0) if was_asked(job) else None
    if waiting is None:
        st.button("Stop", icon=":material/stop:", key=f"stop_{command}", on_click=_ask, args=(job, on_stop))
    elif waiting < KILL_AFTER_S:
        st.button("Stopping after this step", icon=":material/stop:", key=f"stopping_{command}", disabled=True)
    else:
        st.button(
            "End it at once",
            icon=":material/dangerous:",
            key=f"kill_{command}",
            on_click=stop,
            args=(job, True),
            help="What was stored before stays whole; what came after it is lost.",
        )


def was_asked(job: Job) -> bool:
    """Returns whether this tab asked the job to stop."""
    return session().stop_asked.get(job.status.command, 0.0) >= job.status.started


def _ask(job: Job, on_stop: Callable[[], None] | None) -> None:
    session().stop_asked[job.status.command] = time.time()
    if on_stop is not None:
        on_stop()
    stop(job)


def job_panel(job: Job, width: Width = "stretch", on_stop: Callable[[], None] | None = None) -> None:
    """Draws progress and stop button in one row."""
    room: Literal["stretch", "content"] = "stretch" if width == "stretch" else "content"
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, width=room):
        job_bar(job, width)
        stop_button(job, on_stop)


def watch_job(
    workspace: Workspace,
    command: str,
    draw: Callable[[Job], None] = job_panel,
    has_news: Callable[[], bool] = lambda: False,
) -> None:
    """Draws the running job of a command again every second; redraws the page when it has ended or `has_news`."""

    @st.fragment(run_every=WATCH_S)
    def watch() -> None:
        with show_errors():
            job = job_of(workspace, command)
            if job is None or not job.is_running or has_news():
                st.rerun()
            draw(job)

    watch()


def job_ending(job: Job | None, tell_stop: bool = True) -> None:
    """Says how the last job of a command ended unless it came to its end, and shows where its log is."""
    if job is None or job.is_running or job.state == "done":
        return
    title = job_words(job).title
    after = f"after {duration(job.seconds)}" if job.status.progress else "while it was starting"
    if job.state == "stopped" or (job.state == "crashed" and was_asked(job)):
        if tell_stop:
            st.info(f"{title} was stopped {after}.", icon=":material/stop_circle:")
        return
    if job.state == "failed":
        words = f"{title} failed: {job.status.message}"
    else:
        words = (
            f"{title} ended without a word {after}: its process is gone (killed, or the machine went down). What was "
            "stored before is whole."
        )
    st.error(f"{words} The log is in {job.log}.", icon=":material/error:")
    with st.expander("Last lines of the log"):
        st.code(log_tail(job) or "nothing yet", language=None, height=220)
