"""The shipped sample scenes: reproducible, complete, small, and not solvable by colour alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.cluster import MiniBatchKMeans

SAMPLES = Path(__file__).resolve().parents[1] / "sample_data"
COUNT, SIZE, CLASSES = 48, (320, 240), 8


@pytest.fixture(scope="module")
def generate():
    """Return the generator module, imported the way the plain script finds its siblings."""
    sys.path.insert(0, str(SAMPLES))
    try:
        import generate as module

        yield module
    finally:
        sys.path.remove(str(SAMPLES))


@pytest.fixture(scope="module")
def shipped() -> tuple[list[Path], list[Path]]:
    """Return the paths of the shipped images and masks, in order."""
    return sorted((SAMPLES / "images").glob("*.jpg")), sorted((SAMPLES / "masks").glob("*.png"))


@pytest.fixture(scope="module")
def truth(shipped) -> np.ndarray:
    """Return all shipped masks, (scenes, height, width)."""
    return np.stack([np.asarray(Image.open(path)) for path in shipped[1]])


def test_same_seed_and_index_give_the_same_scene(generate) -> None:
    """A scene can be made again alone: rendering twice is identical in every pixel."""
    first, second = generate.render(7, 3, (96, 64)), generate.render(7, 3, (96, 64))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize("other", [(7, 3 + 16), (8, 3)])
def test_other_index_or_seed_gives_another_scene(generate, other: tuple[int, int]) -> None:
    """Scenes of the same recipe differ when the index or the seed differs."""
    first, second = generate.render(7, 3, (96, 64)), generate.render(*other, (96, 64))
    assert (first[0] != second[0]).mean() > 0.5
    assert (first[1] != second[1]).any()


def test_every_recipe_renders_small_and_wide_pictures(generate) -> None:
    """No recipe depends on the default size: every one fills an odd-shaped picture with known classes."""
    for index in sorted({generate.RECIPES.index(recipe) for recipe in generate.RECIPES}):
        image, mask = generate.render(1, index, (112, 64))
        assert image.shape == (64, 112, 3) and mask.shape == (64, 112)
        assert image.dtype == mask.dtype == np.uint8 and mask.max() < CLASSES


def test_shipped_scene_regenerates_to_the_identical_mask(generate, shipped) -> None:
    """The shipped files come from the shipped script: scene 0 of seed 0 has exactly the shipped mask."""
    image, mask = generate.render(0, 0)
    np.testing.assert_array_equal(mask, np.asarray(Image.open(shipped[1][0])))
    stored = np.asarray(Image.open(shipped[0][0]), np.float32)
    assert np.abs(stored - image).mean() < 6.0  # the difference is JPEG's


def test_shipped_set_is_complete_and_small(shipped) -> None:
    """Every image has its mask, and the whole folder stays under 4 MB."""
    images, masks = shipped
    assert len(images) == COUNT
    assert [path.stem for path in images] == [path.stem for path in masks]
    files = (path for path in SAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert sum(path.stat().st_size for path in files) < 4_000_000


def test_shipped_files_have_the_stated_size_and_mode(shipped) -> None:
    """Images are 320x240 RGB without chroma subsampling, masks 320x240 single-channel."""
    for path in shipped[0]:
        with Image.open(path) as image:
            assert (image.size, image.mode) == (SIZE, "RGB")
            assert {layer[1:3] for layer in image.layer} == {(1, 1)}
    for path in shipped[1]:
        with Image.open(path) as mask:
            assert (mask.size, mask.mode) == (SIZE, "L")


def test_masks_hold_all_classes_and_nothing_else(truth: np.ndarray) -> None:
    """Ids are 0..7, each class covers at least 1 % of the set, and no single one covers most of it."""
    share = np.bincount(truth.ravel(), minlength=CLASSES) / truth.size
    assert len(share) == CLASSES
    assert share.min() > 0.01 and share.max() < 0.4


def test_class_lists_agree() -> None:
    """classes.txt and classes.json name the same eight classes in id order, with distinct colours."""
    names = (SAMPLES / "classes.txt").read_text().split()
    listed = json.loads((SAMPLES / "classes.json").read_text())["classes"]
    assert names == ["sky", "mountain", "water", "grass", "tree", "road", "building", "vehicle"]
    assert [(entry["id"], entry["name"]) for entry in listed] == list(enumerate(names))
    assert len({entry["color"] for entry in listed}) == CLASSES


def test_colour_alone_does_not_solve_the_set(shipped, truth: np.ndarray) -> None:
    """Twelve colour clusters, each named by its commonest class, stay below 75 % of the pixels."""
    pixels = np.stack([np.asarray(Image.open(path).convert("LAB")) for path in shipped[0]]).reshape(-1, 3)
    chosen = np.random.default_rng(0).choice(len(pixels), 40_000, replace=False)
    sample = pixels[chosen].view(np.int8).astype(np.float32)  # a and b are signed
    sample[:, 0] = pixels[chosen][:, 0] / 2.55
    labels = MiniBatchKMeans(12, n_init=3, random_state=0, batch_size=4096).fit_predict(sample)
    table = np.zeros((12, CLASSES), np.int64)
    np.add.at(table, (labels, truth.ravel()[chosen]), 1)
    assert table.max(axis=1).sum() / len(chosen) < 0.75


def test_script_runs_from_another_folder(tmp_path: Path) -> None:
    """The command line works from anywhere and leaves only whole files behind."""
    command = [sys.executable, str(SAMPLES / "generate.py"), "--out", str(tmp_path / "set"), "--count", "1"]
    subprocess.run([*command, "--size", "96x64"], cwd=tmp_path, check=True, capture_output=True)
    written = sorted(str(p.relative_to(tmp_path / "set")) for p in (tmp_path / "set").rglob("*") if p.is_file())
    assert written == ["classes.json", "classes.txt", "images/scene_000.jpg", "masks/scene_000.png"]


def test_impossible_sizes_are_refused_in_words(tmp_path: Path) -> None:
    """A size that is not WIDTHxHEIGHT ends with a usage message, not a traceback."""
    command = [sys.executable, str(SAMPLES / "generate.py"), "--out", str(tmp_path), "--size", "big"]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 2 and "--size" in run.stderr and "Traceback" not in run.stderr
