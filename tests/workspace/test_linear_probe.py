"""The linear probe of a workspace: from stored features or a pass, quick, refused early where masks teach nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.models.classifier_head import load_head
from picie_core.models.inference import embed_image
from picie_core.workspace.workspace import Run, Workspace

NAMES = "smooth\nstriped\nnoisy\n"
Change = Callable[[np.ndarray], np.ndarray]


def masks_in(root: Path, scenes: Path, change: Change = lambda mask: mask, names: str = NAMES) -> Path:
    """A folder of the masks of the scenes, each changed, with the names of their classes."""
    shutil.copytree(scenes / "masks", root / "masks")
    for path in (root / "masks").glob("*.png"):
        Image.fromarray(change(np.array(Image.open(path)))).save(path)
    if names:
        (root / "masks" / "classes.txt").write_text(names)
    return root / "masks"


def probe_of(workspace: Workspace, masks: Path, say: Callable, tiny: tuple[str, ...], *options: object) -> Run:
    """The run that the command makes."""
    words = ("train", "--workspace", workspace.root, *tiny, "--method", "probe", "--masks", masks, "--device", "cpu")
    said = say(*words, *options, "--json")
    assert said.code == 0, said.err
    return workspace.run(json.loads(said.out)["run"])


def right_share(run: Run, scenes: Path) -> float:
    """Share of the positions of all scenes whose class the classifier of a run finds."""
    head, engine, right = load_head(run.folder / "head.npz"), run.engine("cpu"), []
    for record in run.workspace.image_list().records:
        labels = head.scores(embed_image(engine, run.image_cache().get(record.id))).argmax(0)
        truth = np.array(Image.open(scenes / "masks" / record.path))
        right.append(labels == truth[2::4, 2::4])
    return float(np.mean(right))


def test_stored_features_give_what_a_pass_gives(finished_copy, scenes, tiny, say, tmp_path):
    """With the frozen run, and without it in another workspace: the same classifier, embedder and sample."""
    masks, frozen = masks_in(tmp_path, scenes), finished_copy.current_run()
    one = probe_of(finished_copy, masks, say, tiny)
    cells = [(run.folder / "dense" / "cells.i8").stat() for run in (frozen, one)]
    assert cells[0].st_ino == cells[1].st_ino  # stored once
    other = Workspace.create(tmp_path / "other", finished_copy.images_root)
    two = probe_of(other, masks, say, tiny)
    mine, theirs = (load_head(run.folder / "head.npz") for run in (one, two))
    np.testing.assert_array_equal(mine.weight, theirs.weight)
    np.testing.assert_array_equal(mine.bias, theirs.bias)
    assert one.info.sample["digest"] == two.info.sample["digest"] == frozen.info.sample["digest"]


def test_it_finds_the_classes(finished_copy, scenes, tiny, say, tmp_path):
    """Nine positions in ten are right on random weights; the run is in use, named, without epochs, and clusters."""
    run = probe_of(finished_copy, masks_in(tmp_path, scenes), say, tiny)
    assert right_share(run, scenes) > 0.9
    assert load_head(run.folder / "head.npz").class_names == tuple(NAMES.split())
    assert finished_copy.current_run().name == run.name
    assert (run.info.title, run.info.state, run.info.sample["converged"]) == ("Linear probe", "done", True)
    assert run.cluster(3).k == 3


def test_the_probe_of_another_run(finished_copy, scenes, tiny, say, tmp_path):
    """--start takes the embedder of that run, with its stored features."""
    start = finished_copy.current_run()
    run = probe_of(finished_copy, masks_in(tmp_path, scenes), say, tiny, "--start", start.name)
    assert (run.folder / "embedder" / "embedder.safetensors").read_bytes() == (
        start.folder / "embedder" / "embedder.safetensors"
    ).read_bytes()
    assert right_share(run, scenes) > 0.9


def test_features_of_other_settings_are_not_taken(finished_copy, scenes, tiny, say, tmp_path):
    """The frozen run has 32 dimensions: a probe with 16 embeds the images again."""
    run = probe_of(finished_copy, masks_in(tmp_path, scenes), say, tiny, "--dim", 16)
    assert load_head(run.folder / "head.npz").weight.shape == (3, 16)


def test_a_stopped_probe_is_made_again(finished_copy, scenes, tiny, say, tmp_path):
    """A run that was stopped before it had a classifier: --resume makes the same one as a run that was not."""
    masks = masks_in(tmp_path, scenes)
    whole = probe_of(finished_copy, masks, say, tiny)
    stopped = finished_copy.run_dir("probe-0000")
    stopped.mkdir()
    record = json.loads((whole.folder / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps({**record, "id": stopped.name, "state": "running", "sample": {}}))
    said = say("train", "--workspace", finished_copy.root, "--resume", stopped.name, "--device", "cpu")
    assert said.code == 0, said.err
    np.testing.assert_array_equal(load_head(stopped / "head.npz").weight, load_head(whole.folder / "head.npz").weight)


def test_supervised_starts_from_the_probe(finished_copy, scenes, tiny, say, tmp_path):
    """With all learning rates at 0 its classifier is the probe; in the paper's recipe it is not."""
    masks = masks_in(tmp_path, scenes)
    probe = load_head(probe_of(finished_copy, masks, say, tiny).folder / "head.npz")
    still = [word for rate in ("--lr-head", "--lr-decoder", "--lr-backbone") for word in (rate, 0)]
    options = ("--method", "supervised", "--masks", masks, "--epochs", 1, "--device", "cpu", "--json", *still)
    for more, same in (((), True), (("--head-start", "random"), False)):
        said = say("train", "--workspace", finished_copy.root, *tiny, *options, *more)
        assert said.code == 0, said.err
        head = load_head(finished_copy.run_dir(json.loads(said.out)["run"]) / "head.npz")
        assert np.allclose(head.weight, probe.weight, rtol=1e-4) == same


# -- what may be wrong with masks


def all_ignored(mask: np.ndarray) -> np.ndarray:
    return np.full_like(mask, 255)


def one_class(mask: np.ndarray) -> np.ndarray:
    return np.where(mask == 1, 1, 255).astype(np.uint8)


def half_the_size(mask: np.ndarray) -> np.ndarray:
    return mask[::2, ::2]


def with_seven(mask: np.ndarray) -> np.ndarray:
    return np.where(mask == 2, 7, mask).astype(np.uint8)


@pytest.mark.parametrize("method", ["supervised", "probe"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (all_ignored, "all pixels of the 6 masks"),
        (one_class, "show one class only (striped): a classifier needs pixels of two"),
        (half_the_size, "is 48 x 32, the image 96 x 64: give masks of the size of their images"),
        (with_seven, "has the ids 7, known are 0 to 2, 255"),
    ],
)
def test_refused_before_any_work_is_done(finished_copy, scenes, tiny, say, tmp_path, method, change, words):
    """One sentence, exit code 1, and no run is left behind."""
    before, masks = len(finished_copy.runs()), masks_in(tmp_path, scenes, change)
    options = ("--method", method, "--masks", masks, "--epochs", 1, "--device", "cpu")
    said = say("train", "--workspace", finished_copy.root, *tiny, *options)
    assert said.code == 1 and words in said.err and "Traceback" not in said.err
    assert len(finished_copy.runs()) == before


@pytest.mark.parametrize("method", ["supervised", "probe"])
def test_a_class_that_never_occurs_is_never_predicted(finished_copy, scenes, tiny, say, tmp_path, method):
    """Finite weights; the command says which class it is, and its score is the lowest everywhere."""
    masks = masks_in(tmp_path, scenes, names=NAMES + "water\n")
    options = ("--method", method, "--masks", masks, "--epochs", 1, "--device", "cpu", "--json")
    said = say("train", "--workspace", finished_copy.root, *tiny, *options)
    assert said.code == 0, said.err
    assert "shows water: the classifier never predicts it" in said.err
    run = finished_copy.run(json.loads(said.out)["run"])
    head = load_head(run.folder / "head.npz")
    assert np.isfinite(head.weight).all() and np.isfinite(head.bias).all()
    rows = np.asarray(run.sample().embeddings, np.float32)
    assert ((rows @ head.weight.T + head.bias).argmin(1) == 3).all()


def test_several_processes_are_refused(finished_copy, scenes, tiny, say, tmp_path):
    """A probe is one solver: the word comes before any worker starts."""
    options = ("--method", "probe", "--masks", masks_in(tmp_path, scenes), "--processes", 2)
    said = say("train", "--workspace", finished_copy.root, *tiny, *options)
    assert said.code == 2 and "processes=2 does not go with method=probe" in said.err
