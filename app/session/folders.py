"""Which folders of this machine the app may read, and where it puts new workspaces."""

from __future__ import annotations

import os
import re
from pathlib import Path

from picie_core.errors import PicieError
from picie_core.workspace.workspace import Workspace

GENERIC_NAMES = ("images", "imgs", "data", "train", "val", "test", "photos", "jpegimages", "leftimg8bit")
"""Folder names that say nothing without the folder above them."""
SAMPLE_IMAGES = Path(__file__).resolve().parents[2] / "sample_data" / "images"


def allowed_roots() -> list[Path]:
    """Returns the folders below which anything may be opened: PICIE_ROOTS, else the home folder and the current one."""
    named = os.environ.get("PICIE_ROOTS")
    roots = (
        [Path(part).expanduser() for part in named.split(os.pathsep) if part] if named else [Path.home(), Path.cwd()]
    )
    return [root.resolve() for root in roots]


def check_folder(path: Path | str) -> Path:
    """Returns the folder with every link followed. Raises PicieError when it lies outside the allowed roots."""
    resolved = Path(path).expanduser().resolve()
    roots = [*allowed_roots(), workspaces_home().resolve(), SAMPLE_IMAGES.resolve()]
    if not any(resolved.is_relative_to(root) for root in roots):
        listed = ", ".join(str(root) for root in allowed_roots())
        raise PicieError(
            f"{path} leads outside the folders that this app may open ({listed}): choose a folder below them, "
            "or set PICIE_ROOTS before starting the app"
        )
    return resolved


def check_images(text: str) -> Path:
    """Returns the images folder that a person typed. Raises PicieError when it is not a folder that may be opened."""
    if not text.strip():
        raise PicieError("no folder is given: type the path of a folder of images")
    folder = check_folder(text.strip())
    if not folder.is_dir():
        raise PicieError(f"{folder} is not a folder: type the path of a folder of images")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise PicieError(f"{folder} may not be read by this user: change its permissions or choose another folder")
    return folder


def workspaces_home() -> Path:
    """Returns the folder of the workspaces that the app makes: PICIE_HOME or ~/.picie, then workspaces."""
    home = os.environ.get("PICIE_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".picie").absolute() / "workspaces"


def workspace_for(images: Path) -> Path:
    """Returns the folder of the workspace for these images: named after them, numbered where the name is taken."""
    telling = ["sample"] if images == SAMPLE_IMAGES else [images.name]
    for parent in images.parents:
        if telling[0].lower() not in GENERIC_NAMES:
            break
        if parent.name:
            telling.insert(0, parent.name)
    words = [word for word in telling if word.lower() not in ("images", "data", "imgs")] or ["images"]
    stem = re.sub(r"[^\w.-]+", "-", "-".join(words)).strip("-.") or "images"
    number = 1
    while True:
        root = workspaces_home() / (stem if number == 1 else f"{stem}-{number}")
        if not root.exists() or images_of(root) == images:
            return root
        number += 1


def images_of(root: Path) -> Path | None:
    """Returns the images folder that the workspace at `root` was made for, None if it cannot be told."""
    try:
        return Workspace.open(root).images_root.resolve()
    except PicieError:
        return None


def known_workspaces() -> list[Path]:
    """Returns the workspaces that the app made before, the one used last first."""
    used = {}
    for path in workspaces_home().glob("*/workspace.json"):
        labels = path.with_name("labels.sqlite")
        used[path.parent] = (labels if labels.exists() else path).stat().st_mtime
    return sorted(used, key=lambda root: -used[root])


def workspace_name(root: Path) -> str:
    """Returns how the address names a workspace: its plain name if the app made it, else its folder."""
    return root.name if root.parent == workspaces_home() else str(root)


def workspace_from_name(name: str) -> Path:
    """Returns the folder that `workspace_name` gave this name to."""
    plain = re.fullmatch(r"[\w.-]+", name) and name not in (".", "..")
    return workspaces_home() / name if plain else Path(name)
