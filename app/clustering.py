"""Moving K: what was asked for is computed before anything is drawn, so that all screens speak of the same clusters."""

from __future__ import annotations

import streamlit as st

from app.loaders import current_clustering
from app.state import session
from picie_core.workspace import Workspace

FIRST_K = 27
NEEDS_CLUSTERS = ("Clusters", "Map", "Masks", "Export")


def cluster_if_wanted(workspace: Workspace, run: str | None, screen: str) -> None:
    """Computes the K that was asked for and puts it in use; the first K by itself on a screen that shows clusters.

    Names of the clustering in use before are carried over to one that has none.
    """
    record = session()
    if run is None:
        return
    if record.wanted_k is None:
        if screen not in NEEDS_CLUSTERS or current_clustering(workspace, run) is not None:
            return
        record.wanted_k = FIRST_K
    k, record.wanted_k = record.wanted_k, None
    from picie_core.carrying import use_k

    with st.spinner(f"Finding {k} clusters"):
        use_k(workspace, run, k)
