"""Supervised: cross-entropy by hand, ignored pixels, class weights, what it starts from, what it reaches."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from picie_core.data.labelled_sets.class_pixels import ClassPixels
from picie_core.errors import PicieError
from picie_core.models.classifier_head import Head, load_head, save_head
from picie_core.training.losses.objective import Step
from picie_core.training.losses.supervised import Supervised
from picie_core.training.settings import TrainSettings
from picie_core.workspace.trainings.training_epochs import store_head
from tests.small_trainings import check_resume, masks_of_scenes, same, start_training

CPU = torch.device("cpu")
DIM, K = 6, 3
GOOD_RATES = {"lr_backbone": 1e-3, "lr_decoder": 1e-3, "lr_head": 3e-2}


def objective_of(temperature: float = 0.5) -> Supervised:
    """The objective with 3 classes."""
    return Supervised(TrainSettings(k=K, temperature=temperature, balance=0.0), DIM, 0, CPU)


def maps_and_masks(side: int = 4, mask_side: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """(2, D, h, w) unit embeddings, and masks (2, H, W) with a fifth of the pixels ignored."""
    generator = torch.Generator().manual_seed(0)
    maps = F.normalize(torch.randn(2, DIM, side, side, generator=generator), dim=1)
    masks = torch.randint(0, K, (2, mask_side, mask_side), generator=generator)
    masks[torch.rand(masks.shape, generator=generator) < 0.2] = 255
    return maps.requires_grad_(), masks


# -- loss


def test_equals_cross_entropy_by_hand():
    """At the size of the masks: the plain mean of -log softmax over the pixels that count, and their share right."""
    objective, (maps, masks) = objective_of(), maps_and_masks()
    found = objective.loss(Step([maps], masks=masks))
    rows = maps.permute(0, 2, 3, 1).reshape(-1, DIM)
    logits, truth = objective.classifier(rows / 0.5), masks.flatten()
    torch.testing.assert_close(found.total, F.cross_entropy(logits, truth, ignore_index=255))
    counted = truth != 255
    assert 0 < counted.sum() < len(truth)
    right = (logits.argmax(1) == truth)[counted].float().mean()
    torch.testing.assert_close(found.parts["accuracy"], right)
    assert torch.equal(found.label_counts, torch.bincount(logits.argmax(1), minlength=K))


def test_class_weights_by_hand():
    """With balance -1 every class weighs the inverse of its share of the pixels of all masks."""
    objective, (maps, masks) = Supervised(TrainSettings(k=K, balance=-1), DIM, 0, CPU), maps_and_masks()
    objective.start_from(np.array([60, 30, 10]), None)
    found = objective.loss(Step([maps], [maps.detach()], masks)).total
    rows = maps.permute(0, 2, 3, 1).reshape(-1, DIM)
    weights = torch.tensor([1 / 0.6, 1 / 0.3, 1 / 0.1])
    expected = F.cross_entropy(objective.classifier(rows / 0.1), masks.flatten(), weights, ignore_index=255)
    torch.testing.assert_close(found, expected)


def test_it_starts_from_a_classifier():
    """Its labels are at first those of the classifier that it was given, whatever the temperature."""
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(K, DIM)).astype(np.float32), rng.normal(size=K).astype(np.float32))
    objective = objective_of(temperature=0.25)
    objective.start_from(np.array([1, 1, 1]), head)
    z = F.normalize(torch.from_numpy(rng.normal(size=(100, DIM))).float(), dim=1)
    expected = (z.numpy() @ head.weight.T + head.bias).argmax(1)
    np.testing.assert_array_equal(objective.label(z).numpy(), expected)


def test_scores_grow_to_the_size_of_the_masks():
    """Masks of four times the side: scores are brought there bilinearly, as in the evaluation, before they count."""
    objective, (maps, masks) = objective_of(), maps_and_masks(4, 16)
    found = objective.loss(Step([maps], masks=masks))
    logits = objective.classifier(maps.permute(0, 2, 3, 1) / 0.5).permute(0, 3, 1, 2)
    full = F.interpolate(logits, (16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found.total, F.cross_entropy(full, masks, ignore_index=255))


def test_ignored_pixels_pull_at_nothing():
    """Embeddings under ignored pixels get no gradient; the others and the classifier do."""
    objective, (maps, masks) = objective_of(), maps_and_masks()
    objective.loss(Step([maps], masks=masks)).total.backward()
    pulled = maps.grad.abs().sum(1) > 0
    assert torch.equal(pulled, masks != 255)
    assert all(parameter.grad.abs().sum() > 0 for parameter in objective.parameters())


def test_nothing_to_learn_from_is_no_error():
    """All pixels ignored, or no image of the step readable: the loss is 0 and moves nothing."""
    objective, (maps, masks) = objective_of(), maps_and_masks()
    for step in (
        Step([maps], masks=torch.full_like(masks, 255)),
        Step([maps[:0]]),
    ):
        found = objective.loss(step)
        assert float(found.total.detach()) == 0 and float(found.parts["accuracy"]) == 0
        objective.classifier.zero_grad()
        found.total.backward()
        assert not objective.classifier.weight.grad.any()


# -- the classifier that it leaves


def test_the_stored_classifier_scores_unit_embeddings(finished, tmp_path):
    """head.npz gives the same classes as the objective, its temperature included, and knows their names."""
    work = start_training(finished, "supervised", masks_of_scenes(finished), epochs=1, temperature=0.25)
    list(work.epochs())
    pixels = ClassPixels(("smooth", "striped", "noisy"), np.array([5, 5, 5]))
    store_head(tmp_path / "head.npz", work, pixels)
    head = load_head(tmp_path / "head.npz")
    z = F.normalize(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    said = (z.numpy() @ head.weight.T + head.bias).argmax(1)
    np.testing.assert_array_equal(said, work.objective.label(z).numpy())
    assert head.class_names == ("smooth", "striped", "noisy")


@pytest.mark.parametrize("left", [0, 10, -30])
def test_a_damaged_classifier_says_what_to_do(tmp_path, left):
    """Empty, cut off or missing: one sentence with the remedy."""
    path = tmp_path / "head.npz"
    with pytest.raises(PicieError, match=r"no classifier at .*: only trainings with mdc, iic, supervised or probe"):
        load_head(path)
    save_head(Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32)), path)
    assert load_head(path).class_names == ()
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(PicieError, match=r"cannot be read as a classifier .*: train again"):
        load_head(path)


# -- trainings


def pixel_accuracy(work, space) -> float:
    """Share of the stride-4 cells of all scenes that get their class from the training as it stands."""
    read = masks_of_scenes(space)
    work.embedder.eval()
    right = []
    for image_id in work.image_ids:
        image = torch.from_numpy(space.read_image(image_id)).permute(2, 0, 1)[None]
        with torch.no_grad():
            z = work.embedder(image)[0]
        labels = work.objective.label(z.flatten(1).T).view(z.shape[1:]).numpy()
        right.append(labels == read(image_id)[2::4, 2::4])
    return float(np.mean(right))


def test_supervised_learns_the_classes(finished):
    """Twenty epochs over six scenes: more than nine pixels in ten are right, and loss and accuracy say so."""
    work = start_training(finished, "supervised", masks_of_scenes(finished), epochs=20, **GOOD_RATES)
    records = list(work.epochs())
    assert pixel_accuracy(work, finished) > 0.9
    assert records[-1].parts["accuracy"] > 0.8 > records[0].parts["accuracy"]
    assert records[-1].loss < 0.5 * records[0].loss


def test_images_without_a_mask_teach_nothing(finished):
    """Where half of the images have no mask, the training is the one in which these masks are all ignored."""
    read = masks_of_scenes(finished)

    def half(image_id: int) -> np.ndarray | None:
        return read(image_id) if image_id % 2 else None

    def half_ignored(image_id: int) -> np.ndarray:
        return read(image_id) if image_id % 2 else np.full_like(read(image_id), 255)

    one, two = (start_training(finished, "supervised", masks, epochs=1) for masks in (half, half_ignored))
    assert [record.loss for record in one.epochs()] == [record.loss for record in two.epochs()]
    assert same(one.objective.state(), two.objective.state())


@pytest.mark.parametrize("stop_after", [2, 3])
def test_resumed_equals_uninterrupted(finished, tmp_path, stop_after):
    """Stopped inside an epoch and at its end: the same weights, classifier and figures."""
    check_resume(finished, tmp_path, "supervised", stop_after, masks_of_scenes(finished))


# -- what may be missing or wrong


@pytest.mark.parametrize("method", ["supervised", "probe"])
def test_masks_have_to_be_given(finished_copy, tiny, say, method):
    """Without masks the message says which option is missing, and no run is left behind."""
    before = len(finished_copy.runs())
    said = say("train", "--workspace", finished_copy.root, *tiny, "--method", method, "--device", "cpu")
    assert said.code == 1
    assert f"method={method} learns from masks: give --masks DIR" in said.err
    assert len(finished_copy.runs()) == before


@pytest.mark.parametrize("method", ["picie", "mdc", "iic"])
def test_masks_are_not_taken_in_silence(finished_copy, scenes, tiny, say, method):
    """A method that learns without labels refuses masks instead of leaving them aside."""
    options = ("--method", method, "--masks", scenes / "masks", "--device", "cpu")
    said = say("train", "--workspace", finished_copy.root, *tiny, *options)
    assert said.code == 1
    assert re.search(f"method={method} uses no masks: leave --masks out, or give --method supervised", said.err)


def masked_copy(scenes: Path, root: Path, bad_id: int | None = None) -> Path:
    """A folder of the masks of the scenes with the names of their classes; one mask may hold an id of no class."""
    shutil.copytree(scenes / "masks", root / "masks")
    (root / "masks" / "classes.txt").write_text("smooth\nstriped\nnoisy\n")
    if bad_id is not None:
        truth = np.array(Image.open(root / "masks" / "scene-2.png"))
        truth[0, 0] = bad_id
        Image.fromarray(truth).save(root / "masks" / "scene-2.png")
    return root / "masks"


def test_ids_of_no_class_stop_the_training(finished_copy, scenes, tiny, say, tmp_path):
    """The file and the ids are named, with the ids that are known; no traceback."""
    masks = masked_copy(scenes, tmp_path, bad_id=7)
    options = ("--method", "supervised", "--masks", masks, "--epochs", 1, "--device", "cpu")
    said = say("train", "--workspace", finished_copy.root, *tiny, *options)
    assert said.code == 1 and "Traceback" not in said.err
    assert re.search(r"scene-2.png has the ids 7, known are 0 to 2, 255: mend the mask", said.err)


@pytest.mark.parametrize(("method", "title"), [("supervised", "Supervised, 1 epoch"), ("probe", "Linear probe")])
def test_the_command_leaves_a_named_classifier(finished_copy, scenes, tiny, say, tmp_path, method, title):
    """A run with the classes of the masks: its K is their number whatever --k says, its head knows their names."""
    options = ("--method", method, "--masks", masked_copy(scenes, tmp_path), "--epochs", 1, "--device", "cpu", "--json")
    said = say("train", "--workspace", finished_copy.root, *tiny, *options)
    assert said.code == 0, said.err
    run = json.loads(said.out)["run"]
    assert finished_copy.run_info(run).title == title
    assert re.fullmatch(f"{method}-[0-9a-f]{{4}}", run)  # its K is the number of classes of the masks
    head = load_head(finished_copy.run_dir(run) / "head.npz")
    assert head.class_names == ("smooth", "striped", "noisy") and head.weight.shape == (3, 32)
