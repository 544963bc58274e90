"""Post-processing: the defaults change no byte, a threshold only ignores, and each option does what it says."""

from __future__ import annotations

import numpy as np
import pytest

from picie_core.clustering.clustering import Clustering
from picie_core.errors import SettingError
from picie_core.segmentation.masks import class_mask, cluster_mask
from picie_core.segmentation.post_processing import PostProcessing, mask_and_confidence, post_processed_mask
from tests.hand_made import clustering_of

NAMES = {0: 1, 1: 0, 2: 1, 3: 255}


def some_features(k: int, seed: int = 0) -> tuple[np.ndarray, Clustering, np.ndarray]:
    """A feature map (10, 12, 8), a clustering of k random unit centroids and a picture."""
    rng = np.random.default_rng(seed)
    centroids = rng.normal(size=(k, 8)).astype(np.float32)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    image = rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)
    return rng.normal(size=(10, 12, 8)).astype(np.float32), clustering_of(centroids), image


@pytest.mark.parametrize("k", [6, 300])
def test_the_defaults_change_no_byte(k):
    """With nothing asked for, a post-processed mask is the plain one, of classes and of clusters."""
    feature_map, clustering, image = some_features(k)
    for classes_of, plain in (
        (NAMES, class_mask(feature_map, clustering, NAMES, 90, 101)),
        (None, cluster_mask(feature_map, clustering, 90, 101)),
    ):
        made = post_processed_mask(feature_map, clustering, classes_of, 90, 101, PostProcessing(), image)
        assert made.tobytes() == plain.tobytes() and made.dtype == plain.dtype
        assert mask_and_confidence(feature_map, clustering, classes_of, 90, 101).labels.tobytes() == plain.tobytes()


def test_a_threshold_only_ignores_and_a_higher_one_ignores_more():
    """What is sure enough keeps its class; every pixel that is not becomes 255."""
    feature_map, clustering, _ = some_features(6)
    plain = class_mask(feature_map, clustering, NAMES, 90, 101)
    confidence = mask_and_confidence(feature_map, clustering, NAMES, 90, 101).confidence
    ignored = plain == 255
    for threshold in (0.2, 0.5, 0.9):
        mask = post_processed_mask(feature_map, clustering, NAMES, 90, 101, PostProcessing(min_confidence=threshold))
        np.testing.assert_array_equal(mask, np.where(confidence < threshold, 255, plain))
        assert (ignored <= (mask == 255)).all() and (mask == 255).sum() > ignored.sum()
        ignored = mask == 255


def test_cluster_ids_keep_255_for_what_is_ignored_or_refuse():
    """A raw mask with a threshold has 255 where it is uncertain; of more clusters than that it would be a cluster."""
    feature_map, clustering, _ = some_features(6)
    mask = post_processed_mask(feature_map, clustering, None, 90, 101, PostProcessing(min_confidence=0.5))
    assert mask.dtype == np.uint8 and 0 < (mask == 255).mean() < 1
    feature_map, clustering, _ = some_features(300)
    with pytest.raises(SettingError, match=r"min-confidence=0.5 needs the value 255 .* k=300 .*: export classes"):
        post_processed_mask(feature_map, clustering, None, 90, 101, PostProcessing(min_confidence=0.5))


def test_a_refinement_needs_the_image_and_uses_it():
    """Another picture gives another mask; none is refused."""
    feature_map, clustering, image = some_features(6)
    image[:, :20] //= 4
    for method in ("guided", "pamr"):
        first, other = (
            post_processed_mask(feature_map, clustering, None, 90, 101, PostProcessing(refine=method), seen)
            for seen in (image, image[:, ::-1])
        )
        assert 0 < (first != other).mean() < 0.9 and first.max() < 6
    with pytest.raises(SettingError, match="refine=guided needs the image"):
        post_processed_mask(feature_map, clustering, NAMES, 90, 101, PostProcessing(refine="guided"))


def test_small_regions_are_measured_at_full_size():
    """At half the size a region of 100 pixels has 25, and the same regions go."""
    feature_map, clustering, _ = some_features(6)
    full = post_processed_mask(feature_map, clustering, None, 160, 192, PostProcessing(min_area_px=100))
    half = post_processed_mask(feature_map, clustering, None, 80, 96, PostProcessing(min_area_px=100), scale=0.5)
    assert (full != cluster_mask(feature_map, clustering, 160, 192)).any()
    assert (full[::2, ::2] == half).mean() > 0.93


def test_the_options_of_the_command_line_mean_the_same():
    """Only what differs from the defaults is given."""
    assert PostProcessing().options() == [] and PostProcessing().changes == {}
    words = PostProcessing(0.25, "pamr", 64).options()
    assert words == ["--min-confidence", "0.25", "--refine", "pamr", "--min-area", "64"]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"min_confidence": 1.5}, "min-confidence=1.5 is too large: give at most 1"),
        ({"min_area_px": -1}, "min-area=-1 is too small: give at least 0"),
        ({"refine": "crf"}, "refine='crf' is unknown: choose one of none, guided, pamr"),
    ],
)
def test_wrong_values_are_refused(wrong, message):
    """The message says option, value, rule and remedy."""
    with pytest.raises(SettingError, match=message):
        PostProcessing(**wrong)
