"""Moving K: what was asked for is computed before anything is drawn, so that all screens speak of the same clusters."""

from __future__ import annotations

import logging
import threading

import streamlit as st

from app.session.cache import cached
from app.session.current import current_clustering
from app.session.record import session
from picie_core.errors import PicieError
from picie_core.workspace.workspace import Run

QUICK_K = (12, 27, 60, 100)
FIRST_K = 27
WORTH_FINDING_AHEAD = 50_000
"""Sampled pixels."""
NEEDS_CLUSTERS = ("Clusters", "Map", "Masks", "Export")


def cluster_if_wanted(run: Run | None, screen: str) -> None:
    """Computes the K that was asked for and puts it in use; the first K by itself on a screen that shows clusters.

    The names of the clustering in use before are transferred to one that has none.
    """
    record = session()
    if run is None:
        return
    if record.wanted_k is None:
        if screen not in NEEDS_CLUSTERS or current_clustering(run) is not None:
            return
        record.wanted_k = FIRST_K
    k, record.wanted_k = record.wanted_k, None
    from picie_core.workspace.cluster_edits import use_k

    with st.spinner(f"Finding {k} clusters"):
        use_k(run, k)


@cached(16)
def find_ahead(run: Run) -> threading.Thread | None:
    """Finds the usual numbers of clusters beside the page, once for each sample, so that a click on one is answered.

    On one thread, as the page has the right of way; a small sample is clustered as fast as it is asked for.
    """
    if len(run.sample().embeddings) < WORTH_FINDING_AHEAD:
        return None
    finding = threading.Thread(target=_find_usual, args=(run,), name="find clusters", daemon=True)
    finding.start()
    return finding


def _find_usual(run: Run) -> None:
    from picie_core.clustering.kmeans import load_faiss

    load_faiss().omp_set_num_threads(1)  # of this thread only
    for k in QUICK_K:
        try:
            run.cluster(k)
        except PicieError as error:  # it is said to whoever asks for this K
            logging.getLogger("picie.app").warning("%d clusters were not found ahead: %s", k, error)
