"""The UMAP of the map: its parameters, the background job that makes it, and what is drawn until it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.map.record import map_record
from app.session.jobs import Job, job_of, start, stop
from app.shared.job_panel import job_ending, job_panel, watch_job
from app.shared.pictures.charts import MAP_HEIGHT
from picie_core.workspace.workspace import Run, Workspace

if TYPE_CHECKING:
    from picie_core.clustering.projection import Projection, UmapSettings

COMMAND = "project"
POINT_CHOICES = (5_000, 10_000, 20_000)
NEIGHBOR_CHOICES = (5, 10, 15, 30, 50, 100)
DISTANCE_CHOICES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.8)


def choose_umap(placed: Projection | None) -> None:
    """Draws the parameters behind a button; another choice is shown at once if it was made before, else made."""
    now = map_record().umap or (placed.settings if placed else None) or _usual()
    choices = {
        "points": ("Points", POINT_CHOICES, "UMAP places these; all others go where their neighbours are."),
        "neighbors": ("Neighbours", NEIGHBOR_CHOICES, "Few show detail, many show the whole."),
        "min_dist": ("Minimum distance", DISTANCE_CHOICES, "A small one packs points."),
    }
    with st.popover("Parameters", icon=":material/tune:"), st.form("umap_parameters", border=False):
        for name, (label, offered, text) in choices.items():
            value = getattr(now, name)
            st.select_slider(label, sorted({*offered, value}), value, key=f"umap_{name}", help=text)
        st.number_input("Seed", 0, value=now.seed, step=1, key="umap_seed")
        st.form_submit_button("Make this map", type="primary", on_click=_want_chosen)


def _want_chosen() -> None:
    from picie_core.clustering.projection import UmapSettings

    names = ("points", "neighbors", "min_dist", "seed")
    want_umap(UmapSettings(**{name: st.session_state[f"umap_{name}"] for name in names}))


def want_umap(settings: UmapSettings | None = None) -> None:
    """Asks for a UMAP, the usual one if none is named: shown if it is there, else made in the background."""
    map_record().umap, map_record().umap_asked = settings or _usual(), None


def _usual() -> UmapSettings:
    from picie_core.clustering.projection import UmapSettings

    return UmapSettings()


def follow_umap(run: Run, placed: Projection | None) -> bool:
    """Starts the UMAP that was asked for unless it is there; returns whether one is being made.

    One that is made with other parameters is stopped for it.
    """
    state, job = map_record(), job_of(run.workspace, COMMAND)
    running = job is not None and job.is_running
    wanted = state.umap
    if wanted is None or wanted == state.umap_asked or (placed is not None and placed.settings == wanted):
        return running
    if running and job is not None:
        stop(job, force=True)  # nothing is stored before it is whole
        return True
    start(run.workspace, COMMAND, arguments(run.name, wanted))
    state.umap_asked = wanted
    return True


def arguments(run: str, wanted: UmapSettings) -> list[str]:
    """Returns the words that make this UMAP on the command line."""
    words = ["--run", run, "--points", wanted.points, "--neighbors", wanted.neighbors]
    return [str(word) for word in (*words, "--min-dist", f"{wanted.min_dist:g}", "--seed", wanted.seed)]


def umap_progress(run: Run, placed: Projection | None) -> None:
    """Draws how far the UMAP is, over the whole place of the map when there is none before it."""

    def draw(job: Job) -> None:
        if placed is not None:
            job_panel(job, width=320, on_stop=_stop_asking)
            return
        with st.container(border=True, height=MAP_HEIGHT, vertical_alignment="center", horizontal_alignment="center"):
            job_panel(job, width=420, on_stop=_stop_asking)

    watch_job(run.workspace, COMMAND, draw, has_news=lambda: not follow_umap(run, placed))


def _stop_asking() -> None:
    state = map_record()
    state.umap_asked = state.umap


def umap_missing(workspace: Workspace) -> None:
    """Draws the button that makes the first UMAP, in place of the map, and why the last one failed if it did."""
    with st.container(border=True, height=MAP_HEIGHT, vertical_alignment="center", horizontal_alignment="center"):
        umap_trouble(workspace)
        st.markdown(
            "UMAP draws similar pixels together more clearly than PCA. It takes half a minute, in the background.",
            text_alignment="center",
        )
        st.button("Compute UMAP", type="primary", icon=":material/play_arrow:", key="start_umap", on_click=want_umap)


def umap_trouble(workspace: Workspace) -> None:
    """Says why the last UMAP failed, if it did."""
    job_ending(job_of(workspace, COMMAND), tell_stop=False)
