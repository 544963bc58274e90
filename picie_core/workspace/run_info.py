"""The record of a run: its method, settings, state and progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from picie_core.settings import MASK_METHODS

METHOD_TITLES = {"picie": "PiCIE", "mdc": "MDC", "iic": "IIC", "supervised": "Supervised", "probe": "Linear probe"}
"""The names on screen of the methods that train."""


@dataclass(frozen=True)
class RunInfo:
    """The record of one run, stored as `run.json`."""

    id: str
    method: str
    """`frozen`, or the method of its training, such as `picie`."""
    state: str
    """running, stopped, failed or done; only a done run has a sample."""
    created: float
    settings: dict[str, Any] = field(default_factory=dict)
    epochs_done: int = 0
    images: int = 0
    seconds: float = 0.0
    sample: dict[str, Any] = field(default_factory=dict)
    """What embedding the images gave; empty before the run is done."""

    @property
    def sized(self) -> bool:
        """Whether its network sees images resized to `size_px`, and not at a downsample."""
        return not self.settings.get("downsample")

    @property
    def resolution(self) -> str:
        """At which size its network sees images, such as `320 px` or `downsample 4`."""
        return f"{self.settings.get('size_px', '?')} px" if self.sized else f"downsample {self.settings['downsample']}"

    @property
    def title(self) -> str:
        """The name on screen, such as `Frozen resnet18`, `PiCIE K 27, 5 epochs` or `IIC K 27+100, 1 epoch`."""
        if self.method == "probe":
            return METHOD_TITLES[self.method]
        if self.method == "frozen":
            return f"Frozen {self.settings.get('backbone', '')}".strip()
        title, overcluster = METHOD_TITLES.get(self.method, self.method), self.settings.get("overcluster")
        if self.method not in MASK_METHODS:  # they have the classes of their masks
            title += f" K {self.settings.get('k', '?')}{f'+{overcluster}' if overcluster else ''}"
        return f"{title}, {self.epochs_done} epoch{'' if self.epochs_done == 1 else 's'}"
