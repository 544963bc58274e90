"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from picie_core.cli import Option

WorkspaceOption = Annotated[Path, Option("folder that holds all work on these images")]
RunOption = Annotated[str | None, Option("which embedder; without it the one in use (see `info`)")]
ClusteringOption = Annotated[str | None, Option("which clustering, such as k27-s0; without it the one in use")]
DeviceOption = Annotated[str, Option("where to compute", choices=("auto", "cpu", "cuda"))]
ImagesOption = Annotated[
    Path | None, Option("folder of images; may be left out for a known workspace", positional=True)
]
