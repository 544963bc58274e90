"""Which image a mask is of: the names that exports and tools give, and names that could be of several."""

from __future__ import annotations

import unicodedata

import pytest

from picie_core.export.image_files import flat_stems, folder_stems
from picie_core.export.readers.image_names import ImageNames
from picie_core.export.readers.mask_set import MaskError

PATHS = [
    "a/same.png",
    "b/same.jpg",
    "b/same.png",
    "plain.jpg",
    "straße 日本/bild mit raum.tif",
    "v1.2.png",
    "c/d/e.PNG",
]


def renamed(stems: list[str]) -> dict[str, str]:
    """What export.json says of images whose stem is not that of their path."""
    return {path: stem for path, stem in zip(PATHS, stems, strict=True) if path.rsplit(".", 1)[0] != stem}


@pytest.mark.parametrize("stems", [folder_stems(PATHS), flat_stems(PATHS)])
def test_every_stem_that_an_export_gives_is_found(stems):
    """Also of two images with the same stem, by export.json or, where a tool lost it, by how stems are made."""
    names = ImageNames(PATHS, renamed(stems))
    assert [names.find(stem, is_stem=True) for stem in stems] == PATHS
    assert [names.find(f"{stem}.jpg") for stem in stems if "same" not in stem] == [
        path for path in PATHS if "same" not in path
    ]
    without = ImageNames(PATHS)
    for stem, path in zip(stems, PATHS, strict=True):
        if path == "b/same.jpg":  # b/same.png has the same stem
            with pytest.raises(MaskError, match=r"it could be of b/same\.jpg and b/same\.png"):
                without.find(stem, is_stem=True)
        else:
            assert without.find(stem, is_stem=True) == path


@pytest.mark.parametrize(
    "name, path",
    [
        ("b/same.png", "b/same.png"),
        ("./a/same.png", "a/same.png"),
        ("b\\same.jpg", "b/same.jpg"),
        ("images/train/plain.jpg", "plain.jpg"),
        ("plain.png", "plain.jpg"),
        ("v1.2.png", "v1.2.png"),
        (unicodedata.normalize("NFD", "straße 日本/bild mit raum.png"), "straße 日本/bild mit raum.tif"),
        ("/data/local-files/?d=work/images/plain.jpg", "plain.jpg"),
        ("upload/1/0a1b2c3d-plain.jpg", "plain.jpg"),
        ("stra%C3%9Fe%20%E6%97%A5%E6%9C%AC/bild%20mit%20raum.tif", "straße 日本/bild mit raum.tif"),
        ("plain_jpg.rf.d41d8cd98f00b204e9800998ecf8427e.jpg", "plain.jpg"),
        ("e.jpg", "c/d/e.PNG"),
        ("../plain.jpg", "plain.jpg"),
    ],
)
def test_names_of_other_tools(name, path):
    """Paths with other separators, other endings, and what Label Studio and Roboflow add."""
    assert ImageNames(PATHS).find(name) == path


@pytest.mark.parametrize("name", ["same.png", "x/same.png"])
def test_a_name_of_several_images_is_refused_with_their_paths(name):
    with pytest.raises(MaskError, match=r"it could be of a/same\.png and b/same\.(jpg and b/same\.)?png: name it with"):
        ImageNames(PATHS).find(name)


@pytest.mark.parametrize("name", ["other.png", "", "/", "plainer.jpg", ".."])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(MaskError, match="no image of this workspace is called so"):
        ImageNames(PATHS).find(name)
