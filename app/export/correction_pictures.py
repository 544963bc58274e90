"""The images that were corrected most: their predicted and their corrected masks beside each other."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from app.session.cache import cached
from app.shared.formatting import literal, percent
from app.shared.layout.elements import picture, small
from app.shared.pictures import overlays
from app.shared.pictures.overlays import OverlayStyle
from picie_core.colors import next_color, rgb_color
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import png_bytes
from picie_core.data.images.image_index import ImageRecord
from picie_core.segmentation.overlay import overlay
from picie_core.workspace.workspace import StoredClustering, Workspace

if TYPE_CHECKING:
    from picie_core.workspace.masks.corrected_masks import CorrectedMasks

SHOWN_IMAGES = 3
"""Of the images that were corrected most, how many are drawn."""
PICTURE_PX = 360
OPACITY = 0.6


def draw_pictures(clustering: StoredClustering, report: dict[str, Any]) -> None:
    """Draws the images that were corrected most, predicted and corrected beside each other."""
    path = Path(report["path"])
    if not path.exists():
        st.caption(f"{literal(str(path))} is gone, so no pictures can be drawn of it.")
        return
    images = {one.path: one for one in clustering.workspace.image_list().readable}
    masks = _corrected(clustering.workspace, str(path), report["form"], path.stat().st_mtime, _names_now(clustering))
    for one in report["corrected"][:SHOWN_IMAGES]:
        item = images.get(one["path"])
        if item is None:
            continue
        small(f"{html.escape(item.path)} · {percent(one['changed'] / one['pixels'])} changed")
        before, after = st.columns(2, gap="xsmall")
        with before:
            st.caption("Predicted")
            style = OverlayStyle("class", PICTURE_PX, OPACITY, hidden=frozenset({IGNORE_ID}))
            data = overlays.overlay_image(clustering, item, style, "PNG")
            picture(f"before_{item.id}", data, f"Predicted mask of {item.path}", item.width / item.height)
        with after:
            st.caption("Corrected")
            data = _corrected_picture(clustering, item, masks)
            picture(f"after_{item.id}", data, f"Corrected mask of {item.path}", item.width / item.height)


def _names_now(clustering: StoredClustering) -> tuple[str, ...]:
    return tuple(one.name for one in clustering.label_map.classes())


@cached(2, "Reading the corrected masks")
def _corrected(workspace: Workspace, path: str, form: str, stamp: float, names: tuple[str, ...]) -> CorrectedMasks:
    """The masks of the report; `stamp` and `names` tell that the file or the classes changed."""
    from picie_core.workspace.masks.corrected_masks import CorrectedMasks

    return CorrectedMasks(workspace, Path(path), form)


def _corrected_picture(clustering: StoredClustering, item: ImageRecord, masks: CorrectedMasks) -> bytes:
    """The image with its corrected mask over it as PNG; classes that are new have colours of their own."""
    mask = masks.read(item.path).mask
    width, height = overlays.target_size(item, PICTURE_PX)
    rows, columns = np.arange(height) * mask.shape[0] // height, np.arange(width) * mask.shape[1] // width
    colors = [one.color for one in clustering.label_map.classes()][: masks.known]
    while len(colors) < len(masks.class_names):
        colors.append(next_color(set(colors)))
    rgb = {index: rgb_color(color) for index, color in enumerate(colors)}
    photograph = overlays.photograph(clustering.workspace, item, PICTURE_PX)
    return png_bytes(overlay(photograph, mask[rows[:, None], columns], rgb, OPACITY, {IGNORE_ID}))
