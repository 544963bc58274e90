"""The Guided view: one thing to look at after the other, one question each, answered by a name or by going on."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from app.clusters import review_queue
from app.clusters.contact_sheets import Look, Room, Sheet, ask_sheets, fill, ground, reserve, sheet_place
from app.clusters.focus import looking_at, stamp
from app.clusters.keys import draw_key_sheet
from app.clusters.naming_bar import key_button, short
from app.session.record import session
from app.shared.colors import class_colors
from app.shared.components.naming import Click, naming_field
from app.shared.formatting import count, literal, percent
from app.shared.layout import show_jpeg, small, swatch
from app.shared.naming import class_names, cluster_names, names_offered, shown_color
from picie_core.colors import rgb_color
from picie_core.workspace.workspace import StoredClustering, Workspace

if TYPE_CHECKING:
    from concurrent.futures import Future

    from picie_core.labels.review_queue import Step

GROUP_ROOM = Room(columns=4, rows=2, tile_px=72)
CROPS_ROOM = Room(columns=12, rows=5, tile_px=96)
MOST_IN_GROUP = 12
MOST_ON_SIDE = 4
SIDES = ("Left", "Right")
RING, RING_PX, DIMMED = (77, 121, 218), 6, 0.75
QUESTIONS = {
    "group": "What do these show?",
    "branches": "Do both sides show the same?",
    "inside": "Do all crops show the same?",
}
HINTS = {
    "group": "One name for all of it. What is something else in it comes up later.",
    "branches": "If so, go on. If one side is something else, click on it and type what it is.",
    "inside": "If so, go on. Else click on the crops that show something else and type what it is: it comes off.",
}


def draw_guide(clustering: StoredClustering) -> None:
    """Draws what is to be looked at, the question, and what answers it."""
    steps = review_queue.steps_of(clustering.run)
    at = review_queue.step_of(clustering, steps)
    if at == len(steps):
        _draw_end(clustering)
        return
    step, names = steps[at], cluster_names(clustering)
    with st.container(gap=None):
        st.markdown(f"**{QUESTIONS[step.kind]}**")
        small(f"{HINTS[step.kind]} {at + 1} of {len(steps)}.")
    _draw_bar(clustering, steps, step, names)
    if step.kind == "inside":
        _draw_crops(clustering, step.parts[0][0])
    elif step.kind == "branches":
        _draw_sides(clustering, step)
    else:
        _draw_clusters(clustering, step.parts[0], MOST_IN_GROUP, 4)


def _draw_end(clustering: StoredClustering) -> None:
    st.caption("That was all: every group, every branch of it and every cluster was looked at.")
    st.button("Start again", key="guide_again", on_click=review_queue.start_anew, args=(clustering,))


def _draw_bar(clustering: StoredClustering, steps: list[Step], step: Step, names: dict[int, str]) -> None:
    here, last = looking_at(clustering), session().last_name
    clusters = step.parts[here.side if step.kind == "branches" else 0]
    answer = partial(review_queue.name, clustering, steps)
    with st.container(key="naming_bar", horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch"):
            naming_field(
                "guide_field",
                title=_title(step, here.side, len(here.crops)),
                color=shown_color(clustering, clusters[0]),
                name="" if here.crops else _common(clusters, names),
                names=names_offered(clustering.workspace),
                stamp=partial(stamp, clustering),
                card="",
                on_name=answer,
                on_tile=partial(_clicked, clustering, step),
                on_jump=lambda cluster: None,
            )
        key_button(
            "l",
            f"As last: {literal(short(last))}" if last else "As last",
            partial(answer, last),
            not last,
            "Name it so",
        )
        key_button("i", "Ignore", partial(answer, "ignore"), False, "Leave these pixels out of the masks")
        go_back = partial(review_queue.go_back, clustering, steps)
        key_button("p", "Back", go_back, here.step == 0, "To the question before")
        go_on = partial(review_queue.go_on, clustering, steps)
        key_button("n", "Skip" if step.kind == "group" else "Yes, go on", go_on, False, "Change nothing")
        draw_key_sheet()


def _title(step: Step, side: int, picked: int) -> str:
    if step.kind == "branches":
        return f"{SIDES[side]} side"
    if step.kind == "inside":
        return count(picked, "crop") if picked else f"Cluster {step.parts[0][0]}"
    return count(len(step.parts[0]), "cluster")


def _common(clusters: Sequence[int], names: dict[int, str]) -> str:
    """The name that all of them have; empty where they have several, or some have none."""
    found = {names.get(cluster, "") for cluster in clusters}
    return found.pop() if len(found) == 1 else ""


def _facts(clustering: StoredClustering, clusters: Sequence[int], names: dict[int, str]) -> str:
    """How many clusters, how much of all pixels, and what they are called, as HTML."""
    share = clustering.counts[list(clusters)].sum() / max(1, clustering.counts.sum())
    called = sorted({names[cluster] for cluster in clusters if cluster in names})
    named = html.escape(", ".join(called[:4]) + (" …" if len(called) > 4 else "")) or "no name yet"
    which = f"cluster {clusters[0]}" if len(clusters) == 1 else count(len(clusters), "cluster")
    return f"{which} · <b>{percent(share)}</b> of all pixels · {named}"


# -- what is looked at


def _draw_clusters(clustering: StoredClustering, clusters: Sequence[int], most: int, columns: int) -> None:
    """Draws crops of the largest of some clusters."""
    largest = sorted(clusters, key=lambda cluster: -clustering.counts[cluster])[:most]
    colors = [shown_color(clustering, cluster) for cluster in largest]
    sheets = ask_sheets(clustering, largest, colors, Look("typical", GROUP_ROOM))
    names = cluster_names(clustering)
    reserve(GROUP_ROOM, "guide")
    places = []
    small(_facts(clustering, clusters, names))
    with st.grid(min(columns, max(2, len(largest))), min_column_width=200, gap="small"):
        for cluster in largest:
            places.append(sheet_place(f"guide_{cluster}"))
    if len(clusters) > most:
        small(f"and {count(len(clusters) - most, 'smaller cluster')}")
    for cluster, place in zip(largest, places, strict=True):
        fill(place, sheets[cluster], f"Crops of cluster {cluster}")


def _draw_sides(clustering: StoredClustering, step: Step) -> None:
    here = looking_at(clustering)
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
    facts, crop_split = (
        _facts(clustering, [cluster], cluster_names(clustering)),
        review_queue.crop_split_of(clustering),
    )
    by_name = {
        name: color
        for name, color in _class_colors(clustering.workspace).items()
        if crop_split and name in crop_split.sets
    }
    small(" · ".join([facts, *(f"{swatch(color)} {html.escape(name)}" for name, color in by_name.items())]))
    rings = dict.fromkeys(looking_at(clustering).crops, RING)
    for name, color in by_name.items():
        rings |= dict.fromkeys(crop_split.sets[name] - rings.keys() if crop_split else (), rgb_color(color))
    reserve(CROPS_ROOM, "crops")
    place = sheet_place(f"crops_{cluster}")
    sheet = _crops(clustering, cluster).result()
    with place:
        show_jpeg(_ringed(sheet, rings), f"Random crops of cluster {cluster}")


def _class_colors(workspace: Workspace) -> dict[str, str]:
    colors = class_colors(workspace)
    return {name: colors[class_id] for class_id, name in class_names(workspace).items()}


def _crops(clustering: StoredClustering, cluster: int) -> Future[Sheet]:
    """The sheet of the crops, as they were before some were sorted out."""
    crop_split, color = review_queue.crop_split_of(clustering), shown_color(clustering, cluster)
    clustering = crop_split.clustering if crop_split else clustering
    return ask_sheets(clustering, [cluster], [color], Look("random", CROPS_ROOM))[cluster]


def _ringed(sheet: Sheet, rings: dict[int, tuple[int, int, int]]) -> bytes:
    """The sheet with a ring of a colour around some of its tiles; the others step back a little."""
    if not rings:
        return sheet.jpeg
    drawn = sheet.mosaic.sheet.copy()
    for number, tile in enumerate(sheet.mosaic.crops):
        left, top, right, bottom = tile.box
        inside = drawn[top:bottom, left:right, :3]
        if number not in rings:
            inside[:] = inside * DIMMED
            continue
        kept = inside[RING_PX:-RING_PX, RING_PX:-RING_PX].copy()
        inside[:] = rings[number]
        inside[RING_PX:-RING_PX, RING_PX:-RING_PX] = kept
    return replace(sheet.mosaic, sheet=drawn).jpeg(rgb_color(ground()))


def _clicked(clustering: StoredClustering, step: Step, click: Click) -> None:
    """A click on a side makes it the one to name; a click on a crop picks it."""
    kind, _, rest = click.place.partition("_")
    if not rest.isdigit():
        return
    if kind == "guide" and step.kind == "branches":
        review_queue.choose_side(clustering, int(int(rest) in step.parts[1]))
    elif kind == "crops" and int(rest) == step.parts[0][0]:
        sheet = _crops(clustering, int(rest)).result()
        tile = sheet.mosaic.crop_at(click.x, click.y)
        if tile is not None:
            review_queue.pick_crop(clustering, sheet.mosaic.crops.index(tile))
