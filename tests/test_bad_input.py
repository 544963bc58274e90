"""Whatever a person hands in becomes a usable image, a listed reason or an error with a remedy; never a traceback."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import run_command
from picie_core.workspace.workspace import Workspace

USABLE = {
    "good 0.png": (96, 64),
    "good 1.png": (96, 64),
    "good 2.png": (96, 64),
    "grey.png": (96, 64),
    "rgba.png": (96, 64),
    "palette.png": (96, 64),
    "cmyk.jpg": (96, 64),
    "deep.png": (96, 64),
    "turned.jpg": (64, 96),
    "animated.gif": (96, 64),
    "wide.png": (20_000, 16),
    "ü 画像 🌲/same.png": (96, 64),
    "z/same.png": (96, 64),
    "z/same.jpg": (96, 64),
}
"""Path -> upright (width, height) of what has to be embedded."""
LISTED = {
    "text.jpg": "not an image file",
    "truncated.jpg": "truncated",
    "header only.png": "damaged|truncated",
    "empty.png": "empty file (0 bytes)",
    "1x1.png": "1x1 pixels: the shorter side needs at least 16",
}
"""Path -> what the reason has to say."""


def write_odd_files(root: Path, scene: Image.Image) -> None:
    """Fills a folder with every kind of file of the two lists above."""
    for name in ("good 0.png", "good 1.png", "good 2.png", "z/same.png", "z/same.jpg", "ü 画像 🌲/same.png"):
        (root / name).parent.mkdir(exist_ok=True)
        scene.save(root / name)
    for mode, name in (("L", "grey.png"), ("RGBA", "rgba.png"), ("P", "palette.png"), ("CMYK", "cmyk.jpg")):
        scene.convert(mode).save(root / name)
    Image.fromarray(np.asarray(scene.convert("L")).astype(np.uint16) * 257).save(root / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    scene.save(root / "turned.jpg", exif=exif)
    scene.save(root / "animated.gif", save_all=True, append_images=[scene.rotate(180)])
    Image.effect_noise((20_000, 16), 40).save(root / "wide.png")
    (root / "text.jpg").write_text("this is no picture")
    stored = io.BytesIO()
    scene.save(stored, "jpeg", quality=95)
    (root / "truncated.jpg").write_bytes(stored.getvalue()[: len(stored.getvalue()) // 2])
    (root / "header only.png").write_bytes((root / "good 0.png").read_bytes()[:20])
    (root / "empty.png").touch()
    scene.resize((1, 1)).save(root / "1x1.png")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, scenes: Path) -> Path:
    """A folder of odd and good files, embedded into the workspace beside it."""
    root = tmp_path_factory.mktemp("odd")
    (root / "in").mkdir()
    with Image.open(scenes / "images" / "scene-0.png") as scene:
        write_odd_files(root / "in", scene.convert("RGB"))
    options = ["--weights", "none", "--size", "64", "--pixels", "2000", "--dim", "16", "--batch", "4"]
    assert run_command(COMMANDS, ["embed", str(root / "in"), "--workspace", str(root / "w"), *options]) == 0
    assert run_command(COMMANDS, ["cluster", "--workspace", str(root / "w"), "--k", "4"]) == 0
    return root


def left_over(root: Path) -> list[Path]:
    """Temporary files and folders that a failed write left."""
    return [path for path in root.rglob("*") if path.suffix in (".tmp", ".old")]


# -- files


def test_every_odd_file_is_embedded_or_listed(odd, say):
    """One folder with everything: usable images are in the sample, the others are listed with their reason."""
    space = Workspace.open(odd / "w")
    listed = space.image_list()
    assert {record.path: (record.width, record.height) for record in listed.readable} == USABLE
    result = json.loads(say("info", "--workspace", odd / "w", "--json").out)
    reasons = {row["file"]: row["reason"] for row in result["unreadable"]}
    assert set(reasons) == set(LISTED)
    for path, words in LISTED.items():
        assert any(word in reasons[path] for word in words.split("|")), reasons[path]
    run = space.current_run()
    ids = [record.id for record in listed.readable]
    assert np.unique(run.sample().positions[:, 0]).tolist() == ids
    assert run.dense_features().ids.tolist() == ids


def test_odd_images_get_masks_of_their_own_size(odd, say, tmp_path):
    """Masks of all usable images, the 20,000 pixel one and the turned one too, have the upright size."""
    said = say("export", "--workspace", odd / "w", "--out", tmp_path / "out", "--raw", "--json")
    assert said.code == 0, said.err
    sizes = [Image.open(path).size for path in (tmp_path / "out" / "masks").rglob("*.png")]
    assert sorted(sizes) == sorted(USABLE.values())


def test_odd_images_train(odd, say, tmp_path):
    """Training takes the same folder: images of any shape, and a problem that only decoding shows."""
    shutil.copytree(odd / "w", tmp_path / "w")
    options = ("--weights", "none", "--size", "64", "--pixels", "500", "--dim", "16", "--k", 3, "--epochs", 1)
    said = say("train", odd / "in", "--workspace", tmp_path / "w", *options, "--cluster-images", 20, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["images"] == len(USABLE)


# -- folders


@pytest.mark.parametrize("command", ["embed", "train"])
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no images under"),
        ({"notes.txt": b"x", ".hidden.png": b"x"}, "no images under"),
        ({"a.jpg": b"text", "b.png": b""}, "2 files found, none can be used; the first: a.jpg: not an image file"),
    ],
)
def test_a_folder_without_images(tmp_path, say, tiny, command, files, message):
    """Empty, without images, without usable images: code 1, and what was looked for or the first reason."""
    (tmp_path / "in").mkdir()
    for name, data in files.items():
        (tmp_path / "in" / name).write_bytes(data)
    said = say(command, tmp_path / "in", "--workspace", tmp_path / "w", *tiny)
    assert (said.code, said.out) == (1, "")
    assert message in said.err and str(tmp_path / "in") in said.err
    assert "Traceback" not in said.err


def test_only_files_that_cannot_be_decoded(tmp_path, say, tiny, scenes):
    """Headers are fine, pixels are not, in every file: both commands say so instead of dividing by zero."""
    (tmp_path / "in").mkdir()
    data = (scenes / "images" / "scene-0.png").read_bytes()
    (tmp_path / "in" / "a.png").write_bytes(data[:200])
    for command in ("embed", "train"):
        said = say(command, tmp_path / "in", "--workspace", tmp_path / command, *tiny)
        assert said.code == 1
        assert "no image could be read: see `info` for the reason of each" in said.err
        assert "a.png" in say("info", "--workspace", tmp_path / command).out


def test_a_folder_that_may_not_be_read(tmp_path, say, tiny, scenes, monkeypatch):
    """A sub-folder without permission is listed; the rest is embedded. No permission at all is an error."""
    shutil.copytree(scenes / "images", tmp_path / "in")
    (tmp_path / "in" / "locked").mkdir()
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).rstrip("/").endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    # Stands for chmod 000, which does not stop the root user that tests may run as.
    monkeypatch.setattr(os, "scandir", guarded)
    said = say("embed", tmp_path / "in", "--workspace", tmp_path / "w", *tiny, "--json")
    assert json.loads(said.out)["images"] == 6
    said = say("info", "--workspace", tmp_path / "w")
    assert "file locked  reason folder cannot be read (Permission denied): allow reading it" in said.out
    said = say("embed", tmp_path / "in" / "locked", "--workspace", tmp_path / "w2", *tiny)
    assert said.code == 1
    assert "cannot be read (Permission denied)" in said.err


# -- disk


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to let any file grow beyond `size` bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("size", "what"), [(100, "workspace.json"), (60_000, "dense"), (300_000, "embedder"), (11_500_000, None)]
)
def test_embed_on_a_full_disk(tmp_path, say, tiny, scenes, size, what):
    """Wherever the disk fills up: the file, the reason and a remedy; nothing half-written; then it works again."""
    words = ("embed", scenes / "images", "--workspace", tmp_path / "w", *tiny)
    with largest_file(size):
        said = say(*words)
    assert said.code == (1 if what else 0), said.err
    if what:
        assert f"{what}: File too large; free some space or choose another disk" in said.err.splitlines()[-1]
        assert "Traceback" not in said.err
    assert left_over(tmp_path) == []
    assert say(*words).code == 0


def test_train_and_cluster_on_a_full_disk(finished_copy, say, tiny):
    """No room for a checkpoint or a clustering: said, and what was there before stays whole."""
    space = finished_copy
    with largest_file(20_000_000):
        said = say("train", "--workspace", space.root, *tiny, "--k", 4, "--epochs", 1)
    assert said.code == 1
    assert "checkpoint.pt: File too large; free some space" in said.err
    with largest_file(50_000):
        said = say("cluster", "--workspace", space.root, "--k", 500)
    assert said.code == 1
    assert "k500-s0: No space left on device; free some space" in said.err
    assert left_over(space.root) == []
    assert [run.state for run in space.runs()] == ["failed", "done"]
    assert say("cluster", "--workspace", space.root, "--k", 500).code == 0


# -- workspaces and weights


@pytest.mark.parametrize(
    "command", ["embed", "train", "cluster", "project", "label export", "export", "evaluate", "info"]
)
def test_a_workspace_of_a_newer_version(finished_copy, say, tmp_path, command):
    """Every command refuses it with the file, both versions and the remedy, and leaves it alone."""
    path = finished_copy.root / "workspace.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 7}))
    more: dict[str, tuple[object, ...]] = {
        "label export": (tmp_path / "x.json",),
        "export": ("--out", tmp_path / "x"),
        "evaluate": ("--images", tmp_path, "--masks", tmp_path),
    }
    said = say(*command.split(), *more.get(command, ()), "--workspace", finished_copy.root)
    assert (said.code, said.out) == (1, "")
    assert f"{command}: {path} has version 7, this program reads up to 1: update the program" in said.err


def test_a_workspace_that_is_being_written(finished_copy, say, tiny):
    """embed and train wait for nobody: the message says who writes; reading and clustering go on."""
    with finished_copy.writer_lock("embed"):
        for command in ("embed", "train"):
            said = say(command, "--workspace", finished_copy.root, *tiny)
            assert said.code == 1
            assert "is being written by another process: wait for it or stop it" in said.err
        assert say("cluster", "--workspace", finished_copy.root, "--k", 3).code == 0
        assert say("info", "--workspace", finished_copy.root).code == 0


def test_weights_that_do_not_fit(tmp_path, say, scenes):
    """Text, nothing, the weights of another network: code 1 with the remedy, before anything is computed."""
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("text.pth", "absent.pth"):
        words = ("--weights", tmp_path / name, "--size", 64)
        said = say("embed", scenes / "images", "--workspace", tmp_path / "w", *words)
        assert said.code == 1
        assert name in said.err and "state dict" in said.err and "Traceback" not in said.err
    assert Workspace.open(tmp_path / "w").runs() == []


@pytest.mark.parametrize(("k", "code"), [(0, 2), (1, 0), (600, 0), (601, 2)])
def test_k_at_its_limits(finished_copy, say, k: int, code: int):
    """K = 1 and K = all sampled pixels are clusterings; 0 and one more are wrong usage."""
    said = say("cluster", "--workspace", finished_copy.root, "--k", k, "--json")
    assert said.code == code, said.err
    assert (json.loads(said.out)["k"] == k) if code == 0 else (f"k={k} " in said.err)
