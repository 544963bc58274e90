"""Groups of clusters that look alike, side by side, each with one name field."""

from __future__ import annotations

import html

import streamlit as st

from app.clusters import cluster_facts
from app.clusters.contact_sheets import Look, Room, ask_sheets, fill, reserve, sheet_place
from app.clusters.focus import looking_at, name_group
from app.shared.formatting import count, percent
from app.shared.layout import small, swatch
from app.shared.naming import class_names, cluster_names, shown_color
from picie_core.workspace.workspace import StoredClustering

GROUPS = 6
ROOM = Room(columns=4, rows=2, tile_px=72)
MOST_IN_A_ROW = 4


def draw_alike(clustering: StoredClustering) -> None:
    """Draws the first groups; more come as these are named or said not to be alike."""
    groups = alike_groups(clustering)
    reserve(ROOM, "alike")
    if not groups:
        hidden = len(looking_at(clustering).dismissed)
        st.caption(
            "No clusters without a name look alike enough to be named together."
            + (f" {count(hidden, 'group')} you said not to be alike." if hidden else "")
        )
        return
    small(f"<b>{count(len(groups), 'group')}</b> of clusters that look alike: look at the crops before you name them")
    for group in groups[:GROUPS]:
        _group(clustering, group)


def alike_groups(clustering: StoredClustering) -> list[tuple[int, ...]]:
    """Returns the suggested groups without those that this person dismissed."""
    from picie_core.clustering.hierarchy import alike_groups as suggested

    tree = cluster_facts.tree(clustering, "average")
    groups = suggested(tree, clustering.classes_of())
    return [group for group in groups if group not in looking_at(clustering).dismissed]


def _group(clustering: StoredClustering, group: tuple[int, ...]) -> None:
    word, names = "-".join(map(str, group)), cluster_names(clustering)
    share = clustering.counts[list(group)].sum() / max(1, clustering.counts.sum())
    known = next((names[cluster] for cluster in group if cluster in names), None)
    key = f"alike_{clustering.key}_{word}"
    colors = [shown_color(clustering, cluster) for cluster in group]
    sheets = ask_sheets(clustering, group, colors, Look("typical", ROOM))
    with st.container(border=True, key=f"group_{word}", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            small_title = f"<b>These {len(group)}</b> · {percent(share)} of all pixels"
            st.html(f'<div class="picie-facts">{small_title}</div>', width="stretch")
            st.selectbox(
                f"Name of clusters {', '.join(map(str, group))}",
                list(class_names(clustering.workspace).values()),
                index=list(class_names(clustering.workspace).values()).index(known) if known else None,
                key=key,
                accept_new_options=True,
                placeholder="Name…",
                label_visibility="collapsed",
                width=220,
            )
            st.button("Name together", key=f"name_{key}", on_click=_name, args=(clustering, group, key))
            st.button("Not alike", key=f"drop_{key}", type="tertiary", on_click=dismiss, args=(clustering, group))
        places = []
        with st.grid(min(MOST_IN_A_ROW, max(2, len(group))), min_column_width=200, gap="small"):
            for cluster, color in zip(group, colors, strict=True):
                with st.container(gap="xsmall"):
                    small(f"{swatch(color)} <b>{cluster}</b> {html.escape(names.get(cluster, ''))}")
                    places.append(sheet_place(f"alike_{cluster}"))
    for cluster, place in zip(group, places, strict=True):
        fill(place, sheets[cluster], f"Crops of cluster {cluster}")


def _name(clustering: StoredClustering, group: tuple[int, ...], key: str) -> None:
    name_group(clustering, list(group), st.session_state[key])


def dismiss(clustering: StoredClustering, group: tuple[int, ...]) -> None:
    """Suggests this group no more in this tab."""
    looking_at(clustering).dismissed.add(group)
