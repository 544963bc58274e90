"""One PNG mask: class ids as grey values or palette indices, or classes as exact colours."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from picie_core.colors import Rgb
from picie_core.data.class_names import IGNORE_ID
from picie_core.data.images.image_file import open_image
from picie_core.export.readers.mask_set import MaskError, MaskSizeError, NamedMask, Reading

UNKNOWN = -1
SHOWN = 4
"""How many unknown values or colours a message lists."""


@dataclass(frozen=True)
class MaskCode:
    """What grey values and colours mean: class ids, 255 for no class."""

    values: Mapping[int, int]
    colors: Mapping[Rgb, int]

    @cached_property
    def of_value(self) -> np.ndarray:
        """(65536,) int16 class of each grey value, -1 for unknown ones."""
        table = np.full(1 << 16, UNKNOWN, np.int16)
        for value, class_id in self.values.items():
            table[value] = class_id
        return table

    @cached_property
    def of_color(self) -> np.ndarray:
        """(2 ** 24,) int16 class of each packed colour, -1 for unknown ones; 32 MB, made when a mask is coloured."""
        table = np.full(1 << 24, UNKNOWN, np.int16)
        for (red, green, blue), class_id in self.colors.items():
            table[red << 16 | green << 8 | blue] = class_id
        return table


def png_masks(names: Sequence[str], folder: str, read: Callable[[str], bytes], code: MaskCode) -> list[NamedMask]:
    """Returns the masks among files; the stem of each below `folder` is the name of its image."""

    def reader(name: str) -> Callable[[tuple[int, int]], Reading]:
        return lambda size: read_png_mask(name, read(name), size, code)

    found = []
    for name in names:
        stem = str(PurePosixPath(name).relative_to(folder).with_suffix(""))
        found.append(NamedMask(stem, reader(name), is_stem=True))
    return found


def read_png_mask(name: str, data: bytes, size: tuple[int, int], code: MaskCode) -> Reading:
    """Returns the classes in a PNG for an image of `size` (width, height).

    Grey values are looked up as ids, colours exactly; a palette mask by its colours where all of them are known, else
    by its indices. Raises MaskSizeError before anything is decoded, and MaskError for a damaged file, for ids outside
    the list and for unknown colours, with the number of their pixels.
    """
    try:
        with open_image(io.BytesIO(data)) as image:
            if image.size != size:
                raise MaskSizeError(name, image.size, size)
            image.load()
            return Reading(_classes(name, image, code))
    except MaskError:
        raise
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise MaskError(name, f"damaged or no PNG ({error or type(error).__name__}): save it again as PNG") from error


def _classes(name: str, image: Image.Image, code: MaskCode) -> np.ndarray:
    """The class ids (H, W) uint8 of a decoded image."""
    if image.mode == "LA":
        image = image.convert("L")
    if image.mode == "P":
        if code.colors:
            classes = code.of_color[_packed(np.asarray(image.convert("RGB")))]
            if (classes != UNKNOWN).all():
                return classes.astype(np.uint8)
        return _by_value(name, np.asarray(image), code)
    if image.mode in ("L", "1", "I;16", "I"):
        values = np.asarray(image)
        return _by_value(name, values.astype(np.uint8) if values.dtype == bool else values, code)
    if image.mode == "RGBA":
        alpha = np.asarray(image.getchannel("A"))
        if not np.isin(alpha, (0, 255)).all():
            raise MaskError(name, "half-transparent pixels have no exact colour: save it without transparency")
        return _by_color(name, np.asarray(image.convert("RGB")), code, alpha == 0)
    if image.mode == "RGB":
        return _by_color(name, np.asarray(image), code, None)
    raise MaskError(name, f"a PNG of mode {image.mode} holds no classes: save it as grey, palette or RGB PNG")


def _by_value(name: str, values: np.ndarray, code: MaskCode) -> np.ndarray:
    if values.size and (values.min() < 0 or values.max() >= 1 << 16):
        raise MaskError(name, f"it holds values from {values.min()} to {values.max()}: ids are 0 to 254, and 255")
    classes = code.of_value[values]
    unknown = classes == UNKNOWN
    if unknown.any():
        ids, counts = np.unique(values[unknown], return_counts=True)
        rows = [f"{one} ({count:,} px)" for one, count in zip(ids[:SHOWN].tolist(), counts.tolist(), strict=False)]
        known = _ranges(code.values)
        raise MaskError(name, f"ids outside the list: {', '.join(rows)}; known are {known}: mend the mask or the list")
    return classes.astype(np.uint8)


def _by_color(name: str, rgb: np.ndarray, code: MaskCode, clear: np.ndarray | None) -> np.ndarray:
    """clear: (H, W) bool of transparent pixels, which are of no class."""
    if not code.colors:
        raise MaskError(name, "it is an RGB picture and no colours of classes are known: save the grey mask of ids")
    packed = _packed(rgb)
    classes = code.of_color[packed]
    if clear is not None:
        classes[clear] = IGNORE_ID
    unknown = classes == UNKNOWN
    if unknown.any():
        colors, counts = np.unique(packed[unknown], return_counts=True)
        most = np.argsort(-counts, kind="stable")[:SHOWN]
        rows = [f"#{colors[i]:06x} ({counts[i]:,} px)" for i in most]
        more = f" and {len(colors) - SHOWN} more" if len(colors) > SHOWN else ""
        raise MaskError(
            name,
            f"{len(colors)} unknown colour{'s' if len(colors) > 1 else ''}: {', '.join(rows)}{more}; paint with the "
            "exact colours of the classes, without soft edges, and save as PNG",
        )
    return classes.astype(np.uint8)


def _packed(rgb: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) uint8 as one number each, (H, W) int32."""
    packed = rgb[..., 0].astype(np.int32) << 16
    packed |= rgb[..., 1].astype(np.int32) << 8
    packed |= rgb[..., 2]
    return packed


def _ranges(ids: Collection[int]) -> str:
    """Numbers in words: `0 to 2, 255`."""
    runs: list[list[int]] = []
    for one in sorted(ids):
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
