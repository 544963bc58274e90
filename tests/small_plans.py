"""Plans of comparisons whose runs take a second each."""

from __future__ import annotations

import json
from pathlib import Path

ROWS = [
    {"name": "frozen start", "method": "frozen"},
    {"name": "PiCIE + H", "method": "picie", "settings": {"overcluster": 6}},
    {"name": "MDC", "method": "mdc", "epochs": 1},
    {"name": "supervised", "method": "supervised", "seeds": [0], "epochs": 2},
]


def make_plan(scenes: Path, **changes: object) -> dict:
    """A plan over the scenes of five images."""
    folders = {"images": "images", "masks": "masks", "val_images": "images", "val_masks": "masks"}
    one = {"name": "scenes", **{name: str(scenes / path) for name, path in folders.items()}}
    return {
        "sets": [{**one, "count": 5, "size": 64, "batch": 4}],
        "rows": ROWS,
        "weights": "none",
        "seeds": [0, 1],
        "epochs": 6,
        "ks": [5],
        "cluster_seeds": 2,
        "settings": {"pixels": 600, "dim": 32, "cluster-images": 5, "precision": "32-true"},
        **changes,
    }


def write_plan(path: Path, plan: dict) -> Path:
    """A plan as a TOML file."""
    path.write_text("".join(f"{name} = {toml(value)}\n" for name, value in plan.items()))
    return path


def toml(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


def results(out: Path) -> dict[str, dict]:
    """The stored results of a comparison, by file name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((out / "rows").glob("*.json"))}
