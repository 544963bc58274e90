"""The image files of an export: unique stems, and images copied or written upright in 8 bits."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from picie_core.data.images.image_file import ImageError, open_image, png_bytes, read_image

FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
MAX_STEM_BYTES = 200
JPEG_MAX_PX = 65_500
JPEG_QUALITY = 95


def folder_stems(paths: Sequence[str]) -> list[str]:
    """Returns the relative stems of the paths with their folders; of two equal ones the later gets its suffix added."""
    folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    wanted = [str(PurePosixPath(path).with_suffix("")) for path in paths]
    return _unique(wanted, paths, {folder.removesuffix(".png") for folder in folders if folder.endswith(".png")})


def flat_stems(paths: Sequence[str]) -> list[str]:
    """Returns stems for lists in text files: folders joined by `__`, and no white space, `:` or `#`."""
    wanted = []
    for path in paths:
        stem = re.sub(r"[\s:#\\\x00-\x1f]", "_", str(PurePosixPath(path).with_suffix("")).replace("/", "__"))
        if len(stem.encode()) > MAX_STEM_BYTES:
            digest = hashlib.sha256(stem.encode()).hexdigest()[:8]
            stem = stem.encode()[: MAX_STEM_BYTES - 9].decode(errors="ignore") + "_" + digest
        wanted.append(stem)
    return _unique(wanted, paths, ())


def _unique(wanted: list[str], paths: Sequence[str], forbidden: Collection[str]) -> list[str]:
    """The wanted stems; one that is taken gets its suffix added and, if that is taken too, a number."""
    taken, reserved = set(forbidden), set(wanted)
    stems = []
    for stem, path in zip(wanted, paths, strict=True):
        if stem in taken:
            base = f"{stem}_{PurePosixPath(path).suffix[1:].lower()}"
            names = [base, *(f"{base}_{number}" for number in range(2, len(paths) + 3))]
            stem = next(name for name in names if name not in taken and name not in reserved)
        taken.add(stem)
        stems.append(stem)
    return stems


def put(path: Path, data: bytes) -> None:
    """Writes a file, and makes its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_picture(folder: Path, stem: str, source: Path, how: str = "copy") -> Path | None:
    """Copies an image that every reader shows alike, else writes it upright as 8-bit PNG; returns its path.

    how: copy, link (a hard link to a file that stays as it is) or none (writes nothing, returns None).
    Raises ImageError when it cannot be read.
    """
    suffix = source.suffix.lower()
    if how != "none" and suffix in FORMAT_OF_SUFFIX and stays_as_it_is(source, {FORMAT_OF_SUFFIX[suffix]}):
        return _same_file(folder, Path(f"{stem}{source.suffix}"), source, how)
    return None if how == "none" else _encoded(folder, Path(f"{stem}.png"), png_bytes(read_image(source)))


def write_browser_picture(folder: Path, stem: str, source: Path, how: str = "copy") -> Path | None:
    """Does what `write_picture` does, and writes a TIFF, which browsers do not show, as PNG."""
    write = write_png if FORMAT_OF_SUFFIX.get(source.suffix.lower()) == "TIFF" else write_picture
    return write(folder, stem, source, how)


def write_jpeg(folder: Path, stem: str, source: Path, how: str = "copy") -> Path | None:
    """Copies an upright 8-bit JPEG, else writes the image as one; returns its path. `how` and errors as above."""
    path = Path(f"{stem}.jpg")
    if how != "none" and stays_as_it_is(source, {"JPEG"}):
        return _same_file(folder, path, source, how)
    return None if how == "none" else _encoded(folder, path, jpeg_bytes(read_image(source), source))


def write_png(folder: Path, stem: str, source: Path, how: str = "copy") -> Path | None:
    """Copies an upright 8-bit PNG, else writes the image as one; returns its path. `how` and errors as above."""
    path = Path(f"{stem}.png")
    if how != "none" and stays_as_it_is(source, {"PNG"}):
        return _same_file(folder, path, source, how)
    return None if how == "none" else _encoded(folder, path, png_bytes(read_image(source)))


def stays_as_it_is(source: Path, formats: Collection[str]) -> bool:
    """Returns whether the file is an upright, opaque, 8-bit grey or RGB image in one of the formats.

    Reads the header only, as an image may be larger than memory. Raises ImageError when the file cannot be read.
    """
    try:
        with open(source, "rb") as file, open_image(file) as image:
            plain = image.mode in ("L", "RGB") and "transparency" not in image.info and ";16" not in str(image.tile)
            upright = Image.Image.getexif(image).get(0x0112, 1) == 1
            still = image.format == "MPO" or getattr(image, "n_frames", 1) == 1
            kind = "JPEG" if image.format == "MPO" else image.format  # phones append a second view to a JPEG
    except OSError as error:
        raise ImageError(source, f"cannot be read ({error.strerror or error})") from error
    except Exception:  # damaged EXIF raises anything; re-encoding leaves it behind
        return False
    return plain and upright and still and kind in formats


def _same_file(folder: Path, path: Path, source: Path, how: str) -> Path:
    """Links to a file, or copies it where that is wanted or no link can be made; returns the path."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # of an export that was stopped
    try:
        if how == "link":
            try:
                os.link(os.path.realpath(source), target)
                return path
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                    raise
                # another disk, or one without hard links: a copy then
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise ImageError(source, "file is gone") from error
    return path


def _encoded(folder: Path, path: Path, data: bytes) -> Path:
    put(folder / path, data)
    return path


def jpeg_bytes(image: np.ndarray, source: Path) -> bytes:
    """Returns uint8 (H, W, 3) as JPEG. Raises ImageError when it is larger than JPEG allows."""
    if max(image.shape[:2]) > JPEG_MAX_PX:
        raise ImageError(source, f"longer than the {JPEG_MAX_PX} pixels of a JPEG: cut it or export png")
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()
