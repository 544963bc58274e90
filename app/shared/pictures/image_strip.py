"""Which image is looked at: the row that steps through them, their order, and the strip of neighbours.

Made for collections of ten thousand: only what is shown is drawn, and orders are kept between two runs of the script.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from app.session.cache import cached, contact_sheet_source
from app.session.record import session
from app.session.widget_keys import Key
from app.shared.formatting import percent
from app.shared.layout.elements import show_png, small_fit
from app.shared.pictures.thumbnails import pyramid_folders, thumbnails
from picie_core.data.images.image_index import ImageList, ImageRecord
from picie_core.workspace.workspace import StoredClustering, Workspace

FILM = 9
ORDERS = {"name": "By name", "uncertainty": "Most uncertain first"}
ORDER_HELP = (
    "Most uncertain first: the images with most pixels that are almost as close to a second cluster as to their own, "
    "estimated from the sampled pixels."
)


@dataclass(frozen=True)
class ImageOrder:
    """The images in the order in which they are numbered, from 1."""

    ids: tuple[int, ...]
    position: dict[int, int]
    """Of each id, from 0."""
    uncertainty: dict[int, float]
    """Share of uncertain pixels of each image, 0 to 1; empty where the order does not ask for it."""


@cached(8)
def image_order(clustering: StoredClustering, listed: ImageList, order: str) -> ImageOrder:
    """Returns the readable images by name or by uncertainty; kept until images, clusters or the order change."""
    readable, uncertainty = sorted(listed.readable, key=lambda item: item.path), {}
    if order == "uncertainty":
        from picie_core.clustering.uncertainty import image_uncertainty

        uncertainty = image_uncertainty(contact_sheet_source(clustering.run).sample, clustering)
        readable.sort(key=lambda item: -uncertainty.get(item.id, -1.0))  # images without a sampled pixel come last
    ids = tuple(item.id for item in readable)
    return ImageOrder(ids, {image_id: position for position, image_id in enumerate(ids)}, uncertainty)


def show_image(image_id: int) -> None:
    """Makes an image the one that the Masks screen shows, wherever it stands in the order."""
    session().image_id = image_id
    session().find_image = True


def choose_image(clustering: StoredClustering) -> tuple[ImageRecord, ImageOrder]:
    """Draws the row that steps through the images; returns the chosen one. The address carries its number."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        before, field, after, facts = (st.container(width="content") for _ in range(4))
        st.space("stretch")
        chosen = st.segmented_control(
            "Order",
            list(ORDERS),
            format_func=lambda key: ORDERS[key],
            default="name",
            required=True,
            key=Key.IMAGE_ORDER,
            bind="query-params",
            label_visibility="collapsed",
            on_change=_keep_image,
            help=ORDER_HELP,
        )
    order = image_order(clustering, clustering.workspace.image_list(), chosen or "name")
    record = session()
    if record.find_image and record.image_id in order.position:
        st.session_state[Key.IMAGE_NUMBER] = order.position[record.image_id] + 1
    record.find_image = False
    if st.session_state.get(Key.IMAGE_NUMBER, 1) > len(order.ids):
        st.session_state[Key.IMAGE_NUMBER] = len(order.ids)
    number = field.number_input(
        "Image",
        1,
        len(order.ids),
        step=1,
        key=Key.IMAGE_NUMBER,
        bind="query-params",
        width=110,
        label_visibility="collapsed",
        help="Type a number to jump",
    )
    for column, label, by in ((before, "Previous", -1), (after, "Next", 1)):
        side: Literal["left", "right"] = "left" if by < 0 else "right"
        column.button(
            label,
            icon=f":material/chevron_{side}:",
            icon_position=side,
            key=f"{label.lower()}_image",
            disabled=not 1 <= number + by <= len(order.ids),
            on_click=go_to,
            args=(number + by,),
            shortcut=side,
        )
    item = clustering.workspace.image_list().records[order.ids[number - 1]]
    record.image_id = item.id
    with facts:
        words = [f"of {len(order.ids):,}", f"<b>{html.escape(item.path)}</b>", f"{item.width} × {item.height} px"]
        if item.id in order.uncertainty:
            words.append(f"{percent(order.uncertainty[item.id])} uncertain")
        small_fit(" · ".join(words))
    return item, order


def go_to(number: int) -> None:
    """Makes the image of this number, counted from 1, the one shown."""
    st.session_state[Key.IMAGE_NUMBER] = number


def _keep_image() -> None:
    session().find_image = True


def film_strip(workspace: Workspace, order: ImageOrder, shown: ImageRecord) -> None:
    """Draws the neighbours of the image, each with a button that goes there."""
    records = workspace.image_list().records
    start = max(0, min(order.position[shown.id] - FILM // 2, len(order.ids) - FILM))
    root = str(workspace.images_root)
    grid = st.grid(FILM, min_column_width=56, gap="xsmall", wrap=False)
    for number, image_id in enumerate(order.ids[start : start + FILM], start + 1):
        item = records[image_id]
        with grid.container(key=f"strip_{item.id}", gap="xsmall"):
            stored = pyramid_folders(workspace.root, [item])
            show_png(thumbnails(root, (item.path,), (item.stamp,), 1, stored), alt=item.path)
            st.button(
                f"{number}",
                key=f"film_{item.id}",
                width="stretch",
                on_click=go_to,
                args=(number,),
                type="primary" if item is shown else "secondary",
            )
