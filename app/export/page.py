"""Export: choose a format, see five masks as they will be, write them in the background, download them."""

from __future__ import annotations

import html
import json
import shlex
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import streamlit as st

from app.export.archive import open_zip
from app.session.cache import cached
from app.session.jobs import command_line, job_of, start
from app.session.widget_keys import Key
from app.shared.formatting import count, home_path, literal, percent, size
from app.shared.job_panel import job_ending, watch_job
from app.shared.layout.elements import headline, picture, small
from app.shared.layout.empty_screens import empty_state, need_clustering, need_run, need_workspace
from app.shared.layout.notices import show_errors
from app.shared.pictures import overlays
from app.shared.pictures.overlays import OverlayStyle
from app.shared.pictures.post_processing import draw_post_processing, draw_threshold, post_processing_words
from app.shared.pictures.thumbnails import spread
from picie_core.data.class_names import IGNORE_ID
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.workspace.workspace import StoredClustering, Workspace

TITLE = "Export"
PREVIEWS = 5
PREVIEW_PX = 320


@dataclass(frozen=True)
class FormatCard:
    """What a person wants to know of a format before choosing it."""

    name: str
    readers: str
    opening: str


FORMATS = {
    "png": FormatCard(
        "Index PNG",
        "Anything that reads pictures: PIL, OpenCV, labelformat, most training code.",
        "One grey PNG an image, the class id in each pixel, 255 where ignored. `np.array(Image.open(path))`",
    ),
    "voc": FormatCard(
        "Pascal VOC 2012",
        "torchvision, Datumaro, CVAT, mmsegmentation and what else knows VOC.",
        'Colour-indexed PNGs with a train and a val list. `VOCSegmentation(root, year="2012", image_set="train")`',
    ),
}


def choose_format() -> str:
    """Draws one card a format; the chosen one says so."""
    st.session_state.setdefault(Key.EXPORT_FORMAT, "png")
    chosen = st.session_state[Key.EXPORT_FORMAT]
    for column, (key, card) in zip(st.columns(len(FORMATS)), FORMATS.items(), strict=True):
        with column.container(border=True, height="stretch", gap="xsmall"):
            st.markdown(f"**{card.name}**")
            st.caption(card.readers)
            st.caption(card.opening)
            st.space("stretch")
            st.button(
                "Chosen" if key == chosen else f"Choose {card.name}",
                key=f"format_{key}",
                disabled=key == chosen,
                icon=":material/check:" if key == chosen else None,
                on_click=_choose,
                args=(key,),
            )
    return chosen


def _choose(key: str) -> None:
    st.session_state[Key.EXPORT_FORMAT] = key


@dataclass(frozen=True)
class Choice:
    """What is chosen on the page."""

    form: str
    raw: bool
    val_share: float
    post_processing: PostProcessing


def choose_options(form: str, clusters: int) -> Choice:
    """Draws the options; post-processing is that of the Masks screen."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        raw = st.toggle(
            "Cluster ids instead of classes",
            key=Key.EXPORT_RAW,
            persist_state="session",
            help="Writes the number of the cluster in each pixel, named or not.",
        )
        share = 20
        if form == "voc":
            share = st.slider(
                "Images in val",
                0,
                50,
                20,
                step=5,
                format="%d %%",
                key=Key.EXPORT_VAL,
                width=260,
                persist_state="session",
            )
    with st.expander("Post-processing"):
        first, second = st.columns(2, gap="medium")
        with first:
            least = draw_threshold(not raw or clusters <= IGNORE_ID)
        with second:
            post_processing = draw_post_processing(least)
    if post_processing.changes:
        st.caption(f"Masks are post-processed: {post_processing_words(post_processing)}, as on the Masks screen.")
    return Choice(form, raw, share / 100, post_processing)


def previews(clustering: StoredClustering, choice: Choice) -> None:
    """Draws a few masks as they will be written, in their colours; what stays a photograph becomes 255."""
    items = spread(clustering.workspace.image_list().readable, PREVIEWS)
    left_out = frozenset({IGNORE_ID}) if not choice.raw or choice.post_processing.min_confidence else frozenset()
    by = "cluster" if choice.raw else "class"
    style = OverlayStyle(by, PREVIEW_PX, hidden=left_out, post_processing=choice.post_processing)
    for column, item in zip(st.columns(PREVIEWS, gap="xsmall"), items, strict=False):
        with column:
            data = overlays.overlay_image(clustering, item, style, "PNG")
            picture(f"picture_preview_{item.id}", data, f"Mask of {item.path}", item.width / item.height)
    ids = f"cluster ids, 0 to {clustering.k - 1}" if choice.raw else "class ids, and 255 where the photograph shows"
    st.caption(f"{count(len(items), 'mask')} as they will be written. Their pixels hold {ids}.")


def arguments(clustering: StoredClustering, choice: Choice, out: Path) -> list[str]:
    """Returns the options of `export` for what is chosen on the page."""
    words = ["--format", choice.form, "--out", str(out), "--run", clustering.run.name, "--clustering", clustering.name]
    words += ["--raw"] * choice.raw + choice.post_processing.options()
    return words + (["--val-share", f"{choice.val_share:g}"] if choice.form == "voc" else [])


def write_part(clustering: StoredClustering, choice: Choice) -> None:
    """Draws the button that writes, or the progress of the writing, and the command that does the same."""
    name = f"{choice.form}{'-raw' if choice.raw else ''}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = clustering.workspace.root / "exports" / name
    job = job_of(clustering.workspace, "export")
    if job is not None and job.is_running:
        watch_job(clustering.workspace, "export")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        label = f"Write {count(len(clustering.workspace.image_list().readable), 'mask')}"
        if st.button(label, type="primary", icon=":material/save:", key="write_export"):
            start(clustering.workspace, "export", arguments(clustering, choice, folder))
            st.rerun()
        unnamed = 1 - clustering.named_share()
        if not choice.raw and unnamed > 0:
            st.caption(f"About {percent(unnamed)} of the pixels have no name and become 255.")
    job_ending(job)
    with st.expander("The command that does the same"):
        words = command_line(clustering.workspace, "export", arguments(clustering, choice, Path("OUT")))
        st.code(shlex.join(words), language="bash", wrap_lines=True)


def exports_part(workspace: Workspace) -> None:
    """Draws what was written before, the newest first, each with its report and its download."""
    paths = sorted((workspace.root / "exports").glob("*/export.json"), key=lambda path: -path.stat().st_mtime)
    found = [(path.parent, json.loads(path.read_text())) for path in paths]
    if found:
        st.markdown("**Written so far**")
    for folder, record in found:
        bytes_on_disk = size(folder_bytes(str(folder), folder.stat().st_mtime))
        words = [count(record["images"], "mask"), count(len(record["classes"]), "class", "classes")]
        words += [f"{percent(record['ignored_share'])} ignored", bytes_on_disk]
        with st.container(border=True, horizontal=True, vertical_alignment="center", wrap=False):
            with st.container(gap=None):
                st.markdown(f"**{literal(folder.name)}**")
                small(" · ".join(words))
                small(html.escape(home_path(folder)))
            st.download_button(
                "Download",
                data=partial(open_zip, folder),
                file_name=f"{folder.name}.zip",
                mime="application/zip",
                on_click="ignore",
                icon=":material/download:",
                key=f"download_{folder.name}",
            )
        if record["problems"]:
            with st.expander(f"{count(len(record['problems']), 'image')} left out of {folder.name}"):
                st.dataframe(
                    record["problems"], hide_index=True, alt="Images that could not be exported, with the reason"
                )


@cached(64)
def folder_bytes(folder: str, stamp: float) -> int:
    """Returns the size of everything in a folder; `stamp` tells that it changed."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


workspace = need_workspace(TITLE)
run = need_run(workspace, TITLE)
clustering = need_clustering(run, TITLE)
classes = set(clustering.classes_of().values()) - {IGNORE_ID}
headline(
    TITLE,
    f"{count(len(workspace.image_list().readable), 'image')} · {clustering.k} clusters · "
    f"<b>{count(len(classes), 'class', 'classes')}</b>",
)
with show_errors():
    chosen_format = choose_format()
    choice = choose_options(chosen_format, clustering.k)
    if classes or choice.raw:
        with show_errors():
            previews(clustering, choice)
        write_part(clustering, choice)
    else:
        text = "No cluster has a name yet, so every pixel would be ignored. Name some, or write cluster ids instead."
        empty_state(text, "Name the clusters", "clusters")
    exports_part(workspace)
