"""A folder of images: what is found in it, what is listed with a reason, and the id that each image keeps for ever."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.data.images.image_folder import SUFFIXES, find_images
from picie_core.data.images.image_index import ImageList, add_problem, scan_images
from picie_core.errors import PicieError


def save(path: Path, width: int = 64, height: int = 48) -> Path:
    """Writes a noisy image where a test wants it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


# -- folders


def test_every_suffix_is_found_and_hidden_files_are_not(tmp_path):
    """All suffixes in any case are found, sorted; hidden ones and other files are not."""
    wanted = sorted(f"a{index}{suffix.upper() if index % 2 else suffix}" for index, suffix in enumerate(SUFFIXES))
    for name in (*wanted, ".hidden.png", ".hidden/a.png", "notes.txt", "png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_images(tmp_path) == wanted


def test_unicode_spaces_and_equal_stems(tmp_path):
    """Names with spaces, accents and emoji work; equal stems in two folders are two images."""
    names = ["a b/Ünïcode 画像 🌲.png", "a b/same.png", "z/same.jpg", "z/same.png"]
    for name in names:
        save(tmp_path / "in" / name)
    result = scan_images(tmp_path / "in", tmp_path / "w")
    assert [record.path for record in result.records] == sorted(names) and result.problems == []
    assert ImageList.load(tmp_path / "w") == result


def test_links_stay_inside_the_folder(tmp_path):
    """Links that lead out are problems, circles end, and links to files inside are images."""
    save(tmp_path / "outside" / "secret.png")
    save(tmp_path / "in" / "a.png")
    for link, target in {
        "secret.png": "../outside/secret.png",
        "all": "../outside",
        "circle": ".",
        "twin.png": "a.png",
        "lost.png": "nothing.png",
        "self.png": "self.png",
    }.items():
        (tmp_path / "in" / link).symlink_to(target)
    assert find_images(tmp_path / "in") == ["a.png", "twin.png"]
    problems = {item.path: item.reason for item in scan_images(tmp_path / "in", tmp_path / "w").problems}
    assert set(problems) == {"secret.png", "all", "lost.png", "self.png"}
    assert "leads out" in problems["all"] and "leads out" in problems["secret.png"]


def test_folder_without_permission_is_listed(tmp_path, monkeypatch):
    """A folder that may not be read is a problem with its reason; the others are read."""
    save(tmp_path / "in" / "open" / "a.png")
    closed = save(tmp_path / "in" / "closed" / "b.png").parent
    closed.chmod(0)
    if os.access(closed, os.R_OK):  # root reads anything
        real = os.scandir

        def refuse(path: str) -> object:
            if Path(path).name == "closed":
                raise PermissionError(13, "Permission denied")
            return real(path)

        monkeypatch.setattr(os, "scandir", refuse)
    result = scan_images(tmp_path / "in", tmp_path / "w")
    closed.chmod(0o755)
    assert [record.path for record in result.records] == ["open/a.png"]
    assert [(item.path, "Permission denied" in item.reason) for item in result.problems] == [("closed", True)]


def test_name_that_is_not_utf8_is_listed(tmp_path):
    """A name that no mask, page or JSON can carry is a problem, not a crash."""
    save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / os.fsdecode(b"bad\xff.png")).write_bytes((tmp_path / "in" / "a.png").read_bytes())
    result = scan_images(tmp_path / "in", tmp_path / "w")
    assert len(result.readable) == 1 and "UTF-8" in result.problems[0].reason


def test_empty_folder_says_what_is_read(tmp_path):
    """An empty folder is an error that names it and the suffixes; a folder of bad files names the first reason."""
    (tmp_path / "in").mkdir()
    with pytest.raises(PicieError, match=r"no images under .*in: files that end in jpg .* are read"):
        scan_images(tmp_path / "in", tmp_path / "w")
    (tmp_path / "in" / "a.jpg").write_text("text")
    with pytest.raises(PicieError, match=r"1 files found.*a\.jpg: not an image file"):
        scan_images(tmp_path / "in", tmp_path / "w")
    assert [item.path for item in ImageList.load(tmp_path / "w").problems] == ["a.jpg"]


def test_workspace_inside_the_images_is_left_out(tmp_path):
    """Masks that were exported into a workspace beside the images never become images."""
    save(tmp_path / "a.png")
    save(tmp_path / "w" / "exports" / "mask.png")
    assert [record.path for record in scan_images(tmp_path, tmp_path / "w").records] == ["a.png"]


# -- ids


def test_ids_are_for_ever(tmp_path):
    """Added images get the next ids, removed ones keep theirs and are problems, and come back as themselves."""
    images, workspace = tmp_path / "in", tmp_path / "w"
    for name in ("b.png", "d.png"):
        save(images / name)
    scan_images(images, workspace)
    save(images / "a.png")
    (images / "b.png").rename(tmp_path / "b.png")
    result = scan_images(images, workspace)
    assert [(item.id, item.path) for item in result.records] == [(0, "b.png"), (1, "d.png"), (2, "a.png")]
    assert result.bad_ids == {0} and result.problems[0].reason == "file is gone"
    assert [item.id for item in result.readable] == [1, 2]
    (tmp_path / "b.png").rename(images / "b.png")
    assert [item.id for item in scan_images(images, workspace).readable] == [0, 1, 2]


def test_changed_file_keeps_its_id_with_the_new_size(tmp_path):
    """A file that was replaced has its old id, its new size and another stamp."""
    save(tmp_path / "in" / "a.png")
    before = scan_images(tmp_path / "in", tmp_path / "w").records[0]
    save(tmp_path / "in" / "a.png", 80, 20)
    after = scan_images(tmp_path / "in", tmp_path / "w").records[0]
    assert (after.id, after.width, after.height) == (0, 80, 20) and after.stamp != before.stamp


def test_unchanged_files_are_not_opened_again(tmp_path):
    """A second scan opens no known file: one whose pixels were wiped out, size and time unchanged, stays as it was."""
    paths = [save(tmp_path / "in" / f"{index}.png") for index in range(5)]
    first = scan_images(tmp_path / "in", tmp_path / "w")
    for path in paths:
        info = path.stat()
        path.write_bytes(bytes(info.st_size))
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert scan_images(tmp_path / "in", tmp_path / "w") == first
    os.utime(paths[2])
    assert scan_images(tmp_path / "in", tmp_path / "w").bad_ids == {2}


def test_problem_found_at_decoding_lasts_until_the_file_changes(tmp_path):
    """A truncated image stays a problem over scans that see only its header, and is forgotten once mended."""
    images, workspace = tmp_path / "in", tmp_path / "w"
    save(images / "a.png")
    content = save(images / "b.jpg", 300, 200).read_bytes()
    (images / "b.jpg").write_bytes(content[:3000])
    assert scan_images(images, workspace).bad_ids == frozenset()
    add_problem(workspace, "b.jpg", "truncated")
    assert ImageList.load(workspace).bad_ids == {1}
    assert scan_images(images, workspace).bad_ids == {1}
    (images / "b.jpg").write_bytes(content)
    assert scan_images(images, workspace).bad_ids == frozenset()


def test_line_cut_off_by_a_kill_costs_only_itself(tmp_path):
    """Half a line at the end of problems.jsonl harms neither the lines before nor the next one."""
    (tmp_path / "problems.jsonl").write_text('{"path": "a", "reason": "x"}\n{"path": "b", "rea')
    add_problem(tmp_path, "c", "y")
    assert [item.path for item in ImageList.load(tmp_path).problems] == ["a", "c"]


def test_damaged_list_is_an_error_with_a_remedy(tmp_path):
    """A damaged images.jsonl is never taken for an empty one, which would give every image another id."""
    (tmp_path / "images.jsonl").write_text(json.dumps({"id": 4, "path": "a"}) + "\n")
    with pytest.raises(PicieError, match=r"images\.jsonl is damaged.*restore it"):
        ImageList.load(tmp_path)


def test_scan_reports_every_file(tmp_path):
    """Progress of a scan ends at all files of it."""
    for index in range(3):
        save(tmp_path / "in" / f"{index}.png")
    seen = []
    scan_images(tmp_path / "in", tmp_path / "w", seen.append)
    assert {item.phase for item in seen} == {"scan"} and (seen[-1].done, seen[-1].total) == (3, 3)
