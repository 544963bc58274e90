"""Image files of every kind: what becomes a image, and what becomes a reason."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from picie_core.data.images.image_file import probe_image, read_image, read_resized, resize_image, scaled_size
from picie_core.errors import PicieError, SettingError

TURNED_BY_THE_CAMERA = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def scene(width: int = 64, height: int = 48) -> np.ndarray:
    """A smooth image without any symmetry: uint8 RGB (height, width, 3)."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([255 * x, 255 * y, 120 + 100 * np.sin(5 * x + 9 * y * y)], -1).astype(np.uint8)


def save(path: Path, pixels: np.ndarray | None = None, **options: object) -> Path:
    """Writes a image where a test wants it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene() if pixels is None else pixels).save(path, **options)
    return path


def png(path: Path, width: int, height: int, bits: int, color_type: int, data: bytes = b"") -> Path:
    """Writes a PNG by hand: what Pillow cannot write, or a header that claims what the data does not hold."""
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for name, part in ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")):
        content += struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
    path.write_bytes(content)
    return path


# -- images of every kind


def test_pixels_of_lossless_formats_are_exact(tmp_path):
    """A format that loses nothing comes back pixel for pixel."""
    for suffix in ("png", "bmp", "tif", "ppm"):
        assert np.array_equal(read_image(save(tmp_path / f"a.{suffix}")), scene())
    assert np.array_equal(read_image(save(tmp_path / "a.webp", lossless=True)), scene())
    assert np.array_equal(read_image(save(tmp_path / "a.jp2")), scene())


def test_grey_becomes_three_equal_channels(tmp_path):
    """Grey and 1-bit images are RGB with equal channels."""
    grey = scene()[..., 0]
    image = read_image(save(tmp_path / "grey.png", grey))
    assert image.shape == (48, 64, 3) and all(np.array_equal(image[..., c], grey) for c in range(3))
    Image.fromarray(grey > 99).save(tmp_path / "bits.png")
    assert np.array_equal(read_image(tmp_path / "bits.png")[..., 1], np.where(grey > 99, 255, 0))


def test_palette_is_looked_up(tmp_path):
    """A palette image shows its colours, not its indices."""
    indexed = Image.fromarray(scene()[..., 0] // 128)
    indexed = indexed.convert("P")
    indexed.putpalette([200, 10, 20, 30, 220, 40])
    indexed.save(tmp_path / "p.png")
    assert {tuple(color) for color in read_image(tmp_path / "p.png").reshape(-1, 3).tolist()} == {
        (200, 10, 20),
        (30, 220, 40),
    }


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_are_black(tmp_path, mode):
    """Junk colours under full transparency never show; half transparency is half as bright."""
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:, 20:40], alpha[:, 40:] = 128, 255
    image = Image.fromarray(np.full((48, 64), 200, np.uint8)).convert(mode)
    image.putalpha(Image.fromarray(alpha))
    path = tmp_path / ("a.tif" if mode == "PA" else "a.png")
    image.save(path)
    pixels = read_image(path)
    assert pixels[:, :20].max() == 0 and abs(int(pixels[5, 30, 0]) - 100) <= 1 and pixels[5, 50, 2] == 200


def test_transparent_colour_of_a_png_is_black(tmp_path):
    """A single colour that a PNG declares transparent is black as well."""
    pixels = np.full((20, 20, 3), 90, np.uint8)
    pixels[:10] = (1, 2, 3)
    save(tmp_path / "t.png", pixels, transparency=(1, 2, 3))
    assert read_image(tmp_path / "t.png")[:10].max() == 0 and read_image(tmp_path / "t.png")[10:].min() == 90


def test_cmyk_keeps_its_colours(tmp_path):
    """A CMYK JPEG looks like the RGB image it was made from, not like its negative."""
    Image.fromarray(scene()).convert("CMYK").save(tmp_path / "c.jpg", quality=98)
    assert np.abs(read_image(tmp_path / "c.jpg").astype(int) - scene()).mean() < 4


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_grey_is_scaled_by_its_bit_depth(tmp_path, bits):
    """Full white of 10, 12, 14 and 16 bit is 255, and half of it is 127 or 128."""
    top = (1 << bits) - 1
    values = np.full((20, 30), top // 2, np.uint16)
    values[0, 0], values[1] = top, 0
    for name in ("deep.png", "deep.tif"):
        pixels = read_image(save(tmp_path / name, values))
        assert pixels[0, 0, 0] == 255 and pixels[1].max() == 0 and pixels[5, 5, 1] in (127, 128)


def test_colours_of_16_bit_keep_their_upper_half(tmp_path):
    """A 16-bit RGB image comes out as 8 bit of the same brightness."""
    rows = scene().astype(">u2") * 257
    png(tmp_path / "rgb16.png", 64, 48, 16, 2, b"".join(b"\0" + row.tobytes() for row in rows))
    assert np.array_equal(read_image(tmp_path / "rgb16.png"), scene())


def test_floats_span_their_finite_range(tmp_path):
    """The lowest finite number is black and the highest white; NaN is black and infinity does no harm."""
    values = np.linspace(-2, 6, 400, dtype=np.float32).reshape(20, 20)
    values[3, 3], values[4, 4] = np.nan, np.inf
    pixels = read_image(save(tmp_path / "f.tif", values))
    assert pixels[0, 0, 0] == 0 and pixels[-1, -1, 0] == 255 and pixels[3, 3].max() == 0
    constant = read_image(save(tmp_path / "c.tif", np.full((20, 20), 7.5, np.float32)))
    assert constant.max() == 0


def test_first_frame_of_an_animation_counts(tmp_path):
    """An animated GIF is its first frame."""
    frames = [Image.new("RGB", (20, 30), color) for color in ((250, 0, 0), (0, 250, 0))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert probe_image(tmp_path / "a.gif") == (20, 30)
    assert (read_image(tmp_path / "a.gif") == (250, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_all_exif_orientations_give_one_upright_image(tmp_path, orientation, suffix):
    """However the camera was held, pixels and size are those of the upright image, turned once."""
    stored = Image.fromarray(scene())
    if orientation > 1:
        stored = stored.transpose(TURNED_BY_THE_CAMERA[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    path = tmp_path / f"o.{suffix}"
    stored.save(path, exif=exif, **options)
    assert probe_image(path) == (64, 48)
    assert np.abs(read_image(path).astype(int) - scene()).max() <= (4 if suffix == "jpg" else 0)
    assert read_resized(path, 32).shape == (32, 43, 3)


def test_damaged_exif_leaves_the_image(tmp_path):
    """Rubbish in the EXIF block is no reason to lose a image."""
    path = save(tmp_path / "e.jpg", quality=100, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        assert probe_image(path) == (64, 48)
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        assert read_image(path).shape == (48, 64, 3)


# -- files that are no images


def test_reasons_name_file_and_rule(tmp_path):
    """Each kind of bad file has its own reason, and the message names the file."""
    whole = save(tmp_path / "whole.jpg", scene(300, 200)).read_bytes()
    cases = {
        "text.jpg": (b"hello, I am a text\n" * 50, "not an image file"),
        "empty.png": (b"", "empty file (0 bytes)"),
        "header.jpg": (whole[:15], "truncated"),
        "half.png": (save(tmp_path / "w.png").read_bytes()[:700], "truncated"),
    }
    for name, (content, reason) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PicieError, match=name) as caught:
            read_image(tmp_path / name)
        assert reason in caught.value.reason and name not in caught.value.reason
    with pytest.raises(PicieError, match="file is gone"):
        probe_image(tmp_path / "nowhere.png")
    with pytest.raises(PicieError, match="not a file"):
        probe_image(tmp_path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("progressive", [False, True])
def test_truncated_jpeg_is_refused_however_it_is_read(tmp_path, share, progressive):
    """A JPEG that ends too early passes the look at its header and is refused at decoding, never filled."""
    content = save(tmp_path / "t.jpg", scene(1200, 800), progressive=progressive).read_bytes()
    (tmp_path / "t.jpg").write_bytes(content[: int(len(content) * share)])
    assert probe_image(tmp_path / "t.jpg") == (1200, 800)
    for read in (read_image, lambda path: read_resized(path, 64)):
        with pytest.raises(PicieError, match="truncated"):
            read(tmp_path / "t.jpg")


def test_tiny_and_huge_images_are_refused_with_the_rule(tmp_path):
    """1x1 is too small, 2,500 million pixels too many; what is just allowed gives no warning."""
    with pytest.raises(PicieError, match="1x1 pixels: the shorter side needs at least 16"):
        probe_image(save(tmp_path / "one.png", scene(1, 1)))
    assert probe_image(save(tmp_path / "small.png", scene(16, 17))) == (16, 17)
    with pytest.raises(PicieError, match=r"2500 million pixels.*tiles"):
        probe_image(png(tmp_path / "bomb.png", 60_000, 60_000, 1, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert probe_image(png(tmp_path / "big.png", 13_000, 13_000, 1, 0)) == (13_000, 13_000)


def test_a_limit_of_the_host_program_does_not_count(tmp_path, monkeypatch):
    """Pillow's limit belongs to the program that imports the library: it is neither changed nor used here."""
    path = save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(Image.DecompressionBombError), Image.open(path):
        pass
    assert np.array_equal(read_image(path), scene())
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_image_20000_px_wide(tmp_path):
    """A 20,000 px wide strip is read whole, and worked on at a bounded size."""
    path = save(tmp_path / "wide.jpg", scene(20_000, 40))
    assert read_image(path).shape == (40, 20_000, 3)
    assert read_resized(path, 320).shape == (32, 12_800, 3)


def test_file_without_permission_gives_a_reason(tmp_path, monkeypatch):
    """A file that may not be read is a problem with its reason."""
    path = save(tmp_path / "a.png")
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads anything

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PicieError, match="no permission"):
        probe_image(path)


# -- sizes


@settings(derandomize=True)
@given(st.integers(16, 30_000), st.integers(16, 30_000), st.sampled_from([32, 160, 320, 640]))
def test_scaled_size_keeps_its_promises(width, height, size_px):
    """Shorter side as asked unless the image is a panorama; bounded area; no side under 32; symmetric."""
    small, tall = scaled_size(width, height, size_px)
    assert small * tall <= 4 * size_px**2 and min(small, tall) >= 32
    assert scaled_size(height, width, size_px) == (tall, small)
    if max(width, height) <= 4 * min(width, height):
        assert min(small, tall) == size_px
        assert abs(max(small, tall) - size_px * max(width, height) / min(width, height)) <= 0.5


def test_size_under_32_is_a_wrong_setting():
    """A size below the smallest is refused with the rule."""
    with pytest.raises(SettingError, match="size=16 must be at least 32 px"):
        scaled_size(640, 480, 16)


def test_resize_is_repeatable_and_keeps_what_fits():
    """The same image gives the same pixels; one that has the size already is unchanged."""
    image = scene(640, 480)
    assert np.array_equal(resize_image(image, 100), resize_image(image.copy(), 100))
    assert np.array_equal(resize_image(image, 480), image)


def test_shortcut_for_large_jpegs_looks_like_the_full_way(tmp_path):
    """Decoding a large JPEG at a part of its size changes its scaled version by a grey level or two."""
    path = save(tmp_path / "large.jpg", scene(2000, 1501), quality=95)
    quick, full = read_resized(path, 320), resize_image(read_image(path), 320)
    assert quick.shape == full.shape == (320, 426, 3)
    assert np.abs(quick.astype(int) - full).mean() < 1.0
