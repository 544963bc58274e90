"""A workspace of a data set's split or curated list: nothing else of its folder is looked at, trained on or shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from picie_core.data.images.image_selection import read_selection, store_selection
from picie_core.errors import PicieError
from picie_core.workspace.workspace import Workspace

TRAINED = [9, 25, 30, 34]
LISTED = ["train2017/000000000009.jpg", "train2017/000000000030.jpg", "train2017/000000000034.jpg"]
ON_CPU = ("--precision", "32-true", "--device", "cpu")


@pytest.fixture
def coco(scenes: Path, tmp_path: Path) -> Path:
    """Scenes in a tree with the public layout of COCO-Stuff: four to train on, two to evaluate on."""
    root = tmp_path / "coco"
    for i, number in enumerate([*TRAINED, 139, 285]):
        split = "train2017" if number in TRAINED else "val2017"
        for folder in ("images", "annotations"):
            (root / folder / split).mkdir(parents=True, exist_ok=True)
        with Image.open(scenes / "images" / f"scene-{i}.png") as image:
            image.save(root / "images" / split / f"{number:012}.jpg", quality=95)
        with Image.open(scenes / "masks" / f"scene-{i}.png") as mask:
            mask.save(root / "annotations" / split / f"{number:012}.png")
    (root / "list.txt").write_text("9\n30\n34\n")
    return root


def words(coco: Path) -> tuple[object, ...]:
    """The options that name the curated list."""
    return "--dataset", "cocostuff", "--root", coco, "--list", coco / "list.txt"


def test_embed_takes_the_listed_images(coco, tmp_path, tiny, say):
    """The image list and the embedding sample hold the listed images, also after another scan by another command."""
    assert say("embed", *words(coco), "--workspace", tmp_path / "w", *tiny, "--device", "cpu").code == 0
    space = Workspace.open(tmp_path / "w")
    assert [record.path for record in space.image_list().readable] == LISTED
    assert set(space.current_run().sample().positions[:, 0].tolist()) == {0, 1, 2}
    assert say("embed", "--workspace", tmp_path / "w", *tiny, "--seed", 1, "--device", "cpu").code == 0
    assert [record.path for record in space.image_list().records] == LISTED


def test_supervised_learns_from_the_truth_of_the_set(coco, tmp_path, tiny, say):
    """Without --masks the annotations of the split are used, as the coarse classes of the set."""
    space = Workspace.create(tmp_path / "w", coco / "images")
    said = say("train", *words(coco), "--workspace", space.root, "--method", "supervised", *tiny, *ON_CPU,
               "--epochs", 1, "--json")  # fmt: skip
    assert said.code == 0, said.err
    run = space.current_run()
    assert [record.path for record in space.image_list().readable] == LISTED
    assert run.info.settings["data"]["kind"] == "cocostuff"
    whole = say("evaluate", "--workspace", space.root, "--dataset", "cocostuff", "--root", coco, "--head", "--json")
    assert whole.code == 0, whole.err


def test_a_workspace_keeps_to_its_choice(coco, tmp_path, tiny, say):
    """Another list, and a choice for a workspace of all images, are refused with nothing changed."""
    assert say("embed", *words(coco), "--workspace", tmp_path / "w", *tiny, "--device", "cpu").code == 0
    (coco / "list.txt").write_text("25\n")
    said = say("embed", *words(coco), "--workspace", tmp_path / "w", *tiny)
    assert said.code == 1
    assert "is a workspace of 3 chosen images, not of these 1: give a new --workspace" in said.err
    assert read_selection(tmp_path / "w") == frozenset(LISTED)
    assert say("embed", coco / "images", "--workspace", tmp_path / "all", *tiny, "--device", "cpu").code == 0
    with pytest.raises(PicieError, match="is a workspace of all images of its folder, not of a choice"):
        store_selection(tmp_path / "all", LISTED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--split", "train"), "give its --root DIR too"),
        (("--root", "r", "i"), "give one of them"),
        (("--root", "nowhere", "--dataset", "cityscapes"), "Expected for Cityscapes, below nowhere"),
    ],
)
def test_impossible_choices(tmp_path, say, options, message):
    """What is said twice or half is refused, and a tree without its parts is shown as it should be."""
    said = say("embed", "--workspace", tmp_path / "w", *options)
    assert said.code in (1, 2)
    assert message in said.err
    assert not (tmp_path / "w").exists()
