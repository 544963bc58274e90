"""The training and the validation set of an export: by share and seed, or by folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from picie_core.errors import SettingError
from picie_core.export.mask_format import Written

SPLITS = ("train", "val")


@dataclass(frozen=True)
class TrainValSplit:
    """How the images are divided into a training and a validation set."""

    val_share: float = 0.2
    """Share of the validation set, 0 to 1."""
    seed: int = 0
    val_folders: tuple[str, ...] = ()
    """Folders below that of the images whose images are the validation set; the share does not count then."""

    def __post_init__(self) -> None:
        if not 0 <= self.val_share <= 1:
            raise SettingError(
                f"val-share={self.val_share} must be from 0 to 1: 0.2 puts a fifth of the images into val"
            )

    def splits_of(self, paths: Sequence[str]) -> list[str]:
        """Returns `train` or `val` for each image path; by share, two images suffice for both where both are wanted.

        Raises SettingError for a folder without images.
        """
        if self.val_folders:
            return self._by_folder(paths)
        count = round(len(paths) * self.val_share)
        if len(paths) > 1 and 0 < self.val_share < 1:
            count = min(max(count, 1), len(paths) - 1)
        in_order = sorted(range(len(paths)), key=lambda i: paths[i])  # the order of listing has no effect
        chosen = {in_order[i] for i in np.random.default_rng(self.seed).permutation(len(paths))[:count]}
        return ["val" if i in chosen else "train" for i in range(len(paths))]

    def _by_folder(self, paths: Sequence[str]) -> list[str]:
        starts = [folder.strip("/") + "/" for folder in self.val_folders]
        for start in starts:
            if not any(path.startswith(start) for path in paths):
                raise SettingError(
                    f"val-folders={start[:-1]}: no image of the export lies in this folder; name folders below that of "
                    "the images"
                )
        return ["val" if path.startswith(tuple(starts)) else "train" for path in paths]

    def record(self, splits: Sequence[str]) -> dict[str, object]:
        """Returns what `export.json` says about the division."""
        counts = {name: sum(one == name for one in splits) for name in SPLITS}
        how = {"val_folders": list(self.val_folders)} if self.val_folders else {"val_share": self.val_share}
        return {**counts, **how, "seed": self.seed}


def write_split_lists(folder: Path, written: Written) -> None:
    """Writes train.txt and val.txt into `folder`: the stems of the images, one a line."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        lists = {name: stack.enter_context(open(folder / f"{name}.txt", "wb")) for name in SPLITS}
        for one in written:
            lists[one.split].write(f"{one.stem}\n".encode())
