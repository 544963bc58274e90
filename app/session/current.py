"""Which workspace, run and clustering this tab looks at, so that all screens speak of the same."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app.session.address import command_line_workspace
from app.session.cache import cached
from app.session.folders import check_folder
from app.session.record import RECORD, Session, session
from picie_core.errors import PicieError
from picie_core.workspace.workspace import Run, StoredClustering, Workspace

if TYPE_CHECKING:
    from picie_core.clustering.splits import Split


def open_workspace(root: Path | None) -> None:
    """Makes `root` the workspace of this tab, none with None, and forgets what belonged to the one before."""
    st.session_state[RECORD] = Session(workspace=str(root or ""))


def current_workspace() -> Workspace | None:
    """Returns the workspace of this tab, None before one is chosen.

    Raises PicieError when it is gone or damaged, or when its images lie where this app may not look.
    """
    root = session().workspace
    if not root:
        return None
    workspace = Workspace.open(root)
    if Path(root) != command_line_workspace():
        try:
            images = workspace.images_root
        except PicieError:
            return workspace  # they are gone: the screens that need them say so, the others go on
        check_folder(images)
    return workspace


def current_run(workspace: Workspace) -> Run | None:
    """Returns the run this tab looks at: the one in the address if done, else the workspace's; None without any."""
    record = session()
    if record.run not in [run.id for run in workspace.runs() if run.state == "done"]:
        try:
            record.run = workspace.current_run().name
        except PicieError:
            record.run = ""
    return Run(workspace, record.run) if record.run else None


def current_clustering(run: Run) -> StoredClustering | None:
    """Returns the clustering in use: the chosen one if this run has it, else its last one, else None."""
    if not run.clusterings():
        return None
    unsplit = unsplit_clustering(run)
    splits = run.workspace.label_map.splits_of(unsplit.key)
    return _split_clustering(unsplit, unsplit.with_digest(splits), splits) if splits else unsplit


def unsplit_clustering(run: Run) -> StoredClustering:
    """Returns the clustering in use as k-means found it. Raises PicieError when the run has none."""
    name = run.current_clustering_name()
    return _stored_clustering(run, name, run.clustering_stamp(name))


@cached(4)
def _stored_clustering(run: Run, name: str, stamp: tuple[str, int]) -> StoredClustering:
    return run.unsplit_clustering(name)


@cached(8)
def _split_clustering(unsplit: StoredClustering, digest: str, _splits: list[Split]) -> StoredClustering:
    return unsplit.with_splits(_splits, unsplit.sample().embeddings)


def reading(workspace: Workspace | None) -> AbstractContextManager[None]:
    """Makes what is read of the label map in the block cheap, in this thread."""
    return workspace.label_map.reading() if workspace else nullcontext()
