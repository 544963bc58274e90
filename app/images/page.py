"""Images: choose the folder or the sample, see what is in it and what cannot be read, embed it."""

from __future__ import annotations

import html
from pathlib import Path

import streamlit as st

from app.session.current import current_run, current_workspace, open_workspace
from app.session.estimates import (
    embed_arguments,
    estimate_embed_s,
    estimate_tiles_s,
    usual_downsample,
)
from app.session.folders import SAMPLE_IMAGES, check_images, workspace_for
from app.session.jobs import job_of, start
from app.session.record import session
from app.session.weights import default_weights
from app.session.widget_keys import Key
from app.shared.formatting import about, count, device_here, home_path, percent, pixels
from app.shared.job_panel import job_ending, job_panel, watch_job
from app.shared.layout.elements import headline, picture
from app.shared.layout.notices import show_errors
from app.shared.layout.pages import page_path
from app.shared.pictures.thumbnails import aspect_of, pyramid_folders, spread, thumbnails
from picie_core.data.images.image_folder import find_images
from picie_core.data.images.image_index import ImageList
from picie_core.errors import PicieError
from picie_core.progress import Progress
from picie_core.settings import DOWNSAMPLES
from picie_core.workspace.workspace import Run, Workspace

SAMPLE_K = 12
SAMPLE_SIZE_PX = 240
THUMBNAILS, COLUMNS = 60, 10
DOWNSAMPLE_NAMES = {0: "Resized to 320 px", 1: "Full resolution"}


def choose_images() -> None:
    """Draws the two ways in: the sample at one click, or a folder of images."""
    headline(
        "Choose images",
        "Discover what is in a folder of unlabelled images, name it, and write masks. Nothing leaves this machine.",
    )
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        _sample_card()
    with right.container(border=True, height="stretch"):
        _folder_card()


def _sample_card() -> None:
    st.markdown("**Try the sample**")
    try:
        paths = find_images(SAMPLE_IMAGES)
    except OSError:
        paths = []
    if not paths:
        st.caption(f"The sample images are not here ({SAMPLE_IMAGES}).")
        return
    chosen = paths[:: max(1, len(paths) // 15)][:15]
    stamps = tuple((SAMPLE_IMAGES / path).stat().st_mtime_ns for path in chosen)
    sheet = thumbnails(str(SAMPLE_IMAGES), tuple(chosen), stamps, 5)
    picture("sheet_sample", sheet, f"{len(chosen)} of the {len(paths)} sample scenes", aspect_of(len(chosen), 5))
    st.caption(f"{len(paths)} generated landscapes, 320 × 240 px. Embedded and clustered in about 20 seconds.")
    if st.button("Try the sample", type="primary", icon=":material/play_arrow:", key="try_sample"):
        workspace = Workspace.create(workspace_for(SAMPLE_IMAGES), SAMPLE_IMAGES)
        open_workspace(workspace.root)
        if current_run(workspace) is None:
            workspace.scan()
            start(workspace, "embed", embed_arguments(workspace, default_weights(), SAMPLE_SIZE_PX))
        session().trying_sample = True
        st.rerun()


def _folder_card() -> None:
    st.markdown("**Open a folder of images**")
    with st.form("open_folder", border=False):
        text = st.text_input("Folder", key=Key.FOLDER, placeholder=str(Path.home() / "images"))
        opened = st.form_submit_button("Open", icon=":material/folder_open:")
    st.caption(
        "All images below it are used: JPEG, PNG, TIFF, WebP, BMP, GIF. They are only read; everything made goes to "
        "the workspace, a folder of its own. Folders below the home folder and the current one may be opened."
    )
    if opened:
        with show_errors():
            open_folder(check_images(text))


def open_folder(folder: Path) -> None:
    """Makes or opens the workspace of this folder, reads every file once, and shows it."""
    bar = st.progress(0.0, text="Searching for images")

    def report(progress: Progress) -> None:
        words = f"Reading {progress.done:,} of {progress.total:,} files"
        bar.progress(progress.done / max(1, progress.total), text=words)

    if not find_images(folder):
        raise PicieError(f"no images under {folder}: choose a folder with JPEG, PNG, TIFF, WebP, BMP or GIF files")
    workspace = Workspace.create(workspace_for(folder), folder)
    workspace.scan(report)
    open_workspace(workspace.root)
    st.rerun()


def show_images(workspace: Workspace) -> None:
    """Draws what is in the opened folder and the one thing to do next."""
    images = workspace.image_list()
    if not images.records and not images.problems:
        images = workspace.scan()
    readable, run = images.readable, current_run(workspace)
    facts = [f"<b>{count(len(readable), 'image')}</b>", pixels((item.width, item.height) for item in readable)]
    if images.problems:
        facts.append(f"<b>{count(len(images.problems), 'file')}</b> unreadable")
    facts.append(html.escape(home_path(workspace.record["images_root"])))
    headline("Images", " · ".join(facts), ("Look at the clusters", "clusters") if run else None)
    _next_step(workspace, images, run)
    chosen = spread(readable, THUMBNAILS)
    if chosen:
        paths, stamps = tuple(item.path for item in chosen), tuple(item.stamp for item in chosen)
        stored = pyramid_folders(workspace.root, chosen)
        sheet = thumbnails(str(workspace.images_root), paths, stamps, COLUMNS, stored)
        alt = f"{len(chosen)} of {count(len(readable), 'image')}, evenly spread over the folder"
        picture("sheet_thumbnails", sheet, alt, aspect_of(len(chosen), COLUMNS))
    if len(chosen) < len(readable):
        st.caption(f"{len(chosen)} of {count(len(readable), 'image')}, evenly spread over the folder.")
    if images.problems:
        share = len(images.problems) / (len(images.problems) + len(readable))
        st.markdown(f"**{count(len(images.problems), 'file')} cannot be used** ({percent(share)}) and left out.")
        st.dataframe(
            {
                "File": [problem.path for problem in images.problems],
                "Reason": [problem.reason for problem in images.problems],
            },
            hide_index=True,
            height="content" if len(images.problems) <= 8 else 320,
            alt="Files that cannot be used, with the reason",
        )


def _next_step(workspace: Workspace, images: ImageList, run: Run | None) -> None:
    """Draws the progress of the embedding, or the button that starts it; nothing once a run is done."""
    job = job_of(workspace, "embed")
    if job is not None and job.is_running:
        with st.container(border=True):
            watch_job(workspace, "embed", job_panel)
        return
    if run is not None:
        return
    job_ending(job)
    with st.container(border=True, horizontal=True, vertical_alignment="center", wrap=False, gap="medium"):
        place = st.container(width="content")
        downsample = _choose_downsample(images)
        if downsample:
            seconds, size = estimate_tiles_s(images.readable, downsample), "in tiles at this resolution"
        else:
            seconds, size = estimate_embed_s(workspace, len(images.readable)), "at 320 px"
        label = f"Embed now {about(seconds)}"
        if place.button(label, type="primary", icon=":material/play_arrow:", key="embed_now"):
            start(workspace, "embed", embed_arguments(workspace, default_weights(), downsample=downsample))
            st.rerun()
        st.caption(
            f"Runs a frozen ResNet-18 over {count(len(images.readable), 'image')} {size}, on {device_here()}"
            f"{weights_note(default_weights())}. All after it takes seconds. "
            "Other backbones and settings are under Train."
        )


def _choose_downsample(images: ImageList) -> int:
    """Draws the choice of resolution where most images are large; returns the downsample, 0 for a size."""
    usual = usual_downsample(images.readable)
    if not usual:
        return 0
    return st.selectbox(
        "Resolution",
        DOWNSAMPLES,
        index=DOWNSAMPLES.index(usual),
        format_func=lambda one: DOWNSAMPLE_NAMES.get(one, f"1/{one} of the resolution"),
        key="downsample",
        width=210,
        help="What the network sees of the images. Each step down takes a quarter of the time and of the disk.",
    )


def weights_note(weights: str) -> str:
    """Returns what the page says of the weights, with the remedy for random ones."""
    if weights == "none":
        return ", with random weights (set PICIE_WEIGHTS to a file of ImageNet weights for better clusters)"
    return ", with ImageNet weights" if weights == "imagenet" else f", with the weights in {Path(weights).name}"


def show_first_overlay(workspace: Workspace) -> None:
    """Goes from the finished embedding of the sample to 12 clusters drawn over its images."""
    record = session()
    if record.trying_sample and current_run(workspace):
        record.trying_sample, record.wanted_k = False, SAMPLE_K
        if default_weights() == "none":
            record.notice = "Random weights were used: clusters follow colour and texture. Training improves them."
        st.switch_page(page_path("masks"))


opened_workspace = current_workspace()
if opened_workspace is None:
    choose_images()
else:
    show_first_overlay(opened_workspace)
    show_images(opened_workspace)
