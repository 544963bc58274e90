"""Which folders may be opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.session.folders import (
    SAMPLE_IMAGES,
    check_folder,
    check_images,
    workspace_for,
    workspace_from_name,
    workspace_name,
    workspaces_home,
)
from picie_core.errors import PicieError
from picie_core.workspace.workspace import Workspace


def test_a_folder_below_the_roots_is_opened_by_its_real_place(home: Path) -> None:
    """Links and dots are resolved before the check."""
    (home / "a" / "b").mkdir(parents=True)
    (home / "link").symlink_to(home / "a")
    assert check_folder(home / "link" / "b" / ".." / "b") == (home / "a" / "b").resolve()


@pytest.mark.parametrize("path", ["/etc", "{home}/../..", "{home}/out", "{home}-beside"])
def test_what_leads_out_of_the_roots_is_refused(home: Path, path: str) -> None:
    """A link, dots or a name that only begins like a root do not lead out; the message names the remedy."""
    (home / "out").symlink_to("/etc")
    with pytest.raises(PicieError, match="PICIE_ROOTS"):
        check_folder(path.format(home=home))


def test_a_typed_folder_that_is_none_is_told_as_such(home: Path) -> None:
    """Nothing typed, a file and a missing folder each get their sentence."""
    (home / "file.png").write_text("x")
    for text in ("  ", str(home / "file.png"), str(home / "missing")):
        with pytest.raises(PicieError, match="folder"):
            check_images(text)


def test_the_name_of_a_workspace_tells_what_is_in_it(home: Path) -> None:
    """`camvid/images/train` is called camvid-train, and the sample is called sample."""
    assert workspace_for(home / "camvid" / "images" / "train").name == "camvid-train"
    assert workspace_for(home / "holiday").name == "holiday"
    assert workspace_for(SAMPLE_IMAGES).name == "sample"


def test_other_images_of_the_same_name_get_another_workspace(home: Path) -> None:
    """The same folder finds its workspace again; another folder with the same name does not."""
    first, second = home / "x" / "photos-a", home / "y" / "photos-a"
    for folder in (first, second):
        folder.mkdir(parents=True)
    root = workspace_for(first)
    Workspace.create(root, first)
    assert workspace_for(first) == root
    assert workspace_for(second) == root.with_name(f"{root.name}-2")


def test_the_name_in_the_address_leads_back_to_the_folder(home: Path) -> None:
    """Workspaces of the app go by their name, others by their folder, and no name climbs out."""
    for root in (workspaces_home() / "sample", home / "elsewhere"):
        assert workspace_from_name(workspace_name(root)) == root
    with pytest.raises(PicieError):
        check_folder(workspace_from_name("../../../etc"))
