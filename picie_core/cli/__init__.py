"""One function a command; its docstring is the help, its parameters and settings are the options."""

from __future__ import annotations

from picie_core.cli.cluster import cluster, project
from picie_core.cli.compare import compare
from picie_core.cli.embed import embed
from picie_core.cli.evaluate import evaluate
from picie_core.cli.export import export
from picie_core.cli.info import info
from picie_core.cli.label import label
from picie_core.cli.mosaic import mosaic
from picie_core.cli.paint import paint
from picie_core.cli.parser import Command
from picie_core.cli.suggest import look_next, scores, tree, truth
from picie_core.cli.train import train

COMMANDS: dict[str, Command] = {
    "embed": embed,
    "train": train,
    "cluster": cluster,
    "project": project,
    "scores": scores,
    "tree": tree,
    "next": look_next,
    "mosaic": mosaic,
    "label": label,
    "paint": paint,
    "export": export,
    "truth": truth,
    "evaluate": evaluate,
    "compare": compare,
    "info": info,
}
