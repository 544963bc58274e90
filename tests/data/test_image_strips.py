"""Images read in strips: every kind of file gives the pixels that decoding it at once gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie_core.data.images import image_file
from picie_core.data.images.image_file import probe_image, read_image, read_resized, upright_blocks
from picie_core.errors import PicieError

pyvips = pytest.importorskip("pyvips", reason="libvips reads the strips: pip install pyvips-binary")

HEIGHT, WIDTH = 600, 90
"""Of the scenes: three strips of rows."""
STORED = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip
"""How a camera that was held that way stores an upright image."""


def scene(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A noisy image without any symmetry: uint8 RGB (height, width, 3)."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    smooth = np.stack([200 * x, 200 * y, 100 + 90 * np.sin(5 * x + 9 * y * y)], -1)
    return (smooth + np.random.default_rng(0).integers(0, 50, smooth.shape)).astype(np.uint8)


def grey16(top: int = 4095) -> np.ndarray:
    """Deep grey values up to `top`, uint16; the largest is in the last rows."""
    values = np.random.default_rng(1).integers(0, top // 2, (HEIGHT, WIDTH)).astype(np.uint16)
    values[-1, -1] = top
    return values


def alpha_of(mode: str) -> Image.Image:
    """A scene of this mode with an alpha channel of every opacity."""
    image = Image.fromarray(scene()).convert(mode)
    image.putalpha(Image.fromarray(np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)))
    return image


def vips_of(pixels: np.ndarray) -> object:
    """The pixels as an image of libvips, which writes what Pillow does not."""
    return pyvips.Image.new_from_array(pixels)


WRITERS = {
    "grey.png": lambda path: Image.fromarray(scene()[..., 0]).save(path),
    "rgb.png": lambda path: Image.fromarray(scene()).save(path),
    "palette.png": lambda path: Image.fromarray(scene()).quantize(40).save(path),
    "bits.png": lambda path: Image.fromarray(scene()[..., 0] > 99).save(path),
    "rgba.png": lambda path: alpha_of("RGB").save(path),
    "la.png": lambda path: alpha_of("L").save(path),
    "transparent.png": lambda path: Image.fromarray(scene()[..., 0] // 8 * 8).save(path, transparency=80),
    "grey16.png": lambda path: Image.fromarray(grey16(65_535)).save(path),
    "rgb16.png": lambda path: vips_of(scene().astype(np.uint16) * 257).pngsave(str(path), bitdepth=16),
    "rgb.jpg": lambda path: Image.fromarray(scene()).save(path, quality=92),
    "grey.jpg": lambda path: Image.fromarray(scene()[..., 0]).save(path, quality=92),
    "cmyk.jpg": lambda path: Image.fromarray(scene()).convert("CMYK").save(path, quality=92),
    "rgb.tif": lambda path: Image.fromarray(scene()).save(path),
    "lzw.tif": lambda path: Image.fromarray(scene()).save(path, compression="tiff_lzw"),
    "grey12.tif": lambda path: Image.fromarray(grey16()).save(path),
    "float.tif": lambda path: Image.fromarray(grey16().astype(np.float32) / 7 - 100).save(path),
    "palette.tif": lambda path: Image.fromarray(scene()).quantize(40).save(path),
    "rgba.tif": lambda path: alpha_of("RGB").save(path),
    "cmyk.tif": lambda path: Image.fromarray(scene()).convert("CMYK").save(path),
    "bits.tif": lambda path: Image.fromarray(scene()[..., 0] > 99).save(path, compression="group4"),
    "tiled.tif": lambda path: vips_of(scene()).tiffsave(str(path), tile=True, tile_width=64, tile_height=64),
    "deflate.tif": lambda path: vips_of(scene()).tiffsave(str(path), compression="deflate", predictor="horizontal"),
    "big.tif": lambda path: vips_of(scene()).tiffsave(str(path), bigtiff=True, tile=True),
    "pyramid.tif": lambda path: vips_of(scene()).tiffsave(str(path), tile=True, pyramid=True, tile_width=64,
                                                          tile_height=64),
    "tiled16.tif": lambda path: vips_of(grey16()).tiffsave(str(path), tile=True),
    "rgb16.tif": lambda path: vips_of(scene().astype(np.uint16) * 257).tiffsave(str(path)),
    "whole.gif": lambda path: Image.fromarray(scene()).quantize(40).save(path),
    "whole.webp": lambda path: Image.fromarray(scene()).save(path, lossless=True),
}  # fmt: skip


def from_blocks(path: Path) -> np.ndarray:
    """The image put together from its blocks, each pixel written once."""
    width, height = probe_image(path)
    image, written = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), int)
    for top, left, block in upright_blocks(path, streamed_from=0):
        where = slice(top, top + block.shape[0]), slice(left, left + block.shape[1])
        image[where] = block
        written[where] += 1
    assert (written == 1).all()
    return image


@pytest.mark.parametrize("name", WRITERS)
def test_strips_are_the_decoded_image(tmp_path, name):
    """Whatever the file is, its strips together equal its whole decoding, grey scaled by the maximum of all rows."""
    WRITERS[name](tmp_path / name)
    whole, strips = read_image(tmp_path / name), from_blocks(tmp_path / name)
    np.testing.assert_array_equal(strips, whole)
    assert whole.std() > 10


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_strips_of_turned_images_are_upright(tmp_path, orientation, suffix):
    """Each of the eight EXIF orientations is undone block by block as it is for the whole image."""
    stored = Image.fromarray(scene())
    if STORED[orientation] is not None:
        stored = stored.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    stored.save(path, exif=exif, **({"quality": 95} if suffix == "jpg" else {}))
    np.testing.assert_array_equal(from_blocks(path), read_image(path))


def test_a_small_image_is_one_block(tmp_path):
    """Below the limit an image is decoded at once, without libvips."""
    WRITERS["rgb.png"](tmp_path / "rgb.png")
    ((top, left, block),) = upright_blocks(tmp_path / "rgb.png")
    assert (top, left) == (0, 0) and np.array_equal(block, scene())


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "lzw.tif", "tiled.tif"])
def test_a_truncated_file_is_refused_in_strips(tmp_path, name):
    """A file that ends too early is an error with its name, never filled with grey."""
    WRITERS[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(PicieError, match=name):
        from_blocks(tmp_path / name)


def test_bands_that_are_no_colours_are_refused(tmp_path):
    """A satellite scene of seven bands is a problem of its file."""
    pixels = np.random.default_rng(0).integers(0, 256, (80, 90, 7), dtype=np.uint8)
    vips_of(pixels).tiffsave(str(tmp_path / "seven.tif"))
    with pytest.raises(PicieError, match=r"seven\.tif"):
        from_blocks(tmp_path / "seven.tif")


def test_what_cannot_be_streamed_keeps_the_limit(tmp_path, monkeypatch):
    """Interlaced PNG, progressive JPEG and formats without strips are refused beyond the limit of whole decoding."""
    monkeypatch.setattr(image_file, "MAX_PIXELS", 10_000)
    vips_of(scene()).pngsave(str(tmp_path / "interlaced.png"), interlace=True)
    Image.fromarray(scene()).save(tmp_path / "progressive.jpg", progressive=True)
    WRITERS["whole.webp"](tmp_path / "whole.webp")
    for name in ("interlaced.png", "progressive.jpg", "whole.webp"):
        with pytest.raises(PicieError, match=f"{name}: 90x600 pixels are more than"):
            probe_image(tmp_path / name)
    WRITERS["rgb.png"](tmp_path / "rgb.png")
    assert probe_image(tmp_path / "rgb.png") == (90, 600)
    with pytest.raises(PicieError, match=r"decoded at once: embed it with --downsample"):
        read_image(tmp_path / "rgb.png")


@pytest.mark.parametrize("name", ["rgb.png", "turned.tif"])
def test_an_image_beyond_whole_decoding_is_resized_in_strips(tmp_path, monkeypatch, name):
    """Beyond the limit the scaled image is made of means, and looks like the full one resized."""
    image = Image.fromarray(scene(1200, 800))
    exif = Image.Exif()
    exif[0x0112] = 6 if name == "turned.tif" else 1
    image.save(tmp_path / name, exif=exif)
    whole = read_resized(tmp_path / name, 64)
    monkeypatch.setattr(image_file, "MAX_PIXELS", 10_000)
    strips = read_resized(tmp_path / name, 64)
    assert strips.shape == whole.shape and np.abs(strips.astype(int) - whole).mean() < 1.5
    assert (strips != whole).any()  # it did come another way


@pytest.mark.slow
def test_an_image_that_pillow_refuses_has_a_thumbnail(tmp_path):
    """A TIFF of 182 million pixels is resized in strips, as Pillow would not decode it."""
    path = tmp_path / "large.tif"
    tile = vips_of(scene(1000, 1000))
    tile.replicate(14, 13).tiffsave(str(path), tile=True, compression="deflate")
    assert probe_image(path) == (14_000, 13_000)
    small = read_resized(path, 130)
    expected = np.asarray(Image.fromarray(scene(1000, 1000)).reduce(100))
    assert small.shape == (130, 140, 3)
    assert np.abs(small.astype(int) - np.tile(expected, (13, 14, 1))).mean() < 12


def test_small_images_need_no_libvips():
    """The library loads only for images that are too large to be decoded at once."""
    code = "import sys, picie_core.data.images.image_file; assert 'pyvips' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
