"""The bar above the cards: the cluster in focus, or those that are picked, and all that names them."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app.clusters import focus
from app.clusters.contact_sheets import ground
from app.clusters.keys import draw_key_sheet
from app.clusters.record import ClustersRecord
from app.session.record import session
from app.session.widget_keys import Key
from app.shared.components.naming import Click, naming_field
from app.shared.formatting import literal
from app.shared.naming import cluster_names, names_offered, shown_color
from picie_core.workspace.workspace import StoredClustering

STUCK = '[data-testid="stLayoutWrapper"]:has(> .st-key-naming_bar)'
"""The bar stays in sight above the cards, so it needs the ground of the page."""


def draw_naming_bar(clustering: StoredClustering) -> None:
    """Draws the bar; without a cluster in focus, the largest without a name is."""
    here, names = focus.looking_at(clustering), cluster_names(clustering)
    if here.focus is None:
        here.focus = focus.next_unnamed(clustering, clustering.classes_of(), None)
    st.html(f"<style>{STUCK} {{ background: {ground()}; }}</style>")
    with st.container(key="naming_bar", horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch"):
            _draw_field(clustering, here, names)
        _draw_buttons(clustering, here)
        draw_key_sheet()


def _draw_field(clustering: StoredClustering, here: ClustersRecord, names: dict[int, str]) -> None:
    several, one = sorted(here.picked), here.focus
    if several:
        title = f"{len(several)} clusters" if len(several) > 1 else f"Picked {several[0]}"
    else:
        title = "" if one is None else str(one)
    shown = several[0] if len(several) == 1 else None if several else one
    naming_field(
        Key.NAMING_BAR,
        title=title,
        color="" if shown is None else shown_color(clustering, shown),
        name=names.get(shown, "") if shown is not None else "",
        names=names_offered(clustering.workspace),
        stamp=partial(focus.stamp, clustering),
        card="" if one is None else f".st-key-card_{one}",
        on_name=partial(focus.name, clustering),
        on_tile=partial(open_tile, clustering),
        on_jump=partial(focus.jump_to, clustering),
    )


def open_tile(clustering: StoredClustering, click: Click) -> None:
    """Opens the image of the tile that was clicked, if it is one of a card or of a dialog of these clusters."""
    kind, _, rest = click.place.partition("_")
    if kind in ("tiles", "more") and rest.isdigit():
        focus.looking_at(clustering).dialog = ("place", kind, int(rest), click.x, click.y)


def _draw_buttons(clustering: StoredClustering, here: ClustersRecord) -> None:
    last, nothing = session().last_name, not focus.meant(clustering)
    as_last = f"As last: {literal(short(last))}" if last else "As last"
    key_button("l", as_last, partial(focus.name_as_last, clustering), not last or nothing, "Name as the last one")
    key_button("i", "Ignore", partial(focus.ignore, clustering), nothing, "Leave these pixels out of the masks")
    if here.picked:
        st.button("Clear", key="clear_picked", on_click=focus.pick_none, args=(clustering,), help="Pick none")
    key_button("p", "Back", partial(focus.go_back, clustering), here.focus is None, "To the cluster before")
    key_button("n", "Next", partial(focus.go_next, clustering), False, "To the next cluster without a name")


def key_button(letter: str, label: str, on_click: partial, disabled: bool, help_text: str) -> None:
    """Draws a button that a letter presses too, and Alt with it from within the field."""
    with st.container(key=f"naming_{letter}", width="content"):
        st.button(
            label,
            key=f"press_{letter}",
            shortcut=letter.upper(),
            on_click=on_click,
            disabled=disabled,
            help=help_text,
            wrap=False,
        )


def short(text: str, most: int = 18) -> str:
    """Returns a name that fits on a button."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
