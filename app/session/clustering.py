"""Moving K: what was asked for is computed before anything is drawn, so that all screens speak of the same clusters."""

from __future__ import annotations

import logging
import threading

import streamlit as st

from app.session.caches import current_clustering
from app.session.state import session
from picie_core.errors import PicieError
from picie_core.workspace.workspace import Workspace

QUICK_K = (12, 27, 60, 100)
FIRST_K = 27
WORTH_FINDING_AHEAD = 50_000
"""Sampled pixels."""
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
    from picie_core.labels.label_transfer import use_k

    with st.spinner(f"Finding {k} clusters"):
        use_k(workspace, run, k)


def find_ahead(workspace: Workspace, run: str) -> None:
    """Finds the usual numbers of clusters beside the page, once for each sample, so that a click on one is answered.

    On one thread, as the page has the right of way; a small sample is clustered as fast as it is asked for.
    """
    from picie_core.data.embedding_sample import derived_dir, load_sample

    if len(load_sample(workspace, run).embeddings) >= WORTH_FINDING_AHEAD:
        _find_ahead(str(workspace.root), run, derived_dir(workspace, run).name)


@st.cache_resource(max_entries=16, show_spinner=False)
def _find_ahead(root: str, run: str, sample_digest: str) -> threading.Thread:
    finding = threading.Thread(target=_find_usual, args=(Workspace.open(root), run), name="find clusters", daemon=True)
    finding.start()
    return finding


def _find_usual(workspace: Workspace, run: str) -> None:
    from picie_core.clustering.clustering import cluster_workspace
    from picie_core.clustering.kmeans import load_faiss

    load_faiss().omp_set_num_threads(1)  # of this thread only
    for k in QUICK_K:
        try:
            cluster_workspace(workspace, run, k)
        except PicieError as error:  # it is said to whoever asks for this K
            logging.getLogger("picie.app").warning("%d clusters were not found ahead: %s", k, error)
