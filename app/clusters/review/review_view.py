"""The Review queue view: one step after the other, one question each, answered by a name or by going on."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from app.clusters.cluster_facts import pixel_share
from app.clusters.contact_sheets import (
    DrawnSheet,
    SheetSize,
    SheetStyle,
    ask_sheets,
    fill,
    page_background,
    reserve,
    sheet_place,
)
from app.clusters.naming_bar import draw_key_sheet, key_button, name_buttons
from app.clusters.record import record_of, stamp
from app.clusters.review import review_queue
from app.shared.components.naming import Click, naming_field
from app.shared.formatting import count, percent
from app.shared.layout.elements import show_jpeg, small, swatch
from app.shared.naming import class_names, cluster_names, names_offered, shown_color
from app.shared.pictures.colors import class_colors
from picie_core.colors import rgb_color
from picie_core.workspace.workspace import StoredClustering

if TYPE_CHECKING:
    from picie_core.labels.review_queue import Step

GROUP_SIZE = SheetSize(columns=4, rows=2, crop_px=72)
CROPS_SIZE = SheetSize(columns=12, rows=5, crop_px=96)
MOST_IN_GROUP, MOST_ON_SIDE = 12, 4
"""Clusters whose crops are drawn, the largest."""
SIDES = ("Left", "Right")
RING, RING_PX, DIMMED = (77, 121, 218), 6, 0.75
QUESTIONS = {
    "group": "What do these show?",
    "branches": "Do both sides show the same?",
    "inside": "Do all crops show the same?",
}
HINTS = {
    "group": "Give all of it one name. Clusters in it that show something else come up in a later step.",
    "branches": "If so, go on. If one side is something else, click on it and type its name.",
    "inside": "If so, go on. Else click on the crops that show something else and type its name: they are split off.",
}


def draw_review(clustering: StoredClustering) -> None:
    """Draws the step: its question, the bar that answers it, and the crops."""
    steps = review_queue.steps_of(clustering.run)
    number = review_queue.position_in(clustering, steps)
    if number == len(steps):
        st.caption("The queue is done: you reviewed every group, its branches and every cluster.")
        st.button("Start again", key="review_again", on_click=review_queue.go_to_step, args=(clustering, 0))
        return
    step = steps[number]
    with st.container(gap=None):
        st.markdown(f"**{QUESTIONS[step.kind]}**")
        small(f"{HINTS[step.kind]} Step {number + 1} of {len(steps)}.")
    _draw_bar(clustering, steps, step)
    if step.kind == "inside":
        _draw_crops(clustering, step.parts[0][0])
    elif step.kind == "branches":
        _draw_sides(clustering, step)
    else:
        _draw_clusters(clustering, step.parts[0], MOST_IN_GROUP, 4)


def _draw_bar(clustering: StoredClustering, steps: list[Step], step: Step) -> None:
    here, names = record_of(clustering), cluster_names(clustering)
    clusters = step.parts[here.side if step.kind == "branches" else 0]
    common = {names.get(cluster, "") for cluster in clusters}
    answer = partial(review_queue.name, clustering, steps)
    with st.container(key="naming_bar", horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch"):
            naming_field(
                "review_field",
                title=_title(step, here.side, len(here.crops)),
                color=shown_color(clustering, clusters[0]),
                name="" if here.crops or len(common) > 1 else common.pop(),
                names=names_offered(clustering.workspace),
                stamp=partial(stamp, clustering),
                card="",
                on_name=answer,
                on_sheet=partial(_clicked, clustering, step),
                on_jump=lambda cluster: None,
            )
        name_buttons(answer)
        go_back = partial(review_queue.go_back, clustering, steps)
        key_button("p", "Back", go_back, disabled=here.step == 0, tip="To the step before")
        go_on = partial(review_queue.go_on, clustering, steps)
        key_button("n", "Skip" if step.kind == "group" else "Yes, go on", go_on, tip="Change nothing")
        draw_key_sheet()


def _title(step: Step, side: int, picked: int) -> str:
    if step.kind == "branches":
        return f"{SIDES[side]} side"
    if step.kind == "inside":
        return count(picked, "crop") if picked else f"Cluster {step.parts[0][0]}"
    return count(len(step.parts[0]), "cluster")


def _facts(clustering: StoredClustering, clusters: Sequence[int], names: dict[int, str]) -> str:
    """How many clusters, how much of all pixels, and what they are called, as HTML."""
    called = sorted({names[cluster] for cluster in clusters if cluster in names})
    named = html.escape(", ".join(called[:4]) + (" …" if len(called) > 4 else "")) or "no name yet"
    which = f"cluster {clusters[0]}" if len(clusters) == 1 else count(len(clusters), "cluster")
    return f"{which} · <b>{percent(pixel_share(clustering, list(clusters)))}</b> of all pixels · {named}"


# -- the crops of a step


def _draw_clusters(clustering: StoredClustering, clusters: Sequence[int], most: int, columns: int) -> None:
    """Draws crops of the largest of some clusters."""
    largest = sorted(clusters, key=lambda cluster: -clustering.counts[cluster])[:most]
    colors = [shown_color(clustering, cluster) for cluster in largest]
    sheets = ask_sheets(clustering, largest, colors, SheetStyle("typical", GROUP_SIZE))
    names = cluster_names(clustering)
    reserve(GROUP_SIZE, "part")
    places = []
    small(_facts(clustering, clusters, names))
    with st.grid(min(columns, max(2, len(largest))), min_column_width=200, gap="small"):
        for cluster in largest:
            places.append(sheet_place(f"part_{cluster}"))
    if len(clusters) > most:
        small(f"and {count(len(clusters) - most, 'smaller cluster')}")
    for cluster, place in zip(largest, places, strict=True):
        fill(place, sheets[cluster], f"Crops of cluster {cluster}")


def _draw_sides(clustering: StoredClustering, step: Step) -> None:
    here = record_of(clustering)
    ring = "outline: 2px solid #4d79da; outline-offset: -1px;"
    st.html(f"<style>.st-key-side_{here.side} {{ {ring} }}</style>")
    for side, column in enumerate(st.columns(2, gap="small")):
        with column, st.container(border=True, key=f"side_{side}", gap="small"):
            _draw_clusters(clustering, step.parts[side], MOST_ON_SIDE, 2)
            st.button(
                f"Name the {SIDES[side].lower()} side",
                key=f"choose_{side}",
                type="tertiary",
                disabled=side == here.side,
                on_click=review_queue.choose_side,
                args=(clustering, side),
            )


def _draw_crops(clustering: StoredClustering, cluster: int) -> None:
    """Draws the crops of a cluster with a ring around those that are picked."""
    facts = _facts(clustering, [cluster], cluster_names(clustering))
    crop_split, colors = review_queue.crop_split_of(clustering), class_colors(clustering.workspace)
    by_name = {
        name: colors[class_id]
        for class_id, name in class_names(clustering.workspace).items()
        if crop_split and name in crop_split.sets
    }
    small(" · ".join([facts, *(f"{swatch(color)} {html.escape(name)}" for name, color in by_name.items())]))
    rings = dict.fromkeys(record_of(clustering).crops, RING)
    for name, color in by_name.items():
        rings |= dict.fromkeys(crop_split.sets[name] - rings.keys() if crop_split else (), rgb_color(color))
    reserve(CROPS_SIZE, "crops")
    place = sheet_place(f"crops_{cluster}")
    sheet = _crops(clustering, cluster)
    with place:
        show_jpeg(_ringed(sheet, rings), f"Random crops of cluster {cluster}")


def _crops(clustering: StoredClustering, cluster: int) -> DrawnSheet:
    """The contact sheet of a cluster, as it was before some crops were split off."""
    crop_split, color = review_queue.crop_split_of(clustering), shown_color(clustering, cluster)
    clustering = crop_split.clustering if crop_split else clustering
    return ask_sheets(clustering, [cluster], [color], SheetStyle("random", CROPS_SIZE))[cluster].result()


def _ringed(drawn: DrawnSheet, rings: dict[int, tuple[int, int, int]]) -> bytes:
    """The contact sheet with a ring of a colour around some of its crops, the others dimmed, as JPEG."""
    if not rings:
        return drawn.jpeg
    pixels = drawn.sheet.sheet.copy()
    for number, crop in enumerate(drawn.sheet.crops):
        left, top, right, bottom = crop.box
        inside = pixels[top:bottom, left:right, :3]
        if number not in rings:
            inside[:] = inside * DIMMED
            continue
        kept = inside[RING_PX:-RING_PX, RING_PX:-RING_PX].copy()
        inside[:] = rings[number]
        inside[RING_PX:-RING_PX, RING_PX:-RING_PX] = kept
    return replace(drawn.sheet, sheet=pixels).jpeg(rgb_color(page_background()))


def _clicked(clustering: StoredClustering, step: Step, click: Click) -> None:
    """A click on a side makes it the one to name; a click on a crop picks it."""
    kind, _, number = click.sheet.partition("_")
    if not number.isdigit():
        return
    cluster = int(number)
    if kind == "part" and step.kind == "branches":
        review_queue.choose_side(clustering, int(cluster in step.parts[1]))
    elif kind == "crops" and cluster == step.parts[0][0]:
        sheet = _crops(clustering, cluster).sheet
        crop = sheet.crop_at(click.x, click.y)
        if crop is not None:
            review_queue.pick_crop(clustering, sheet.crops.index(crop))
