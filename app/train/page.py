"""Train: embed with a frozen backbone or train on these images in the background, watch it, stop it, resume it."""

from __future__ import annotations

import html
import shlex
import time
from datetime import datetime
from typing import Any

import streamlit as st

from app.session.estimates import estimate_embed_s, estimate_train_s
from app.session.jobs import KILL_AFTER_S, STALE_AFTER_S, WRITERS, Job, command_line, job_of, log_tail, start, stop
from app.session.state import current_run, session
from app.shared.formatting import about, count, device_here, duration, literal
from app.shared.layout import headline, job_bar, need_workspace, small
from app.shared.notices import show_errors
from app.train.curves import draw_curves
from app.train.forms import FROZEN, SETTINGS, TRAINED, draw_frozen, draw_training
from app.train.history import History, metric_name, read_history
from app.train.settings_form import problem_of
from picie_core.workspace.run_info import METHOD_TITLES, RunInfo
from picie_core.workspace.workspace import Run, Workspace

TITLE = "Train"


def draw_form(workspace: Workspace) -> None:
    """Draws the settings of what is to be done, what it will cost, and the button that starts it."""
    readable = len(workspace.image_list().readable)
    with st.container(border=True):
        work = draw_work(workspace)
        values, arguments = draw_frozen(workspace) if work == FROZEN else draw_training(workspace)
        command = "embed" if work == FROZEN else "train"
        problem = problem_of(SETTINGS[work], values)
        if problem:
            st.error(problem, icon=":material/tune:")
        with st.container(horizontal=True, vertical_alignment="center"):
            label = f"{'Embed' if work == FROZEN else 'Train'} {about(estimate(workspace, work, readable, values))}"
            if st.button(label, type="primary", icon=":material/play_arrow:", key="start_job", disabled=bool(problem)):
                start(workspace, command, arguments)
                st.rerun()
            st.caption(f"{count(readable, 'image')}, on {device_here()}, in the background: the tab may be closed.")
        with st.expander("The command that does the same"):
            st.code(shlex.join(command_line(workspace, command, arguments)), language="bash", wrap_lines=True)


def draw_work(workspace: Workspace) -> str:
    """Draws the choice between embedding and training and returns it."""
    chosen = st.segmented_control(
        "What to do",
        [FROZEN, TRAINED],
        default=FROZEN if current_run(workspace) is None else TRAINED,
        required=True,
        key="work",
        label_visibility="collapsed",
    )
    return chosen or FROZEN


def estimate(workspace: Workspace, work: str, readable: int, values: dict[str, Any]) -> float:
    """Returns about how many seconds the work will take with these settings."""
    if work == FROZEN:
        return estimate_embed_s(workspace, readable, values["size_px"])
    return estimate_train_s(workspace, readable, values["size_px"], values["epochs"])


def watched_job(workspace: Workspace) -> Job | None:
    """Returns the running writer of the workspace, else the one that ended last."""
    jobs = [job for command in WRITERS if (job := job_of(workspace, command))]
    return max(jobs, key=lambda job: (job.is_running, job.status.heartbeat), default=None)


def draw_job(workspace: Workspace) -> None:
    """Draws the job while it runs: progress, stop, curves, log. Redraws the page when it has ended."""
    with show_errors():
        job = watched_job(workspace)
        if job is None or not job.is_running:
            st.rerun()
            return
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center", wrap=False):
                with st.container(gap="xsmall"):
                    st.markdown(f"**{literal(job_title(workspace, job))}** :gray[for {duration(job.seconds)}]")
                    job_bar(job)
                draw_stop(job)
            metrics = job.status.progress.metrics if job.status.progress else {}
            figures = [f"{html.escape(metric_name(name))} <b>{value:.3f}</b>" for name, value in metrics.items()]
            small(" · ".join(figures) or "&nbsp;")
            if job.silent_s > STALE_AFTER_S:
                st.warning(
                    f"No sign of life for {duration(job.silent_s)}. It may be in a long step; else stop it and resume."
                )
            if job.status.command == "train":
                draw_curves(Run(workspace, job.status.run) if job.status.run else None, running=True)
        draw_log(job)


def job_title(workspace: Workspace, job: Job) -> str:
    """Returns what a running job does, such as `Training PiCIE`; its run has a name once it has started."""
    if job.status.command != "train":
        return "Embedding"
    if not job.status.run or not (workspace.run_dir(job.status.run) / "run.json").exists():
        return "Training"
    method = workspace.run_info(job.status.run).method
    return f"Training {METHOD_TITLES.get(method, method)}"


def draw_stop(job: Job) -> None:
    """Draws the button that asks the job to stop, and after a while the one that ends it at once."""
    asked = session().stop_asked.get(job.status.command, 0.0)
    waiting = time.time() - asked if asked >= job.status.started else None
    if waiting is None:
        st.button("Stop", icon=":material/stop:", key="stop_job", on_click=ask_to_stop, args=(job,))
    elif waiting < KILL_AFTER_S:
        st.button("Stopping after this step", icon=":material/stop:", key="stop_wait", disabled=True)
    else:
        st.button(
            "End it at once",
            icon=":material/dangerous:",
            key="stop_kill",
            on_click=stop,
            args=(job, True),
            help="The last checkpoint stays whole; what came after it is lost.",
        )


def ask_to_stop(job: Job) -> None:
    """Asks the job to stop and remembers when."""
    session().stop_asked[job.status.command] = time.time()
    stop(job)


def draw_log(job: Job, open_it: bool = False) -> None:
    """Draws the last lines of the log."""
    with st.expander("Log", expanded=open_it):
        st.code(log_tail(job) or "nothing yet", language=None, height=220)


def draw_ending(workspace: Workspace, job: Job) -> None:
    """Says how the last job ended, and offers to resume a training that did not come to its end."""
    name = "Training" if job.status.command == "train" else "Embedding"
    asked = session().stop_asked.get(job.status.command, 0.0) >= job.status.started
    state = "stopped" if job.state == "crashed" and asked else job.state
    if state == "done":
        return
    after = f"after {duration(job.seconds)}" if job.status.progress else "while it was starting"
    words = {
        "stopped": f"{name} was stopped {after}.",
        "failed": f"{name} failed: {job.status.message}",
        "crashed": f"{name} ended without a word {after}: its process is gone (killed, or the "
        "machine went down). What was stored before is whole.",
    }
    (st.info if state == "stopped" else st.error)(words[state])
    resumable = job.status.command == "train" and (workspace.run_dir(job.status.run or "-") / "checkpoint.pt").exists()
    if resumable and st.button("Resume the training", icon=":material/replay:", key="resume"):
        processes = str(workspace.run_info(job.status.run).settings.get("processes", 1))
        start(workspace, "train", ["--resume", job.status.run, "--processes", processes])
        st.rerun()
    draw_log(job, open_it=state != "stopped")


def draw_runs(workspace: Workspace) -> None:
    """Draws every run with its figures, and the curve of the newest training."""
    runs = workspace.runs()
    if not runs:
        return
    st.markdown("**Embedders made so far**")
    used = current_run(workspace)
    st.dataframe(
        {
            "In use": ["●" if run.id == used else "" for run in runs],
            "Embedder": [run.title for run in runs],
            "Name": [run.id for run in runs],
            "State": [state_words(workspace, run) for run in runs],
            "Images": [run.images or None for run in runs],
            "Size, px": [run.settings.get("size_px") for run in runs],
            "Time": [duration(run.seconds) if run.seconds else "" for run in runs],
            "Made": [datetime.fromtimestamp(run.created).strftime("%Y-%m-%d %H:%M") for run in runs],
        },
        hide_index=True,
        placeholder="",
        column_config={"In use": st.column_config.TextColumn(width=60, alignment="center")},
        alt="Runs of this workspace, newest first",
    )
    trained = next((run for run in runs if run.method != "frozen" and history_of(workspace, run)), None)
    if trained is not None:
        st.markdown(f"**{literal(trained.title)}** :gray[{literal(trained.id)}]")
        draw_curves(Run(workspace, trained.id), running=False)


def state_words(workspace: Workspace, run: RunInfo) -> str:
    """Returns the state of a run, and whether its training had collapsed at the end."""
    history = history_of(workspace, run) if run.method != "frozen" else []
    return f"{run.state}, collapsed" if history and history[-1].get("collapsed") else run.state


def history_of(workspace: Workspace, run: RunInfo) -> History:
    """Returns the epochs of a run."""
    return read_history(workspace.run_dir(run.id) / "history.jsonl")


workspace = need_workspace(TITLE)
used = current_run(workspace)
facts = (
    f"In use: <b>{html.escape(used.info.title)}</b>"
    if used
    else "No embedder yet. Start with the frozen one: it takes seconds."
)
headline(TITLE, facts, ("Look at the clusters", "clusters") if used else None, primary=False)
watched = watched_job(workspace)
if watched is not None and watched.is_running:
    st.fragment(run_every=1)(draw_job)(workspace)
else:
    if watched is not None:
        draw_ending(workspace, watched)
    draw_form(workspace)
    draw_runs(workspace)
