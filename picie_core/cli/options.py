"""Options that several commands share, and what they choose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from picie_core.cli.parser import Option
from picie_core.data.images.image_selection import store_selection
from picie_core.data.labelled_sets.datasets import DATASETS, DataChoice
from picie_core.errors import SettingError
from picie_core.workspace.workspace import Workspace

WorkspaceOption = Annotated[Path, Option("folder that holds all work on these images", flag="--workspace")]
RunOption = Annotated[str | None, Option("which embedder; without it the one in use (see `info`)", flag="--run")]
ClusteringOption = Annotated[
    str | None, Option("which clustering, such as k27-s0; without it the one in use", flag="--clustering")
]
DeviceOption = Annotated[str, Option("where to compute", choices=("auto", "cpu", "cuda"))]
ImagesOption = Annotated[
    Path | None, Option("folder of images; may be left out for a known workspace", positional=True)
]
DatasetOption = Annotated[str, Option("what --root holds; folders has images/ and masks/", choices=DATASETS)]
RootOption = Annotated[Path | None, Option("folder of a data set, instead of a folder of images")]
SplitOption = Annotated[
    str | None,
    Option("such as train or train+val; without it COCO-Stuff train, Cityscapes test+train_extra, folders all"),
]
ListOption = Annotated[Path | None, Option("curated list: only these images, one a line", flag="--list")]


def data_choice(
    images: Path | None, dataset: str, root: Path | None, split: str | None, list_file: Path | None
) -> DataChoice | None:
    """Returns the data set that the options name, None when they name none.

    Raises SettingError when a folder of images is named too, or a split or a list of no data set.
    """
    if root is not None and images is None:
        return DataChoice(dataset, root, split, list_file)
    if root is not None:
        raise SettingError(f"root={root} is a data set and {images} a folder of images: give one of them")
    if dataset != "folders" or split is not None or list_file is not None:
        raise SettingError("--dataset, --split and --list select images of a data set: give its --root DIR too")
    return None


def open_or_create(workspace_root: Path, images: Path | None, data: DataChoice | None = None) -> Workspace:
    """Returns the workspace there; made for `images`, or for those that `data` names, when one is given."""
    if data is None:
        return Workspace.open(workspace_root) if images is None else Workspace.create(workspace_root, images)
    chosen = data.images()
    workspace = Workspace.create(workspace_root, chosen.images_root)
    store_selection(workspace.root, chosen.names)
    return workspace
