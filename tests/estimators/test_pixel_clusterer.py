"""The whole method on arrays: the same clusters and masks as a workspace gives, in scikit-learn's manner."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from picie_core.data.images.image_file import ImageError
from picie_core.errors import SettingError
from picie_core.estimators.pixel_clusterer import PixelClusterer
from picie_core.evaluation.mask_metrics import evaluate
from picie_core.progress import Progress

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data" / "images"
SMALL = {"weights": "none", "image_size": 64, "n_pixels": 600, "batch_size": 4, "device": "cpu"}
"""Settings that fit the scenes in a second."""
OPTIONS = ("--weights", "none", "--pixels", 600, "--batch", 4, "--device", "cpu")
"""The same on the command line."""


@pytest.fixture(scope="module")
def arrays(scenes: Path) -> list[np.ndarray]:
    """The six scenes as uint8 RGB (H, W, 3)."""
    return [np.asarray(Image.open(path)) for path in sorted((scenes / "images").iterdir())]


@pytest.fixture(scope="module")
def fitted(arrays: list[np.ndarray]) -> PixelClusterer:
    """Fitted to the six scenes at K = 6; fitted once."""
    return PixelClusterer(6, **SMALL).fit(arrays)


def exported(root: Path, out: Path, say) -> list[np.ndarray]:
    """The cluster masks of a workspace, in the order of the names."""
    said = say("export", "--workspace", root, "--out", out, "--raw", "--device", "cpu")
    assert said.code == 0, said.err
    return [np.asarray(Image.open(path)) for path in sorted((out / "masks").glob("*.png"))]


def stored_centroids(root: Path, k: int) -> np.ndarray:
    """The centroids of the only clustering at K in a workspace."""
    (path,) = root.glob(f"runs/*/derived/*/k{k}-s0/centroids.npy")
    return np.load(path)


# -- the same as a workspace


@pytest.mark.parametrize("dense_mb", [0, 100])
def test_masks_of_the_sample_images_are_those_of_a_workspace(tmp_path, say, dense_mb):
    """Equal centroids, bit by bit, and equal masks; where the workspace keeps int8 features, up to their rounding."""
    (tmp_path / "images").mkdir()
    for path in sorted(SAMPLE.iterdir())[:8]:
        shutil.copy(path, tmp_path / "images")
    root, options = tmp_path / "work", (*OPTIONS, "--size", 96, "--dense-mb", dense_mb)
    assert say("embed", tmp_path / "images", "--workspace", root, *options).code == 0
    assert say("cluster", "--workspace", root, "--k", 12).code == 0
    estimator = PixelClusterer(12, **{**SMALL, "image_size": 96}).fit(tmp_path / "images")
    np.testing.assert_array_equal(estimator.cluster_centers_, stored_centroids(root, 12))
    expected = np.stack(exported(root, tmp_path / "out", say))
    masks = np.stack(estimator.predict(tmp_path / "images"))
    # Convolutions of another batch size round otherwise in bfloat16: 4 of 2.5 million pixels lie between two clusters.
    assert (masks == expected).mean() > (0.99999 if dense_mb == 0 else 0.98)


def test_a_training_is_that_of_a_workspace(scenes, arrays, tmp_path, say):
    """An epoch of PiCIE on arrays ends at the loss and the centroids of `train` on the same images."""
    options = (*OPTIONS, "--size", 64, "--k", 4, "--epochs", 1)
    assert say("train", scenes / "images", "--workspace", tmp_path / "work", *options).code == 0
    assert say("cluster", "--workspace", tmp_path / "work", "--k", 4).code == 0
    estimator = PixelClusterer(4, epochs=1, **SMALL).fit(arrays)
    (history,) = (tmp_path / "work" / "runs").glob("*/history.jsonl")
    assert [record["loss"] for record in estimator.history_] == [json.loads(history.read_text())["loss"]]
    np.testing.assert_array_equal(estimator.cluster_centers_, stored_centroids(tmp_path / "work", 4))
    frozen = PixelClusterer(4, **SMALL).fit(arrays)
    assert frozen.history_ == []
    assert not np.allclose(frozen.cluster_centers_, estimator.cluster_centers_)


# -- images in, masks out


def test_arrays_paths_and_a_folder_are_the_same(scenes, arrays, fitted):
    """However the images are handed over, clusters and masks are the same."""
    masks = fitted.predict(arrays)
    for images in (scenes / "images", str(scenes / "images"), sorted((scenes / "images").iterdir()), np.stack(arrays)):
        again = clone(fitted).fit(images)
        np.testing.assert_array_equal(again.cluster_centers_, fitted.cluster_centers_)
        np.testing.assert_array_equal(again.predict(images), masks)


def test_masks_tell_the_bands_of_the_scenes_apart(scenes, arrays, fitted):
    """Named by their majority, six clusters get eight in ten pixels of three classes right."""
    truth = [np.asarray(Image.open(path)) for path in sorted((scenes / "masks").iterdir())]
    assert evaluate(fitted.predict(arrays), truth).oracle.accuracy > 0.8


def test_images_of_any_size_have_masks_of_their_own(arrays, fitted):
    """A mask has the full size of its image and does not depend on the images beside it."""
    odd = [arrays[0][:50, :37], np.kron(arrays[1], np.ones((3, 2, 1), np.uint8)), arrays[2]]
    masks = fitted.predict(odd)
    assert [mask.shape for mask in masks] == [(50, 37), (192, 192), (64, 96)]
    assert {mask.dtype for mask in masks} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(fitted.predict(odd[::-1])[0], masks[2])
    np.testing.assert_array_equal(fitted.predict(arrays)[2], masks[2])
    assert PixelClusterer(300, **SMALL).fit_predict(arrays)[0].dtype == np.uint16


def test_features_and_masks_agree(arrays, fitted):
    """Feature maps are at stride 4 and of unit norm; their nearest centroids are the mask, but for borders."""
    maps = fitted.transform(arrays)
    assert {(one.shape, one.dtype) for one in maps} == {((16, 24, fitted.n_features_out_), np.dtype(np.float32))}
    np.testing.assert_allclose(np.linalg.norm(maps[0], axis=2), 1, atol=1e-3)
    nearest = np.kron((maps[0] @ fitted.cluster_centers_.T).argmax(2), np.ones((4, 4), int))
    assert (nearest == fitted.predict(arrays[:1])[0]).mean() > 0.85


def test_in_the_manner_of_scikit_learn(arrays, fitted):
    """Parameters, clones, pickles, fit and predict at once, seeds; before `fit` there is nothing to ask for."""
    assert clone(fitted).get_params() == fitted.get_params()
    masks = fitted.predict(arrays)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(arrays), masks)
    np.testing.assert_array_equal(clone(fitted).fit_predict(arrays), masks)
    np.testing.assert_array_equal(clone(fitted).fit_transform(arrays), fitted.transform(arrays))
    other = clone(fitted).set_params(random_state=1).fit(arrays)
    assert not np.allclose(other.cluster_centers_, fitted.cluster_centers_)
    for ask in (PixelClusterer().predict, PixelClusterer().transform):
        with pytest.raises(NotFittedError):
            ask(arrays)


def test_nothing_is_written_or_drawn(arrays, tmp_path, monkeypatch, capsys):
    """Fitting and predicting leave no file, not even a temporary one, and print nothing; progress is a function's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[Progress] = []
    PixelClusterer(4, progress=seen.append, **SMALL).fit_predict(arrays)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")
    assert list(dict.fromkeys(event.phase for event in seen)) == ["fit filters", "embed"]
    assert all(0 <= event.done <= event.total == 6 for event in seen)


# -- what is refused


def test_images_that_cannot_be_used(arrays, tmp_path):
    """No image, another type, a tiny one, a damaged file, a folder without images: each has its message."""
    estimator = PixelClusterer(4, **SMALL)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(arrays[0]).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:700])
    for images, kind, message in (
        ([], SettingError, "no images: give uint8 RGB arrays"),
        (tmp_path / "empty", SettingError, "no images: give uint8 RGB arrays"),
        ([arrays[0] / 255], SettingError, r"image 0 is float64 of shape \(64, 96, 3\): give uint8 RGB arrays"),
        ([arrays[0], arrays[0][..., 0]], SettingError, r"image 1 is uint8 of shape \(64, 96\)"),
        (arrays[0], SettingError, r"image 0 is uint8 of shape \(96, 3\)"),
        ([arrays[0][:9]], ImageError, "image 0: 96x9 pixels: give a shorter side of at least 16"),
        ([tmp_path / "text.png"], ImageError, "text.png: not an image file"),
        ([arrays[0], tmp_path / "cut.png"], ImageError, "cut.png: truncated"),
    ):
        with pytest.raises(kind, match=message):
            estimator.fit(images)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_clusters": 601}, "k=601 needs at least 601 sampled pixels, got 600: lower k or add images"),
        ({"n_clusters": 0}, "k=0 is too small"),
        ({"epochs": -1}, "epochs=-1 is too small"),
        ({"image_size": 8}, "size=8 is too small"),
        ({"backbone": "vgg"}, "backbone='vgg' is unknown"),
    ],
)
def test_impossible_settings_are_refused(arrays, settings, message):
    """Settings have the limits and the words of the command line, as a ValueError."""
    with pytest.raises(ValueError, match=message):
        PixelClusterer(**{"n_clusters": 4, **SMALL, **settings}).fit(arrays)
