"""One function a command; its docstring is the help, its parameters and settings are the options."""

from __future__ import annotations

from picie_core.cli import Command
from picie_core.commands.cluster import cluster, project
from picie_core.commands.compare import compare
from picie_core.commands.embed import embed
from picie_core.commands.evaluate import evaluate
from picie_core.commands.export import export
from picie_core.commands.info import info
from picie_core.commands.label import label
from picie_core.commands.mosaic import mosaic
from picie_core.commands.paint import paint
from picie_core.commands.suggest import look_next, scores, tree, truth
from picie_core.commands.train import train

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
