"""The sidebar: which workspace, embedder and clustering all screens speak of, how much is named, what is running."""

from __future__ import annotations

import html
from pathlib import Path

import streamlit as st

from app.session.clustering import QUICK_K
from app.session.current import current_clustering, open_workspace, reading
from app.session.folders import check_folder, known_workspaces, workspace_name
from app.session.jobs import Job, running_jobs
from app.session.record import session
from app.session.widget_keys import Key
from app.shared.edit_history import NOTICED, draw_edits
from app.shared.formatting import duration, home_path, literal, percent, progress_line
from app.shared.job_panel import job_share, job_words
from app.shared.layout.elements import small
from app.shared.layout.notices import show_errors
from app.shared.synced_fields import shown_key, typed
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.workspace import Run, Workspace

LARGEST_K = 500
WATCH_S = 1
"""Seconds between two reads of the workspace: what another tab edits is on the page within two."""


def draw_sidebar(workspace: Workspace | None, run: Run | None) -> None:
    """Draws the sidebar; without a workspace it only offers those that are known."""
    with st.sidebar, show_errors():
        _workspace_part(workspace)
        if workspace is None:
            return
        session().drawn_version = workspace.label_map.version()
        _run_part(workspace, run)
        if run is not None:
            clustering = current_clustering(run)
            k = clustering.base_k if clustering else QUICK_K[1]
            key = shown_key(Key.K, k)
            st.number_input(
                "Clusters K",
                2,
                LARGEST_K,
                k,
                step=1,
                key=key,
                on_change=want_k,
                args=(key,),
                help="How many kinds of pixels to tell apart. The network does not run again when it changes.",
            )
        st.fragment(run_every=WATCH_S)(_watch)(workspace, run, signature(workspace, run))


def _workspace_part(workspace: Workspace | None) -> None:
    small("Workspace")
    known = known_workspaces()
    if workspace is None and not known:
        st.caption("None open. Choose images first.")
        return
    label = workspace_name(workspace.root) if workspace else "Open a workspace"
    with st.popover(Path(label).name, icon=":material/folder_open:", width="stretch"):
        if workspace:
            st.caption(f"Workspace {literal(home_path(workspace.root))}")
            st.caption(f"Images {literal(home_path(workspace.record['images_root']))}")
        for root in known:
            if workspace is None or root != workspace.root:
                st.button(f"Open {root.name}", key=f"open_{root}", on_click=_open, args=(root,), width="stretch")
        if workspace:
            label = "Choose other images"
            st.button(label, key="close_workspace", on_click=open_workspace, args=(None,), width="stretch")


def _open(root: Path) -> None:
    open_workspace(check_folder(root))


def _run_part(workspace: Workspace, run: Run | None) -> None:
    if run is None:
        st.selectbox("Embedder", ["none yet"], disabled=True, key="run_none")
        return
    titles = run_titles([info for info in workspace.runs() if info.state == "done"])
    key = shown_key(Key.RUN, run.name)
    st.selectbox(
        "Embedder",
        list(titles),
        index=list(titles).index(run.name),
        format_func=lambda name: titles.get(name, name),
        key=key,
        on_change=_choose_run,
        args=(workspace, key),
        help="The network that the clusters are made from. Train makes new ones.",
    )


def run_titles(runs: list[RunInfo]) -> dict[str, str]:
    """Returns what a person reads for each run: title and image size, and the end of its name where two are alike."""
    plain = {
        info.id: f"{info.title}, {info.resolution}"
        + (", random weights" if info.settings.get("weights") == "none" else "")
        for info in runs
    }
    alike = {title for title in plain.values() if list(plain.values()).count(title) > 1}
    return {run: f"{title} · {run.rsplit('-', 1)[-1]}" if title in alike else title for run, title in plain.items()}


def _choose_run(workspace: Workspace, key: str) -> None:
    if not typed(key):
        return
    record = session()
    record.run, record.selected = st.session_state[key], None
    workspace.choose_run(record.run)


def want_k(key: str) -> None:
    """Asks for the K that the widget `key` holds; it is computed before the page is drawn."""
    if typed(key) and st.session_state[key]:
        session().wanted_k = int(st.session_state[key])


def signature(workspace: Workspace, run: Run | None) -> tuple:
    """Returns what changes with all that the page shows but names: clusters, their splits, runs, jobs and notices."""
    label_map = workspace.label_map
    jobs = tuple((job.status.command, job.status.started) for job in running_jobs(workspace))
    choices = tuple(label_map.get_choice(name) for name in ("run", "clustering"))
    done = tuple(info.id for info in workspace.runs() if info.state == "done")
    found, last = current_clustering(run) if run else None, label_map.can_undo()
    noticed = last.id if last and last.kind in NOTICED else None
    return found.digest if found else None, noticed, choices, jobs, done


def _watch(workspace: Workspace, run: Run | None, drawn: tuple) -> None:
    """Draws what changes without a redraw of the page, and redraws it when it does not show the workspace any more.

    A screen that redraws by itself what a name changes says so by `drawn_version`: then the page is left in peace.
    """
    with show_errors(), reading(workspace):
        clustering = current_clustering(run) if run else None
        if clustering:
            share = clustering.named_share()
            st.progress(min(1.0, share), text=f"Named {percent(share)} of all pixels")
        draw_edits(workspace, clustering)
        for job in running_jobs(workspace):
            _draw_job(job)
        if workspace.label_map.version() != session().drawn_version or signature(workspace, run) != drawn:
            st.rerun()


def _draw_job(job: Job) -> None:
    """Draws one running job, narrower than its panel on a screen: what and how long, below it how far."""
    words, progress = job_words(job), job.status.progress
    with st.container(border=True, gap="xsmall", key=f"job_{job.status.command}"):
        st.progress(job_share(job), text=f"{words.title} · {duration(job.seconds)}")
        small(html.escape(progress_line(progress, words.unit)) if progress else "starting")
