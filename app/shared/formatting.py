"""How numbers are written on screen: always with their unit, never with false precision."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from picie_core.progress import Progress


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Returns `1 image`, `367 images` or `12,000 images`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def literal(text: str) -> str:
    """Returns what a person typed for Markdown to show as it is: no picture, link or colour comes of a name."""
    return re.sub(r"([\\`*_{}\[\]()#+.!:~$<>|-])", r"\\\1", text)


def percent(share: float) -> str:
    """Returns a share as `11.2 %`; what is there but tiny as `< 0.1 %`."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Returns `8 s`, `4 min 10 s` or `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def when(at: float) -> str:
    """Returns a moment (seconds since the epoch) as `14:05` if it was today, else as `23 Nov 14:05`."""
    moment = datetime.fromtimestamp(at)
    return moment.strftime("%H:%M" if moment.date() == datetime.now().date() else "%d %b %H:%M")


def about(seconds: float) -> str:
    """Returns an estimate with one or two significant digits, such as `≈ 40 s` or `≈ 12 min`."""
    if seconds < 90:
        step = 1 if seconds < 10 else 5 if seconds < 40 else 10
        return f"≈ {max(1, round(seconds / step)) * step} s"
    return f"≈ {max(2, round(seconds / 60))} min" if seconds < 5400 else f"≈ {seconds / 3600:.1f} h"


def size(byte_count: float) -> str:
    """Returns `340 kB`, `12.4 MB` or `1.3 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if byte_count >= factor:
            return f"{byte_count / factor:.1f} {unit}"
    return f"{max(0, byte_count) / 1e3:.0f} kB"


def pixels(sizes: Iterable[tuple[int, int]]) -> str:
    """Returns the size that all images share as `480 × 360 px`, else the range from smallest to largest."""
    ordered = sorted(set(sizes), key=lambda pair: pair[0] * pair[1])
    if not ordered:
        return "no images"
    first, last = ordered[0], ordered[-1]
    if first == last:
        return f"{first[0]} × {first[1]} px"
    return f"{first[0]} × {first[1]} to {last[0]} × {last[1]} px"


def home_path(path: Path | str) -> str:
    """Returns a folder as a person says it: below the home folder with `~`."""
    path = Path(path)
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def progress_line(progress: Progress, unit: str = "images") -> str:
    """Returns one line such as `embed · 120 of 367 · 11.3 images/s · 22 s left`.

    unit: of the rate; empty where the steps are not alike, so that a rate would say nothing.
    """
    parts = [progress.phase, f"{progress.done:,} of {progress.total:,}"]
    if not unit:
        return " · ".join(parts)
    if progress.rate:
        parts.append(f"{progress.rate:.1f} {unit}/s")
    whole = whole_eta_s(progress)
    if whole is not None:
        parts.append(f"{duration(whole)} left in all")
    elif progress.eta_s is not None and progress.done < progress.total:
        parts.append(f"{duration(progress.eta_s)} left")
    return " · ".join(parts)


def whole_eta_s(progress: Progress) -> float | None:
    """Returns the seconds left of all epochs, where the phase counts them (`epoch 2/5`); None where it does not."""
    epochs = re.fullmatch(r"epoch (\d+)/(\d+)", progress.phase)
    if epochs is None or not progress.rate or progress.eta_s is None:
        return None
    return progress.eta_s + (int(epochs[2]) - int(epochs[1])) * progress.total / progress.rate


def device_here() -> str:
    """Returns what long work will run on, without loading torch: `NVIDIA GPU` or `CPU, 2 cores`."""
    if os.path.exists("/dev/nvidia0"):
        return "NVIDIA GPU"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"CPU, {count(cores, 'core')}"
