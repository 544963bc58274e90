"""The settings of an export, besides its formats and its post-processing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from picie_core.errors import SettingError
from picie_core.export.splits import TrainValSplit
from picie_core.settings import check_settings, option_name, setting


@dataclass(frozen=True)
class ExportSettings:
    """What an export writes beside masks of all classes, and into which set each image goes."""

    raw: bool = setting(False, "write cluster ids instead of classes")
    classes: tuple[str, ...] = setting((), "write these classes only; pixels of the others become 255")
    fix_names: bool = setting(False, "write class names that a format cannot hold in a form that it can hold")
    confidence: str = setting(
        "none",
        "write confidence maps beside the masks: png (uint8, 255 is sure) or npz (float16)",
        choices=("none", "png", "npz"),
    )
    image_files: str = setting(
        "copy",
        "image files beside the masks: copy, link (hard links where a file can stay as it is) or none",
        choices=("copy", "link", "none"),
    )
    val_share: float = setting(0.2, "share of the images in the validation set")
    val_folders: tuple[str, ...] = setting((), "the images of these folders are the validation set, whatever the share")
    seed: int = setting(0, "seed of the division into training and validation set", low=0)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.raw and self.classes:
            raise SettingError("classes and raw exclude each other: cluster ids have no classes; leave one of them out")
        self.division  # noqa: B018 - checks the share

    @property
    def division(self) -> TrainValSplit:
        """How the images are divided into a training and a validation set."""
        return TrainValSplit(self.val_share, self.seed, self.val_folders)

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the defaults."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) != one.default}

    def options(self) -> list[str]:
        """Returns the options of the command line that mean this."""
        words = []
        for name, value in self.changes.items():
            words.append("--" + option_name(name))
            if not isinstance(value, bool):
                words += map(str, value) if isinstance(value, tuple) else [f"{value}"]
        return words
