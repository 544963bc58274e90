"""Folders and zips from elsewhere: nothing outside of them is read, and nothing that would fill the memory."""

from __future__ import annotations

import os
import zipfile

import pytest

from picie_core.errors import PicieError, SettingError
from picie_core.export.readers.file_tree import MAX_RATIO, RATIO_FROM_BYTES, open_tree
from tests.export.readers.small_files import write, zipped


def test_a_folder_and_a_zip_hold_the_same_files(tmp_path):
    """Hidden files and what macOS adds to zips are left out."""
    files = {"b/c.txt": "c", "a.txt": "a", "ü/ö.txt": "ö"}
    hidden = {".x/a.txt": "", "__MACOSX/._a.txt": "", "b/.DS_Store": ""}
    folder = open_tree(write(tmp_path / "f", files | {".x/a.txt": "", "b/.DS_Store": ""}))
    packed = open_tree(zipped(tmp_path / "f.zip", files | hidden))
    for tree in (folder, packed):
        assert tree.names == ("a.txt", "b/c.txt", "ü/ö.txt")
        assert {name: tree.read(name).decode() for name in tree.names} == files


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:/evil.png", "..\\evil.png"])
def test_a_zip_with_a_path_out_of_it_is_refused(tmp_path, name):
    path = tmp_path / "f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, "x")
    with pytest.raises(PicieError, match="leads out of it: it is not read"):
        open_tree(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "f.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb.json", "w") as file:
        for _ in range(RATIO_FROM_BYTES // (1 << 20) + 1):
            file.write(bytes(1 << 20))
    assert RATIO_FROM_BYTES / path.stat().st_size > MAX_RATIO
    with pytest.raises(PicieError, match=r"bomb\.json in .* would unpack from [\d,]+ to 68,157,440 bytes: it is not"):
        open_tree(path).read("bomb.json")


def test_damaged_and_encrypted_zips_are_told(tmp_path):
    path = zipped(tmp_path / "f.zip", {"a.txt": "some text that is packed " * 20})
    data = bytearray(path.read_bytes())
    data[45] ^= 0xFF
    (tmp_path / "g.zip").write_bytes(data)
    with pytest.raises(PicieError, match=r"a\.txt in .*g\.zip is damaged"):
        open_tree(tmp_path / "g.zip").read("a.txt")
    (tmp_path / "h.zip").write_bytes(bytes(path.read_bytes()[:60]))
    with pytest.raises(PicieError, match="is no zip or a damaged one"):
        open_tree(tmp_path / "h.zip")
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    (tmp_path / "i.zip").write_bytes(data)
    with pytest.raises(PicieError, match="is encrypted: unpack it and give the folder"):
        open_tree(tmp_path / "i.zip")


def test_links_that_lead_out_of_a_folder_are_left_out(tmp_path):
    write(tmp_path, {"f/a.txt": "a", "secret.txt": "s", "secrets/b.txt": "b"})
    os.symlink(tmp_path / "secret.txt", tmp_path / "f" / "link.txt")
    os.symlink(tmp_path / "secrets", tmp_path / "f" / "links")
    os.symlink(tmp_path / "f" / "a.txt", tmp_path / "f" / "inside.txt")
    os.symlink(tmp_path / "gone", tmp_path / "f" / "nowhere.txt")
    assert open_tree(tmp_path / "f").names == ("a.txt", "inside.txt")


def test_a_folder_that_is_there_twice_has_to_be_named(tmp_path):
    tree = open_tree(write(tmp_path, {"x/masks/a.png": "", "y/masks/a.png": ""}))
    with pytest.raises(SettingError, match=r"holds masks/ several times \(in x/, y/\): give one of these folders"):
        tree.below("masks")
