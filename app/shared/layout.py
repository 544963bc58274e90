"""The frame that every screen shares: style, headline with the one way on, and what stands where nothing is yet."""

from __future__ import annotations

import html
from typing import Literal

import numpy as np
import streamlit as st
from PIL import Image

from app.session.caches import current_clustering
from app.session.jobs import Job, job_of
from app.session.state import current_run, current_workspace, session
from app.shared.formatting import progress_line
from picie_core.workspace.workspace import Run, StoredClustering, Workspace

PAGES = {
    "images": ("Images", "photo_library", "Choose the folder of images, see what is in it, and embed it."),
    "train": ("Train", "model_training", "Embed with a frozen backbone, or train PiCIE on these images; watch it run."),
    "clusters": ("Clusters", "grid_view", "Pick the number of clusters, look at crops of each, and name them."),
    "map": ("Map", "scatter_plot", "All pixels as points: select some and see what they show."),
    "masks": ("Masks", "layers", "Each image with its clusters or classes drawn over it."),
    "export": ("Export", "download", "Write the masks in a format that other programs read."),
}

LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="168" height="28" viewBox="0 0 168 28">'
    '<clipPath id="a"><rect y="3" width="22" height="22" rx="4"/></clipPath><g clip-path="url(#a)">'
    '<path fill="#5580dd" d="M0 3h22v9L11 9 0 13z"/><path fill="#79b796" d="M0 13l11-4 11 3v2L7 25H0z"/>'
    '<path fill="#dba062" d="M22 14v11H7z"/></g><text x="31" y="20" fill="#8a8a85" font-size="16" font-weight="600" '
    'font-family="Source Sans, Source Sans Pro, Helvetica, Arial, sans-serif">PiCIE Explorer</text></svg>'
)

STYLE = """<style>
[data-stale="true"] { transition: opacity 0s linear 0.8s !important; }
body, .stApp, input, textarea { font-variant-numeric: tabular-nums; }
[class*="st-key-sheet"] img, [class*="st-key-picture"] img { display: block; border-radius: 3px; }
[class*="st-key-sheet"] [data-testid="stImage"], [class*="st-key-picture"] [data-testid="stImage"] { width: 100%; }
[class*="st-key-strip"] img { display: block; border-radius: 3px; aspect-ratio: 4 / 3; width: 100%; }
.picie-facts { color: color-mix(in srgb, currentColor 62%, transparent); font-size: 13px; line-height: 20px; }
.picie-facts b { color: var(--picie-text, inherit); font-weight: 600; }
.picie-swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; vertical-align: -1px;
  box-shadow: inset 0 0 0 1px rgba(128, 128, 128, .45); }
.picie-id { cursor: pointer; white-space: nowrap; color: inherit; text-decoration: none; border-radius: 3px; }
.picie-id:hover b, a.picie-id:hover { text-decoration: underline; }
.picie-keys { font-size: 13px; border-collapse: collapse; margin: 2px 0 10px; }
.picie-keys td { padding: 3px 10px 3px 0; border: 0; vertical-align: top; line-height: 18px; }
.picie-keys td:first-child { white-space: nowrap; }
.picie-keys kbd { font: inherit; font-size: 12px; padding: 1px 5px; border-radius: 3px;
  border: 1px solid color-mix(in srgb, currentColor 30%, transparent); }
[data-testid="stLayoutWrapper"]:has(> .st-key-naming_bar) { position: sticky; top: 0; z-index: 90; padding: 6px 0; }
[class*="st-key-card_"] { scroll-margin: 64px 0 16px; }
[class*="st-key-tools_"] button { min-height: 26px; padding: 0 6px; }
[class*="st-key-one_"] > :not(:first-child) { display: none; }
.st-key-edits kbd { display: none; }
.st-key-edits button { padding-left: 4px; padding-right: 4px; }
.picie-edits { border-collapse: collapse; font-size: 13px; }
.picie-edits td { padding: 1px 10px 1px 0; border: 0; line-height: 20px; vertical-align: top; }
.picie-edits td:first-child { white-space: nowrap; color: color-mix(in srgb, currentColor 62%, transparent); }
.picie-legend { width: 100%; border-collapse: collapse; font-size: 13px; }
.picie-legend td { padding: 2px 6px 2px 0; border: 0; line-height: 20px; }
.picie-legend td.number { text-align: right; padding-right: 0; white-space: nowrap; }
</style>"""


def page_icon() -> Image.Image:
    """Returns the icon of the browser tab, three regions; drawn here, as named icons come from the internet."""
    y, x = np.mgrid[:32, :32]
    region = np.where(y < 12 + 3 * np.sin(x / 5), 0, np.where(x + y < 38, 1, 2))
    return Image.fromarray(np.array([(85, 128, 221), (121, 183, 150), (219, 160, 98)], np.uint8)[region])


def page_path(name: str) -> str:
    """Returns the file of a screen, as `st.switch_page` wants it."""
    return f"{name}/page.py"


def pages() -> list:
    """Returns the six screens in the order of the work."""
    return [
        st.Page(
            page_path(name), title=title, icon=f":material/{icon}:", url_path=name, help=text, default=name == "images"
        )
        for name, (title, icon, text) in PAGES.items()
    ]


def purpose(title: str) -> str:
    """Returns what a screen is for, in a sentence."""
    return next(text for name, _, text in PAGES.values() if name == title)


def headline(title: str, facts: str, go_on: tuple[str, str] | None = None, primary: bool = True) -> None:
    """Draws the title with one line of facts, and on the right the button that goes on: (label, screen)."""
    left, right = st.columns([5, 2], vertical_alignment="bottom")
    with left, st.container(gap=None):
        st.subheader(title, anchor=False)
        small(facts or "&nbsp;")
    if go_on:
        with right, st.container(horizontal=True, horizontal_alignment="right"):
            label, screen = go_on
            arrow = ":material/arrow_forward:"
            kind: Literal["primary", "secondary"] = "primary" if primary else "secondary"
            if st.button(label, type=kind, icon=arrow, icon_position="right", key=f"go_{screen}"):
                st.switch_page(page_path(screen))


def small(text: str) -> None:
    """Draws a line of small grey text; `text` is HTML, so what people typed has to be escaped."""
    st.html(f'<div class="picie-facts">{text}</div>')


def small_fit(text: str) -> None:
    """Draws the same, only as wide as it is."""
    st.html(f'<div class="picie-facts">{text}</div>', width="content")


def swatch(color: str) -> str:
    """Returns a small square of a colour, as HTML."""
    return f'<span class="picie-swatch" style="background:{html.escape(color)}"></span>'


def empty_state(text: str, label: str, screen: str) -> None:
    """Draws what stands where nothing is yet: a sentence and the one button that helps."""
    with st.container(border=True, horizontal_alignment="center", vertical_alignment="center", height=280):
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
    """Returns the run in use; where there is none, says what is missing and ends the script."""
    run = current_run(workspace)
    if run is None:
        headline(title, purpose(title))
        busy = [job for command in ("embed", "train") if (job := job_of(workspace, command)) and job.is_running]
        if busy:
            waiting_for(busy[0].status.command, workspace)
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


@st.fragment(run_every=1)
def waiting_for(command: str, workspace: Workspace) -> None:
    """Draws the progress of the job that this screen waits for, in place of what it will show."""
    job = job_of(workspace, command)
    with st.container(border=True, horizontal_alignment="center", vertical_alignment="center", height=280):
        if job is None or not job.is_running:
            st.rerun()
        else:
            text = "The images are being embedded. This screen fills itself when that is done."
            st.markdown(text, text_alignment="center")
            job_bar(job, width=420)


def job_bar(job: Job, unit: str = "images", width: int | Literal["stretch"] = "stretch") -> None:
    """Draws how far a job is: what it does, of how much, how fast, how long still."""
    progress = job.status.progress
    share = progress.done / progress.total if progress and progress.total else 0.0
    text = progress_line(progress, unit) if progress else "Starting: loading the program"
    st.progress(min(1.0, share), text=text, width=width)


def picture(key: str, data: bytes, alt: str, aspect: float) -> None:
    """Draws a PNG as wide as its place, which is reserved before the picture arrives. `aspect` is width / height."""
    st.html(f"<style>.st-key-{key} img {{ aspect-ratio: {aspect:.5f}; width: 100%; }}</style>")
    with st.container(key=key):
        show_png(data, alt)


def show_png(data: bytes, alt: str) -> None:
    """Draws a PNG as wide as its place, byte for byte: as a JPEG, which is the default, colours bleed."""
    st.image(data, width="stretch", output_format="PNG", alt=alt)


def show_jpeg(data: bytes, alt: str) -> None:
    """Draws a JPEG as wide as its place, byte for byte."""
    st.image(data, width="stretch", output_format="JPEG", alt=alt)


def show_notice() -> None:
    """Shows the line that the last run of the script left behind, once."""
    record = session()
    if record.notice:
        st.toast(record.notice)
        record.notice = ""
