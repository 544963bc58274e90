"""What one browser tab remembers between two runs of the script.

The workspace on disk is the truth and the address names it, so a reload restores everything; this record is a cache.
What only one screen remembers is a dataclass in the folder of that screen, reached by `session().of(ItsRecord)`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
import streamlit as st

from app.session.address import read_address

RECORD = "picie"
Part = TypeVar("Part")


@dataclass
class Session:
    """The record of a tab."""

    workspace: str = ""
    """Absolute folder of the workspace; empty before one is chosen."""
    run: str = ""
    screen: str = ""
    """Title of the screen that is drawn."""
    arrived: bool = False
    """True while the first run of the script on this screen, after another one, is under way."""
    wanted_k: int | None = None
    """K that was asked for and is not computed yet."""
    trying_sample: bool = False
    """True between the click on the sample and its first overlay."""
    image_id: int | None = None
    """The image on the Masks screen."""
    find_image: bool = False
    """True until the Masks screen has gone to `image_id`, wherever it stands in the order of the images."""
    selected: np.ndarray | None = None
    """Rows of the embedding sample that are selected on the map, (n,) int64; they outlive colours, names and K."""
    last_name: str = ""
    """The name that was given last, on any screen."""
    names_given: int = 0
    """How often the naming bar was used: its field knows by it that a name has arrived."""
    stop_asked: dict[str, float] = field(default_factory=dict)
    """When a job was asked to stop, seconds since the epoch, by command."""
    shown: dict[str, tuple[Any, int]] = field(default_factory=dict)
    """What each field that follows the workspace shows, and how often that was changed elsewhere."""
    drawn_version: int = 0
    """Version of the label map that the page shows, as far as a screen alone redraws what an edit changes."""
    notice: str = ""
    """A short line that is shown once, after the next run of the script."""
    parts: dict[type, Any] = field(default_factory=dict)
    """What the screens remember, by the class of each record."""

    def of(self, kind: type[Part]) -> Part:
        """Returns what a screen remembers, with its defaults when it is asked for the first time."""
        return cast(Part, self.parts.setdefault(kind, kind()))


def session() -> Session:
    """Returns the record of this tab, made on its first run from the address, the command line or the environment.

    Raises PicieError, once, when the address names a folder that this app may not open; the record is empty then.
    """
    if RECORD not in st.session_state:
        record = st.session_state[RECORD] = Session()
        record.workspace, record.run = read_address()
    return st.session_state[RECORD]
