"""All commands by their names; importing it imports every command, and nothing that computes."""

from __future__ import annotations

from picie_core.cli import label
from picie_core.cli.annotations import annotated_images
from picie_core.cli.cluster import cluster
from picie_core.cli.compare import compare
from picie_core.cli.contact_sheets import contact_sheets
from picie_core.cli.distil import distil
from picie_core.cli.embed import embed
from picie_core.cli.evaluate import evaluate
from picie_core.cli.export import export
from picie_core.cli.ground_truth import ground_truth
from picie_core.cli.import_masks import import_corrected
from picie_core.cli.info import info
from picie_core.cli.label_history import history, redo, snapshot, undo
from picie_core.cli.label_split import split_cluster
from picie_core.cli.next import next_to_review
from picie_core.cli.paint import paint
from picie_core.cli.parser import Command, Group
from picie_core.cli.project import project
from picie_core.cli.scores import scores
from picie_core.cli.train import train
from picie_core.cli.tree import tree

LABEL: dict[str, Command] = {
    "name": label.name_clusters,
    "unname": label.unname_clusters,
    "rename": label.rename_class,
    "recolor": label.recolor_class,
    "delete": label.delete_class,
    "merge": label.merge_class,
    "split": split_cluster,
    "annotations": annotated_images,
    "vocabulary": label.vocabulary,
    "undo": undo,
    "redo": redo,
    "history": history,
    "snapshot": snapshot,
    "import": label.import_names,
    "export": label.export_names,
}

COMMANDS: dict[str, Command | Group] = {
    "embed": embed,
    "train": train,
    "cluster": cluster,
    "project": project,
    "scores": scores,
    "tree": tree,
    "next": next_to_review,
    "contact-sheets": contact_sheets,
    "label": Group(label.ADVICE, LABEL),
    "paint": paint,
    "export": export,
    "import": import_corrected,
    "distil": distil,
    "truth": ground_truth,
    "evaluate": evaluate,
    "compare": compare,
    "info": info,
}
