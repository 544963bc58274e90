"""The bar above the cards: the cluster in focus, or those that are picked, all that names them, and the keys for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from app.clusters import focus
from app.clusters.cluster_facts import next_unnamed
from app.clusters.contact_sheets import page_background
from app.clusters.record import ClustersRecord, record_of, stamp
from app.session.record import session
from app.session.widget_keys import Key
from app.shared.components.naming import Click, naming_field
from app.shared.formatting import literal
from app.shared.naming import cluster_names, names_offered, shown_color
from picie_core.data.class_names import IGNORE_NAME
from picie_core.workspace.workspace import StoredClustering

STUCK = '[data-testid="stLayoutWrapper"]:has(> .st-key-naming_bar)'
"""The bar stays in sight above the cards, so it needs the background of the page."""
SHORT_NAME = 18
"""Letters of a name that fit on a button."""
KEYS = (
    ("Enter", "type a name for the cluster in focus; Enter again names it and goes to the next without a name"),
    ("Esc", "leave the field, so that the letters below work as keys"),
    ("N", "next cluster without a name, the largest first"),
    ("P", "back to the cluster before"),
    ("L", "name it as the last one"),
    ("I", "ignore it: its pixels are left out of the masks"),
    ("X", "pick it: picked clusters are named together"),
    ("Ctrl Z", "undo; Ctrl Shift Z redoes"),
    ("?", "these keys"),
)
WHILE_TYPING = (
    ("Tab", "complete the name"),
    ("↓ ↑", "choose among the names that are offered"),
    ("Alt N, P, L, I", "the same as the letters alone"),
)


def draw_naming_bar(clustering: StoredClustering) -> None:
    """Draws the bar; without a cluster in focus, the largest without a name is."""
    here, names = record_of(clustering), cluster_names(clustering)
    if here.focus is None:
        here.focus = next_unnamed(clustering, clustering.classes_of(), None)
    st.html(f"<style>{STUCK} {{ background: {page_background()}; }}</style>")
    with st.container(key="naming_bar", horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch"):
            _draw_field(clustering, here, names)
        nothing = not focus.to_name(clustering)
        name_buttons(partial(focus.name, clustering), nothing)
        if here.picked:
            st.button("Clear", key="clear_picked", on_click=focus.clear_picked, args=(clustering,), help="Pick none")
        back, go_on = partial(focus.go_back, clustering), partial(focus.go_next, clustering)
        key_button("p", "Back", back, disabled=here.focus is None, tip="To the cluster before")
        key_button("n", "Next", go_on, tip="To the next cluster without a name")
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
        stamp=partial(stamp, clustering),
        card="" if one is None else f".st-key-card_{one}",
        on_name=partial(focus.name, clustering),
        on_sheet=partial(open_image, clustering),
        on_jump=partial(focus.jump_to, clustering),
    )


def open_image(clustering: StoredClustering, click: Click) -> None:
    """Opens the image of the crop that was clicked, on a card or in the dialog with more crops."""
    sheet, _, cluster = click.sheet.partition("_")
    if sheet in ("card", "more") and cluster.isdigit():
        record_of(clustering).dialog = ("image", sheet, int(cluster), click.x, click.y)


def name_buttons(name: Callable[[str], None], disabled: bool = False) -> None:
    """Draws the buttons that call `name` with the last name, and with `ignore`."""
    last = session().last_name
    short = last if len(last) <= SHORT_NAME else f"{last[: SHORT_NAME - 1]}…"
    label = f"As last: {literal(short)}" if last else "As last"
    key_button("l", label, partial(name, last), disabled=not last or disabled, tip="Give the last name again")
    key_button("i", "Ignore", partial(name, IGNORE_NAME), disabled=disabled, tip="Leave these pixels out of the masks")


def key_button(letter: str, label: str, on_click: partial, *, disabled: bool = False, tip: str) -> None:
    """Draws a button that a letter presses too, and Alt with it from within the field."""
    with st.container(key=f"naming_{letter}", width="content"):
        st.button(
            label,
            key=f"press_{letter}",
            shortcut=letter.upper(),
            on_click=on_click,
            disabled=disabled,
            help=tip,
            wrap=False,
        )


def draw_key_sheet() -> None:
    """Draws the button that opens the list of keys."""
    with (
        st.container(key="key_sheet", width="content"),
        st.popover("", icon=":material/keyboard:", help="Keys (press ?)"),
    ):
        for title, keys in (("Keys", KEYS), ("While you type", WHILE_TYPING)):
            rows = "".join(f"<tr><td><kbd>{key}</kbd></td><td>{what}</td></tr>" for key, what in keys)
            st.html(f'<div class="picie-facts"><b>{title}</b></div><table class="picie-keys">{rows}</table>')
