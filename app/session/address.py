"""The address of the page: it names workspace and run, so that a reload or a copied link opens the same."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import streamlit as st

from app.session.folders import check_folder, workspace_from_name, workspace_name

PARAM_WORKSPACE, PARAM_RUN = "workspace", "run"


def read_address() -> tuple[str, str]:
    """Returns folder of the workspace and name of the run for a new tab, empty where nothing names them.

    The address counts first, then `--workspace`, then PICIE_WORKSPACE. Raises PicieError when the address names a
    folder that this app may not open.
    """
    named, started_with = st.query_params.get(PARAM_WORKSPACE, ""), command_line_workspace()
    root = str(started_with or "")
    if named and not (started_with and named == workspace_name(started_with)):
        root = str(check_folder(workspace_from_name(named)))
    return root, st.query_params.get(PARAM_RUN, "")


def command_line_workspace() -> Path | None:
    """Returns the workspace that the server was started with, None if none was named."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--workspace", default=os.environ.get("PICIE_WORKSPACE"))
    chosen = parser.parse_known_args(sys.argv[1:])[0].workspace
    return Path(chosen).expanduser().absolute() if chosen else None


def write_address(workspace: str, run: str) -> None:
    """Puts folder of the workspace and name of the run into the address; empty ones are taken out of it."""
    named = workspace_name(Path(workspace)) if workspace else ""
    for param, value in ((PARAM_WORKSPACE, named), (PARAM_RUN, run)):
        if value and st.query_params.get(param) != value:
            st.query_params[param] = value
        elif not value and param in st.query_params:
            del st.query_params[param]
