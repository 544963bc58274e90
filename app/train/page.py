"""Train: embed with a frozen backbone or train on these images in the background, watch it, stop it, resume it."""

from __future__ import annotations

import html
import shlex
from datetime import datetime

import streamlit as st

from app.session.current import current_run
from app.session.estimates import estimate_embed_s, estimate_train_s
from app.session.jobs import STALE_AFTER_S, Job, command_line, job_of, log_tail, start
from app.shared.formatting import about, count, device_here, duration, literal
from app.shared.job_panel import job_ending, job_panel, job_words, watch_job
from app.shared.layout.elements import headline, small
from app.shared.layout.empty_screens import need_workspace
from app.train.curves import draw_curves, metric_name
from app.train.forms import FROZEN, SETTINGS, TRAINED, draw_frozen, draw_training
from app.train.settings_form import problem_of
from picie_core.progress import WRITERS
from picie_core.workspace.run_info import METHOD_TITLES
from picie_core.workspace.trainings.training_history import read_history
from picie_core.workspace.workspace import Run, Workspace

TITLE = "Train"


def draw_form(workspace: Workspace) -> None:
    """Draws the settings of what is to be done, what it will cost, and the button that starts it."""
    readable = len(workspace.image_list().readable)
    with st.container(border=True):
        work = st.segmented_control(
            "What to do",
            [FROZEN, TRAINED],
            default=FROZEN if current_run(workspace) is None else TRAINED,
            required=True,
            key="work",
            label_visibility="collapsed",
        )
        values, arguments = draw_frozen(workspace) if work == FROZEN else draw_training(workspace)
        command = "embed" if work == FROZEN else "train"
        size_px, backbone = values["size_px"], values["backbone"]
        problem = problem_of(SETTINGS[work], values)
        if problem:
            st.error(problem, icon=":material/tune:")
        with st.container(horizontal=True, vertical_alignment="center"):
            if work == FROZEN:
                label = f"Embed {about(estimate_embed_s(workspace, readable, size_px, backbone))}"
            else:
                label = f"Train {about(estimate_train_s(workspace, readable, values))}"
            if st.button(label, type="primary", icon=":material/play_arrow:", key="start_job", disabled=bool(problem)):
                start(workspace, command, arguments)
                st.rerun()
            st.caption(f"{count(readable, 'image')}, on {device_here()}, in the background: the tab may be closed.")
        with st.expander("The command that does the same"):
            st.code(shlex.join(command_line(workspace, command, arguments)), language="bash", wrap_lines=True)


def last_job(workspace: Workspace) -> Job | None:
    """Returns the running embedding or training, else the one that ended last."""
    jobs = [job for command in WRITERS if (job := job_of(workspace, command))]
    return max(jobs, key=lambda job: (job.is_running, job.status.heartbeat), default=None)


def draw_running(workspace: Workspace, job: Job) -> None:
    """Draws a job while it runs: progress, stop, metrics, curves, log."""
    with st.container(border=True):
        st.markdown(f"**{literal(job_title(workspace, job))}** :gray[for {duration(job.seconds)}]")
        job_panel(job)
        metrics = job.status.progress.metrics if job.status.progress else {}
        words = [f"{html.escape(metric_name(name))} <b>{value:.3f}</b>" for name, value in metrics.items()]
        small(" · ".join(words) or "&nbsp;")
        if job.silent_s > STALE_AFTER_S:
            silent = duration(job.silent_s)
            st.warning(f"No sign of life for {silent}. It may be in a long step; else stop it and resume.")
        if job.status.command == "train":
            draw_curves(Run(workspace, job.status.run) if job.status.run else None, running=True)
    with st.expander("Log"):
        st.code(log_tail(job) or "nothing yet", language=None, height=220)


def job_title(workspace: Workspace, job: Job) -> str:
    """Returns what a running job does, such as `Training PiCIE`; its run has a name once it has started."""
    title = job_words(job).title
    if job.status.command != "train" or not (workspace.run_dir(job.status.run or "-") / "run.json").exists():
        return title
    method = workspace.run_info(job.status.run).method
    return f"{title} {METHOD_TITLES.get(method, method)}"


def draw_ending(workspace: Workspace, job: Job) -> None:
    """Says how the last job ended, and offers to resume a training that did not come to its end."""
    job_ending(job)
    checkpoint = workspace.run_dir(job.status.run or "-") / "checkpoint.pt"
    if job.state == "done" or job.status.command != "train" or not checkpoint.exists():
        return
    if st.button("Resume the training", icon=":material/replay:", key="resume"):
        processes = str(workspace.run_info(job.status.run).settings.get("processes", 1))
        start(workspace, "train", ["--resume", job.status.run, "--processes", processes])
        st.rerun()


def draw_runs(workspace: Workspace) -> None:
    """Draws every run with its metrics, and the curves of the newest training."""
    runs = workspace.runs()
    if not runs:
        return
    st.markdown("**Embedders made so far**")
    used = current_run(workspace)
    histories = {run.id: read_history(workspace, run.id) for run in runs if run.method != "frozen"}
    collapsed = {run for run, history in histories.items() if history and history[-1].get("collapsed")}
    st.dataframe(
        {
            "In use": ["●" if used and run.id == used.name else "" for run in runs],
            "Embedder": [run.title for run in runs],
            "Name": [run.id for run in runs],
            "State": [f"{run.state}{', collapsed' * (run.id in collapsed)}" for run in runs],
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
    trained = next((run for run in runs if histories.get(run.id)), None)
    if trained is not None:
        st.markdown(f"**{literal(trained.title)}** :gray[{literal(trained.id)}]")
        draw_curves(Run(workspace, trained.id), running=False)


workspace = need_workspace(TITLE)
used = current_run(workspace)
facts = (
    f"In use: <b>{html.escape(used.info.title)}</b>"
    if used
    else "No embedder yet. Start with the frozen one: it takes seconds."
)
headline(TITLE, facts, ("Look at the clusters", "clusters") if used else None, primary=False)
job = last_job(workspace)
if job is not None and job.is_running:
    watch_job(workspace, job.status.command, lambda job: draw_running(workspace, job))
else:
    if job is not None:
        draw_ending(workspace, job)
    draw_form(workspace)
    draw_runs(workspace)
