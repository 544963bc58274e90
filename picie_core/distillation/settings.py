"""Settings of a distillation: the student network, and how it learns from pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass

from picie_core.errors import SettingError
from picie_core.settings import check_settings, setting

NETWORKS = (
    "fpn_resnet18",
    "deeplabv3_resnet18",
    "deeplabv3_resnet50",
    "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
)


@dataclass(frozen=True)
class StudentSettings:
    """What the student is; the same settings make the same network."""

    network: str = setting(
        "fpn_resnet18",
        "student: fpn_resnet18 is the one to train on a CPU, lraspp_mobilenet_v3_large the lightest, deeplabv3... want "
        "a GPU",
        choices=NETWORKS,
    )
    weights: str = setting(
        "imagenet",
        "imagenet (the published weights of the backbone, downloaded once), none (random, needs many images) or the "
        "PATH of a state dict",
    )
    size_px: int = setting(
        360, "shorter side of the images at the student's input, px, in training and in use", low=32, high=4096
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class DistilSettings:
    """How the student learns."""

    epochs: int = setting(30, "epochs: passes over the training images, of each round", low=1, high=10_000)
    minutes: float = setting(
        0.0, "time budget of the training, minutes; the learning rate reaches zero by then; 0 is none", low=0
    )
    batch: int = setting(8, "batch size, in crops; halve it when memory is short", low=2, high=1024)
    crop_px: int = setting(256, "side of the square crops that a step learns from, px", low=32, high=4096)
    scale_jitter: float = setting(
        2.0, "crops show the image up to this many times larger or smaller; 1 is none", low=1, high=8
    )
    classmix: float = setting(
        0.5, "share of the crops into which the pixels of some classes of another crop are pasted", low=0, high=1
    )
    cutout: float = setting(
        0.0, "share of the crops in which a box is greyed, so that context has to tell", low=0, high=1
    )
    lr_head: float = setting(3e-3, "learning rate of the layers that start random (AdamW)", low=0)
    lr_backbone: float = setting(4e-4, "learning rate of the backbone; 0 freezes it", low=0)
    weight_decay: float = setting(1e-2, "weight decay (AdamW)", low=0)
    averaging: float = setting(
        0.99, "decay of the running mean of the weights, which is what is evaluated and kept; 0 keeps the last", low=0,
        high=0.9999,
    )  # fmt: skip
    confidence: float = setting(
        0.0,
        "a pixel weighs its confidence to this power, where confidence maps were exported; 0 counts all alike, which "
        "was a little better where we measured it",
        low=0,
        high=4,
    )
    annotated: float = setting(3.0, "how many times a pixel of an annotated image counts", low=0)
    balance: float = setting(
        -0.5, "class weights of the loss are the frequency in the labels to this power; 0 is none", low=-1, high=0
    )
    bootstrap: float = setting(
        0.0,
        "share of the targets that the averaged student itself gives, which lets it overrule labels that it cannot "
        "make sense of",
        low=0,
        high=0.9,
    )
    rounds: int = setting(
        1, "rounds; before each after the first, the student's own confident masks replace the labels", low=1, high=5
    )
    keep_confidence: float = setting(
        0.7, "confidence from which the student's own pixels are labels in a further round", low=0, high=1
    )
    val_share: float = setting(
        0.1, "share of the images held out, where the export has no val split", low=0.01, high=0.5
    )
    patience: int = setting(
        10, "early stop: after so many epochs without a better agreement with the held-out labels; 0 never", low=0
    )
    seed: int = setting(0, "seed of all random numbers", low=0)
    precision: str = setting(
        "auto",
        "32-true, bf16-mixed or auto: bfloat16 where the device is fast at it",
        choices=("auto", "32-true", "bf16-mixed"),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.crop_px % 32:
            raise SettingError(
                f"crop={self.crop_px} must be a multiple of 32, the stride of the networks: give "
                f"{self.crop_px // 32 * 32}"
            )
