"""One image file: its size from the header, its pixels, and its pixels at the size of the network.

The only place where image files are opened; image_strips.py reads those that are too large to be decoded at once.
Whatever the file is (grey, palette, CMYK, 16 bit, rotated, animated), reading gives uint8 RGB (H, W, 3), upright;
whatever is wrong with it becomes an `ImageError`.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from picie_core.data.images.deep_grey import grey_range, to_eight_bit
from picie_core.data.images.image_strips import STREAMED, STRIP_ROWS, read_strips
from picie_core.errors import PicieError, SettingError

MIN_SIDE_PX = 16
"""The shorter side of a usable image: below it a feature map has fewer than 4 x 4 positions."""
MAX_PIXELS = 178_000_000
"""The largest image that is decoded at once (0.5 GB as RGB); larger JPEG, PNG and TIFF files are read in strips."""
MAX_STREAMED_PIXELS = 2_500_000_000
"""The largest image that is read in strips (7.5 GB as RGB): a tiny file can claim any size."""
STREAMED_FROM_PIXELS = 32_000_000
"""Blocks of images up to this size come from decoding them at once."""
MIN_SCALED_PX = 32
"""No side of a scaled image is shorter than this."""
MAX_SCALED_ASPECT = 4
"""A scaled image never has more than this many times the pixels of a square one."""

_TOO_MANY = "more than the {} million pixels that are read: cut it into tiles"
_AT_ONCE = (
    f"more than the {MAX_PIXELS // 1_000_000} million pixels that are decoded at once: embed it with --downsample, "
    "or cut it into tiles"
)

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000")
_SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF",
               b"RIFF": "WebP", b"\0\0\0\x0cjP": "JPEG 2000", b"BM": "BMP"}  # fmt: skip
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(PicieError):
    """One image file cannot be used; `reason` says why, without the path."""

    def __init__(self, path: Path | str, reason: str):
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def probe_image(path: Path | str) -> tuple[int, int]:
    """Returns (width, height) of the upright image, from its header. Raises ImageError with the reason."""
    with _open(path) as image:
        return _upright_size(image)


def read_image(path: Path | str) -> np.ndarray:
    """Returns the whole image, upright and at full size: uint8 RGB (H, W, 3).

    Transparent pixels become black; the first frame of an animation counts. Deep grey is scaled by the
    smallest of 8, 10, 12, 14 and 16 bit that holds its maximum; floats, negative and larger numbers from the
    lowest finite value to the highest. Raises ImageError with the reason.
    """
    with _open(path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(path, f"{image.width}x{image.height} pixels are {_AT_ONCE}")
        return _decode(image)


def upright_blocks(
    path: Path | str, streamed_from: int = STREAMED_FROM_PIXELS
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yields the upright image in blocks that cover it: (top, left, uint8 RGB (h, w, 3)), pixels as of `read_image`.

    An image of more than `streamed_from` pixels is read from top to bottom, so that memory holds a few of its rows or,
    where it is stored lying, columns; another one is a single block. Raises ImageError with the reason.
    """
    with _open(path) as image:
        if image.width * image.height <= max(streamed_from, 0 if _can_stream(image) else MAX_PIXELS):
            yield 0, 0, _decode(image)
            return
        orientation, top = _exif_orientation(image), 0
        height = image.width if image.format == "TIFF" and orientation > 4 else image.height  # as it is stored
        for strip in read_strips(str(path), image.mode):
            bottom = top + len(strip)
            # 5 to 8 are stored lying: rows become columns, in reverse for 6 and 7; 3 and 4 stand on their heads.
            start = height - bottom if orientation in (3, 4, 6, 7) else top
            block = np.asarray(Image.fromarray(strip).transpose(_UPRIGHT[orientation])) if orientation > 1 else strip
            yield (start, 0, block) if orientation < 5 else (0, start, block)
            top = bottom
        if top != height:
            raise ImageError(path, f"truncated: {top} of {height} rows are there, copy or download it again")


def read_resized(path: Path | str, size_px: int) -> np.ndarray:
    """Returns the image at its scaled size: uint8 RGB (h, w, 3), `scaled_size` of the full upright one.

    Decodes large JPEGs at a half, a quarter or an eighth, but never below twice the scaled size: the result looks
    like the full image resized. Raises ImageError with the reason.
    """
    with _open(path) as image:
        width, height = scaled_size(*_upright_size(image), size_px)
        if image.width * image.height > MAX_PIXELS:
            return _resize(_reduced(path, image, 2 * max(width, height)), width, height)
        wanted = (2 * width, 2 * height)
        image.draft(None, wanted if _orientation(image) < 5 else wanted[::-1])
        return _resize(_decode(image), width, height)


def scaled_size(width: int, height: int, size_px: int) -> tuple[int, int]:
    """Returns the (width, height) that an image has in the network: its shorter side becomes `size_px`.

    Long panoramas shrink further, to 4 * size_px**2 pixels at most; no side falls under 32 px.
    """
    if size_px < MIN_SCALED_PX:
        raise SettingError(f"size={size_px} must be at least {MIN_SCALED_PX} px: raise it")
    area = MAX_SCALED_ASPECT * size_px * size_px
    scale = min(size_px / min(width, height), (area / (width * height)) ** 0.5)
    short = max(MIN_SCALED_PX, round(min(width, height) * scale))
    long = max(short, min(round(max(width, height) * scale), area // short))
    return (long, short) if width >= height else (short, long)


def resize_image(image: np.ndarray, size_px: int) -> np.ndarray:
    """Returns `image`, uint8 RGB (H, W, 3), at its scaled size (h, w, 3): bilinear, antialiased."""
    return _resize(image, *scaled_size(image.shape[1], image.shape[0], size_px))


def png_bytes(image: np.ndarray) -> bytes:
    """Returns an array as a PNG file: uint8 (H, W), (H, W, 3) or (H, W, 4), or uint16 (H, W)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _reduced(path: Path | str, image: Image.Image, longer_px: int) -> np.ndarray:
    """The upright image as means of whole squares of pixels, its longer side at least `longer_px`; read in strips."""
    factor = max(1, max(image.size) // longer_px)
    strips = read_strips(str(path), image.mode, rows=factor * -(-STRIP_ROWS // factor))
    small = np.concatenate([np.asarray(Image.fromarray(strip).reduce(factor)) for strip in strips])
    orientation = _exif_orientation(image)
    return small if orientation == 1 else np.asarray(Image.fromarray(small).transpose(_UPRIGHT[orientation]))


def _resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.array(small)


# -- opening


def open_image(file: IO[bytes]) -> ImageFile:
    """Returns an image file of one of FORMATS, opened but not decoded.

    Does what `PIL.Image.open` does, except for its check against `PIL.Image.MAX_IMAGE_PIXELS`: that limit belongs to
    the whole process, warns from half of MAX_PIXELS on, and cannot be set for one call among threads.
    Raises UnidentifiedImageError when no format fits.
    """
    start = file.read(16)
    Image.preinit()
    for name in FORMATS:
        if name not in Image.OPEN:
            Image.init()
        factory, accept = Image.OPEN[name]
        file.seek(0)
        try:
            fits = accept is None or accept(start)
            if fits and not isinstance(fits, str):  # a text says which library is missing
                return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # how Pillow's readers refuse a header
            continue
    raise UnidentifiedImageError("cannot identify the image file")


@contextmanager
def _open(path: Path | str) -> Iterator[Image.Image]:
    """Yields the opened, not yet decoded image; every error inside the block leaves as an ImageError."""
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode):
            raise ImageError(path, "not a file")
        if info.st_size == 0:
            raise ImageError(path, "empty file (0 bytes)")
        with open(path, "rb") as file, open_image(file) as image:
            width, height = image.size
            if min(width, height) < MIN_SIDE_PX:
                raise ImageError(path, f"{width}x{height} pixels: the shorter side needs at least {MIN_SIDE_PX}")
            most = MAX_STREAMED_PIXELS if _can_stream(image) else MAX_PIXELS
            if width * height > most:
                raise ImageError(path, f"{width}x{height} pixels are {_TOO_MANY.format(most // 1_000_000)}")
            yield image
    except PicieError:
        raise
    except Exception as error:
        # A decoder may raise anything on damaged bytes, and one bad file must not end a job.
        raise ImageError(path, _reason(path, error)) from error


def _can_stream(image: Image.Image) -> bool:
    """Whether the file can be read from top to bottom: interlaced PNG and progressive JPEG come as a whole only."""
    return image.format in STREAMED and not any(image.info.get(one) for one in ("interlace", "progressive"))


def _reason(path: Path | str, error: Exception) -> str:
    """Returns why a file could not be read, in words for a person."""
    text = f"{error}".lower()
    if isinstance(error, FileNotFoundError):
        return "file is gone"
    if isinstance(error, PermissionError):
        return "no permission to read it: allow reading or leave it out"
    if isinstance(error, UnidentifiedImageError):
        with open(path, "rb") as file:
            start = file.read(12)
        for signature, name in _SIGNATURES.items():
            if start.startswith(signature):
                return f"damaged: it starts like a {name} file, but its header is truncated or of an unknown kind"
        return "not an image file (or of a format that is not read): save it as PNG or JPEG"
    if isinstance(error, Image.DecompressionBombError):  # some readers check while they open or decode
        return f"its header claims {_TOO_MANY.format(MAX_PIXELS // 1_000_000)}"
    if isinstance(error, MemoryError):
        return "not enough memory to decode it: cut it into tiles"
    if isinstance(error, EOFError) or any(words in text for words in ("truncat", "unexpected end", "premature end")):
        return "truncated: the file ends too early, copy or download it again"
    return f"damaged or of an unknown kind ({error or type(error).__name__}): save it as PNG or JPEG"


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 to 8, in which Pillow decodes an image; 1 where none can be read."""
    return 1 if image.format == "TIFF" else _exif_orientation(image)  # Pillow turns TIFFs itself, size included


def _exif_orientation(image: Image.Image) -> int:
    """Returns the orientation, 1 to 8, in which an image not decoded yet is stored; 1 where none can be read."""
    try:
        # The base class's reader: PNG's own would decode the image to look for a late EXIF chunk.
        value = Image.Image.getexif(image).get(0x0112, 1)
    except Exception:  # damaged EXIF raises anything (SyntaxError, struct.error...); the pixels are fine
        return 1
    return value if value in _UPRIGHT else 1


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (width, height) if _orientation(image) < 5 else (height, width)


# -- pixels


def _decode(image: Image.Image) -> np.ndarray:
    orientation = _orientation(image)
    image.load()
    rgb = _to_rgb(image)
    if orientation != 1:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    return np.array(rgb)  # (H, W, 3), a copy that may be written to


def _to_rgb(image: Image.Image) -> Image.Image:
    """Returns the decoded image in mode RGB."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        grey = Image.fromarray(to_eight_bit(values, grey_range([values])))
        return grey.convert("RGB")
    if image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        black = Image.new("RGB", image.size)
        black.paste(rgba, mask=rgba.getchannel("A"))  # what hides under transparent pixels is arbitrary
        return black
    return image.convert("RGB")
