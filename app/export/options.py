"""The options of an export: what is written beside the masks, of which classes, and into which set images go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import streamlit as st

from app.session.widget_keys import Key
from app.shared.pictures.post_processing import draw_post_processing, draw_threshold, post_processing_words
from picie_core.data.class_names import IGNORE_ID
from picie_core.export.export_settings import ExportSettings
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.workspace.workspace import StoredClustering

CONFIDENCES = {"none": "None", "png": "PNG, 8 bit", "npz": "NumPy, 16 bit"}
IMAGE_FILES = {"copy": "Copy", "link": "Hard links", "none": "Leave out"}
BY_SHARE, BY_FOLDER = "By share", "By folder"


@dataclass(frozen=True)
class Choice:
    """What is chosen on the page."""

    formats: tuple[str, ...]
    settings: ExportSettings
    post_processing: PostProcessing

    def options(self) -> list[str]:
        """Returns the options of the command line that mean this."""
        return ["--format", *self.formats, *self.settings.options(), *self.post_processing.options()]


def choose_options(clustering: StoredClustering, formats: tuple[str, ...]) -> Choice:
    """Draws the options; post-processing is that of the Masks screen."""
    classes = {one.id: one.name for one in clustering.label_map.classes()}
    used = sorted(set(clustering.classes_of().values()) - {IGNORE_ID})
    raw = st.toggle(
        "Cluster ids instead of classes",
        key=Key.EXPORT_RAW,
        persist_state="session",
        help="Writes the number of the cluster in each pixel, named or not.",
    )
    settings = ExportSettings(raw=raw, fix_names=not raw)
    with st.expander("Options"):
        left, right = st.columns(2, gap="medium")
        with left:
            if not raw and used:
                names = [classes[one] for one in used]
                chosen = st.multiselect(
                    "Classes",
                    names,
                    placeholder="All classes",
                    key=Key.EXPORT_CLASSES,
                    persist_state="session",
                    help="Pixels of the classes that are left out become 255.",
                )
                settings = replace(settings, classes=tuple(chosen))
            settings = replace(settings, **_division(clustering))
        with right:
            confidence = st.selectbox(
                "Confidence maps",
                tuple(CONFIDENCES),
                format_func=lambda kind: CONFIDENCES[kind],
                key=Key.EXPORT_CONFIDENCE,
                persist_state="session",
                help="How sure the label of each pixel is, as a file beside each mask.",
            )
            files = st.segmented_control(
                "Image files",
                tuple(IMAGE_FILES),
                format_func=lambda kind: IMAGE_FILES[kind],
                default="copy",
                required=True,
                key=Key.EXPORT_IMAGE_FILES,
                persist_state="session",
                help="Hard links take no space, but only where a file can stay as it is and on the same disk.",
            )
            settings = replace(settings, confidence=confidence, image_files=files)
    with st.expander("Post-processing"):
        first, second = st.columns(2, gap="medium")
        with first:
            least = draw_threshold(not raw or clustering.k <= IGNORE_ID)
        with second:
            post_processing = draw_post_processing(least)
    if post_processing.changes:
        st.caption(f"Masks are post-processed: {post_processing_words(post_processing)}, as on the Masks screen.")
    return Choice(formats, settings, post_processing)


def _division(clustering: StoredClustering) -> dict[str, Any]:
    """Draws how the images are divided; returns the fields of the settings."""
    folders = sorted({PurePosixPath(one.path).parts[0] for one in clustering.workspace.image_list().readable
                      if len(PurePosixPath(one.path).parts) > 1})  # fmt: skip
    how = BY_SHARE
    if len(folders) > 1:
        how = st.segmented_control(
            "Validation set",
            (BY_SHARE, BY_FOLDER),
            default=BY_SHARE,
            required=True,
            key=Key.EXPORT_DIVISION,
            persist_state="session",
        )
    if how == BY_FOLDER:
        chosen = st.multiselect(
            "Folders of the validation set", folders, key=Key.EXPORT_VAL_FOLDERS, persist_state="session"
        )
        return {"val_folders": tuple(chosen)}
    share = st.slider(
        "Images in the validation set",
        0,
        50,
        20,
        step=5,
        format="%d %%",
        key=Key.EXPORT_VAL,
        persist_state="session",
    )
    return {"val_share": share / 100}
