"""Masks: one image at a time with its clusters or classes drawn over it, and what each of them covers."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import loaders
from app.colors import UNNAMED_COLOR, class_colors, cluster_color
from app.frame import (
    empty_state,
    headline,
    need_clustering,
    need_run,
    need_workspace,
    picture,
    show_png,
    small,
    small_fit,
    swatch,
)
from app.naming import class_names, cluster_names, cluster_title
from app.notices import told
from app.state import Key
from app.thumbnails import thumbnails
from app.words import count, literal, percent
from picie_core.images import ImageRecord
from picie_core.workspace import Workspace

if TYPE_CHECKING:
    from picie_core.clusters import Clustering

TITLE = "Masks"
PICTURE_PX = 960
FILM = 9


def choose_image(records: list[ImageRecord]) -> ImageRecord:
    """Draws the row that steps through the images and returns the chosen one; the address carries its number."""
    if st.session_state.get(Key.IMAGE_NUMBER, 1) > len(records):
        st.session_state[Key.IMAGE_NUMBER] = len(records)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        before, field, after, told_of = (st.container(width="content") for _ in range(4))
    number = field.number_input(
        "Image",
        1,
        len(records),
        step=1,
        key=Key.IMAGE_NUMBER,
        bind="query-params",
        width=110,
        label_visibility="collapsed",
    )
    before.button(
        "Previous",
        icon=":material/chevron_left:",
        key="previous_image",
        disabled=number == 1,
        on_click=go_to,
        args=(number - 1,),
    )
    after.button(
        "Next",
        icon=":material/chevron_right:",
        icon_position="right",
        key="next_image",
        disabled=number == len(records),
        on_click=go_to,
        args=(number + 1,),
    )
    item = records[number - 1]
    with told_of:
        size = f"{item.width} × {item.height} px"
        small_fit(f"of {len(records):,} · <b>{html.escape(item.path)}</b> · {size}")
    return item


def go_to(number: int) -> None:
    """Makes the image of this number, counted from 1, the one shown."""
    st.session_state[Key.IMAGE_NUMBER] = number


def film_strip(workspace: Workspace, records: list[ImageRecord], shown: ImageRecord) -> None:
    """Draws the neighbours of the image, each with a button that goes there."""
    place = records.index(shown)
    start = max(0, min(place - FILM // 2, len(records) - FILM))
    root = str(workspace.images_root)
    grid = st.grid(FILM, min_column_width=56, gap="xsmall", wrap=False)
    for item in records[start : start + FILM]:
        with grid.container(key=f"strip_{item.id}", gap="xsmall"):
            show_png(thumbnails(root, (item.path,), (item.stamp,), 1), alt=item.path)
            number = records.index(item) + 1
            st.button(
                f"{number}",
                key=f"film_{item.id}",
                width="stretch",
                on_click=go_to,
                args=(number,),
                type="primary" if item is shown else "secondary",
            )


def labels_shown(workspace: Workspace, clustering: Clustering, by: str) -> tuple[dict[int, str], dict[int, str]]:
    """Returns name and colour of every label that the mask can hold."""
    if by == "cluster":
        names = cluster_names(workspace, clustering)
        return {k: cluster_title(k, names) for k in range(clustering.k)}, {
            k: cluster_color(k) for k in range(clustering.k)
        }
    return {**class_names(workspace), 255: "ignored or not named"}, {**class_colors(workspace), 255: UNNAMED_COLOR}


def legend(mask: np.ndarray, names: dict[int, str], colors: dict[int, str], by: str) -> frozenset[int]:
    """Draws what the image holds, the largest first, each with a switch; returns the labels that are switched off."""
    counts = np.bincount(mask.ravel())
    present = [int(label) for label in np.argsort(-counts, kind="stable") if counts[label]]
    hidden = set()
    with st.container(height=520, border=False, gap=None, key="legend"):
        for label in present:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.html(swatch(colors.get(label, UNNAMED_COLOR)), width="content")
                shown = st.checkbox(
                    literal(names.get(label, str(label))),
                    value=not (by == "class" and label == 255),
                    key=f"show_{by}_{label}",
                    persist_state="session",
                    width="stretch",
                )
                small_fit(percent(counts[label] / mask.size))
            if not shown:
                hidden.add(label)
    return frozenset(hidden)


def draw(workspace: Workspace, run: str, clustering: Clustering) -> None:
    """Draws controls, legend and picture; the legend is made first because its switches change the picture."""
    records = workspace.image_list().readable
    shown = choose_image(records)
    left, right = st.columns([5, 2], gap="medium")
    with right:
        by = (
            st.segmented_control(
                "Colour by",
                ["cluster", "class"],
                format_func=str.capitalize,
                default=loaders.usual_colors(workspace, clustering),
                required=True,
                key=Key.MASK_KIND,
                persist_state="session",
            )
            or "cluster"
        )
        opacity = st.slider("Opacity", 0, 100, 55, step=5, format="%d %%", key=Key.OPACITY, persist_state="session")
        beside = st.toggle("Show the original beside it", key=Key.MASK_BESIDE, persist_state="session")
        names, colors = labels_shown(workspace, clustering, by)
        mask = loaders.mask(workspace, run, clustering, shown, by, PICTURE_PX)
        small(f"{count(len(np.unique(mask)), 'label')} in this image")
        hidden = legend(mask, names, colors, by)
    with left:
        if by == "class" and not workspace.label_map.classes_of(clustering.key):
            st.caption("No cluster has a name yet, so no class can be drawn. Name some on the Clusters screen.")
        pictures(workspace, run, clustering, shown, by, opacity / 100, hidden, beside)
        film_strip(workspace, records, shown)


def pictures(
    workspace: Workspace,
    run: str,
    clustering: Clustering,
    shown: ImageRecord,
    by: str,
    opacity: float,
    hidden: frozenset[int],
    beside: bool,
) -> None:
    """Draws the overlay, and the untouched image beside it if that is wanted."""
    painted = loaders.overlay_png(workspace, run, clustering, shown, by, PICTURE_PX, opacity, hidden)
    alt = f"{shown.path} with its {'clusters' if by == 'cluster' else 'classes'} drawn over it"
    if not beside:
        picture("picture_overlay", painted, alt, shown.width / shown.height)
        return
    first, second = st.columns(2, gap="xsmall")
    with first:
        original = loaders.overlay_png(workspace, run, clustering, shown, by, PICTURE_PX, 0.0, frozenset())
        picture("picture_original", original, f"{shown.path}, untouched", shown.width / shown.height)
    with second:
        picture("picture_overlay", painted, alt, shown.width / shown.height)


workspace = need_workspace(TITLE)
run = need_run(workspace, TITLE)
clustering = need_clustering(workspace, run, TITLE)
named = workspace.label_map.classes_of(clustering.key)
headline(
    TITLE,
    f"{clustering.k} clusters · {count(len(set(named.values())), 'class', 'classes')} named",
    ("Write the masks", "export") if named else ("Name the clusters", "clusters"),
    primary=True,
)
if not workspace.image_list().readable:
    empty_state("None of the images can be read any more.", "See why", "images")
else:
    with told():
        draw(workspace, run, clustering)
