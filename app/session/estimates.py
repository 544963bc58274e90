"""What the buttons for embedding and training need: the arguments, and how long it will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.session.weights import USUAL
from picie_core.data.images.image_index import ImageRecord
from picie_core.data.images.pyramid_cache import STORED_FROM_PIXELS
from picie_core.published_backbones import published
from picie_core.settings import DOWNSAMPLES
from picie_core.workspace.workspace import Workspace

RATE_AT_320_PX = 14.0
"""Images a second of a frozen ResNet-18 at 320 px on two cores, before this machine was measured."""
PIXELS_PER_S = RATE_AT_320_PX * 320 * 427
OVERLAP_COST = 1.6
"""How many times as many pixels the network sees in tiles of 1,280 px that overlap by 256."""
DECODE_S_PER_PIXEL = 5e-8
USUAL_PIXELS = 50_000_000
"""So many pixels take about a minute on two cores."""
START_S = 6.0
OTHER_CPU_TIME = 5.0
"""Of a backbone that was not measured, how many times as long as ResNet-18 it takes."""
TRAIN_COST = 6.0
"""How many times as long as embedding one image an epoch takes for it: two views, forward and backward."""
PAPER_COST = 5.0
"""Times the default's cost with the views and labels of the paper's recipe: 48 against 10 images/s at 160 px."""
LIKE = {"size_px": None, "backbone": USUAL, "views": "half", "labels": "step"}
"""Settings by which the time of a training goes, with what runs that do not store them used."""


def embed_arguments(workspace: Workspace, weights: str, size_px: int = 320, downsample: int = 0) -> list[str]:
    """Returns the arguments of `embed` for the images of this workspace, at a size or at a downsample."""
    resolution = ["--downsample", str(downsample)] if downsample else ["--size", str(size_px)]
    return [str(workspace.images_root), "--weights", weights, *resolution]


def usual_downsample(images: Sequence[ImageRecord]) -> int:
    """Returns the downsample that suits most of the images: 0, a size, where these are no larger than photographs.

    For large ones it is the nearest one at which the network sees at most USUAL_PIXELS in all.
    """
    pixels = sorted(image.width * image.height for image in images)
    if not pixels or pixels[len(pixels) // 2] <= STORED_FROM_PIXELS:
        return 0
    return next((one for one in DOWNSAMPLES[1:] if sum(pixels) / one**2 <= USUAL_PIXELS), DOWNSAMPLES[-1])


def estimate_tiles_s(images: Sequence[ImageRecord], downsample: int) -> float:
    """Returns about how many seconds embedding in tiles takes: as many pixels as small images, and the overlaps."""
    pixels = sum(image.width * image.height for image in images)
    return START_S + pixels * DECODE_S_PER_PIXEL + pixels / downsample**2 * OVERLAP_COST / PIXELS_PER_S


def cpu_time(backbone: str) -> float:
    """Returns how many times as long as ResNet-18 a backbone takes for an image."""
    known = published(backbone)
    return known.cpu_time if known else OTHER_CPU_TIME


def estimate_embed_s(workspace: Workspace, images: int, size_px: int = 320, backbone: str = USUAL) -> float:
    """Returns about how many seconds `embed` will take: from the last run on this machine, else from a usual rate."""
    measured = [
        info.images / info.seconds * (int(info.settings.get("size_px", 320)) / size_px) ** 2 * cpu_time(used)
        for info in workspace.runs()
        if info.method == "frozen" and info.state == "done" and info.seconds and info.images and info.sized
        for used in [info.settings.get("backbone", USUAL)]
    ]
    rate = measured[0] if measured else RATE_AT_320_PX * (320 / size_px) ** 2
    return (0.0 if measured else START_S) + images * cpu_time(backbone) / rate


def estimate_train_s(workspace: Workspace, images: int, values: Mapping[str, Any]) -> float:
    """Returns about how many seconds a training will take: from one like it, else a multiple of embedding.

    values: its settings by name.
    """
    wanted = {name: values.get(name, usual) for name, usual in LIKE.items()}
    measured = [
        info.seconds / (info.images * info.epochs_done)
        for info in workspace.runs()
        if info.method != "frozen"
        and info.epochs_done
        and info.seconds
        and {name: info.settings.get(name, usual) for name, usual in LIKE.items()} == wanted
    ]
    if measured:
        return measured[0] * images * values["epochs"]
    cost = TRAIN_COST * (values["size_px"] / 320) ** 2 * cpu_time(wanted["backbone"])
    cost *= PAPER_COST if (wanted["views"], wanted["labels"]) == ("equal", "epoch") else 1
    return START_S + images * values["epochs"] * cost / RATE_AT_320_PX
