"""The pictures of a test as one short animated picture, such as the README shows."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

WIDTH_PX = 960
QUALITY = 72


class Film:
    """Frames in the order in which they were taken; without a path it takes none."""

    def __init__(self, path: Path | None):
        self.path = path
        self.frames: list[Image.Image] = []
        self.lasting_ms: list[int] = []

    def shot(self, page: Page, seconds: float = 1.6) -> None:
        """Takes the page as it is now, shown for `seconds`."""
        if self.path is None:
            return
        with Image.open(io.BytesIO(page.screenshot(animations="disabled"))) as shot:
            height = round(shot.height * WIDTH_PX / shot.width)
            self.frames.append(shot.convert("RGB").resize((WIDTH_PX, height), Image.Resampling.LANCZOS))
        self.lasting_ms.append(round(1000 * seconds))

    def save(self) -> None:
        """Writes the animated picture; its suffix says which kind."""
        if self.path is None or not self.frames:
            return
        first, *others = self.frames
        first.save(
            self.path, save_all=True, append_images=others, duration=self.lasting_ms, loop=0, quality=QUALITY, method=6
        )
