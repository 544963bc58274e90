"""Images that a program hands over: arrays and files by one rule, in order, never changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.data.images.image_file import ImageError, read_image, read_resized, resize_image
from picie_core.data.images.image_source import GivenImages
from picie_core.errors import PicieError, SettingError


@pytest.fixture
def image() -> np.ndarray:
    """A noisy image, uint8 RGB (90, 60, 3), that must not be written to."""
    pixels = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    pixels.flags.writeable = False
    return pixels


def test_arrays_and_files_are_scaled_alike(image, tmp_path):
    """An array, its file and a large JPEG come at their scaled size; records hold the full one."""
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(np.kron(image, np.ones((9, 9, 1), np.uint8))).save(tmp_path / "b.jpg")
    source = GivenImages([image, tmp_path / "a.png", tmp_path / "b.jpg"], 40)
    assert [(record.id, record.width, record.height) for record in source.records] == [
        (0, 60, 90), (1, 60, 90), (2, 540, 810)]  # fmt: skip
    assert [source.scaled_size(index) for index in range(3)] == [(40, 60)] * 3
    np.testing.assert_array_equal(source.get(0), resize_image(read_image(tmp_path / "a.png"), 40))
    np.testing.assert_array_equal(source.get(1), source.get(0))
    np.testing.assert_array_equal(source.get(2), read_resized(tmp_path / "b.jpg", 40))


def test_the_network_never_gets_the_array_of_the_program(image):
    """An image that has the size already is handed on as a copy where it must not be written to."""
    given = GivenImages([image, image[:, ::-1]], 60)
    for index, pixels in enumerate((image, image[:, ::-1])):
        np.testing.assert_array_equal(given.get(index), pixels)
        assert given.get(index).flags.writeable
        assert given.get(index).flags.c_contiguous


def test_iterate_gives_errors_in_their_place(image, tmp_path):
    """A file that was cut off comes as its error, with its name, between the others."""
    Image.fromarray(image).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:5000])
    source = GivenImages([image, tmp_path / "cut.png", tmp_path / "whole.png"], 40)
    found = list(source.iterate([2, 1, 0, 2], ahead=2))
    assert [image_id for image_id, _ in found] == [2, 1, 0, 2]
    assert [isinstance(one, PicieError) for _, one in found] == [False, True, False, False]
    assert "cut.png: truncated" in str(found[1][1])


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        (np.zeros((40, 40)), SettingError, r"image 0 is float64 of shape \(40, 40\): give uint8 RGB arrays"),
        (np.zeros((40, 40, 4), np.uint8), SettingError, r"image 0 is uint8 of shape \(40, 40, 4\)"),
        (np.zeros((40, 15, 3), np.uint8), ImageError, "image 0: 15x40 pixels: give a shorter side of at least 16"),
        (np.broadcast_to(np.uint8(0), (20_000, 20_000, 3)), ImageError, "at most 178 million pixels"),
        (Path("nowhere.png"), ImageError, "nowhere.png: file is gone"),
    ],
)
def test_what_is_no_image_is_refused_at_once(bad, kind, message):
    """Before anything is embedded, with the number or the path of the image."""
    with pytest.raises(kind, match=message):
        GivenImages([bad], 40)
