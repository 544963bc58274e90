"""`label split`: a cluster taken apart, in parts or by crops."""

from __future__ import annotations

import re
from typing import Annotated, Any

from picie_core.cli.label import read_clusters
from picie_core.cli.options import ClusteringOption, RunOption, WorkspaceOption
from picie_core.cli.parser import Option
from picie_core.errors import SettingError
from picie_core.workspace.workspace import StoredClustering, Workspace


def split_cluster(
    workspace_root: WorkspaceOption,
    clusters: Annotated[str, Option("id of the cluster to split")],
    name: Annotated[str | None, Option("what --crops show", positional=True)] = None,
    parts: Annotated[int, Option("how many clusters to make of it, 2 to 8", low=2)] = 2,
    seed: Annotated[int, Option("seed of the parts", low=0)] = 0,
    preview: Annotated[bool, Option("only list the parts, and split nothing")] = False,
    crops: Annotated[
        str | None, Option("split off what looks like these of the random crops, such as 5,8, and call it NAME")
    ] = None,
    run_name: RunOption = None,
    clustering_name: ClusteringOption = None,
) -> dict[str, Any]:
    """Take a cluster apart: in parts, or split off what some of its crops show; no other cluster changes.

    Advice: `label split --clusters 3 --parts 2 --preview` shows what the parts would be. `label split car --clusters 3
    --crops 5,8` splits off what crops 5 and 8 show; `contact-sheets --clusters 3 --kind random` draws them, counted
    from 0.
    """
    from picie_core.clustering.split_proposals import preview_split, propose_split
    from picie_core.workspace import cluster_edits

    clustering = Workspace.open(workspace_root).pick_run(run_name).clustering(clustering_name)
    numbers = read_clusters(clusters, clustering.k)
    if len(numbers) != 1:
        raise SettingError(f"clusters={clusters} are {len(numbers)}: split one at a time")
    cluster, result = numbers[0], {"run": clustering.run.name, "clustering": clustering.name}
    if crops is not None:
        if name is None:
            raise SettingError("name is missing: give `label split NAME --clusters 3 --crops 5,8`")
        return {**result, **_split_crops(clustering, cluster, crops, name)}
    embeddings = clustering.sample().embeddings
    centroids = propose_split(clustering, embeddings, cluster, parts, seed=seed)
    if preview:
        made = preview_split(clustering, embeddings, cluster, centroids)
    else:
        made = cluster_edits.split_cluster(clustering, cluster, centroids)
    rows = [
        {"cluster": part, "pixels": count, "share": count / len(clustering.labels)}
        for part, count in zip(made.parts, made.counts, strict=True)
    ]
    return {**result, "k": made.clustering.k, "split": not preview, "parts": rows}


def _split_crops(clustering: StoredClustering, cluster: int, crops: str, name: str) -> dict[str, Any]:
    from picie_core.labels.crop_split import crops_to_review, split_crops

    source = clustering.run.contact_sheet_source()
    drawn = crops_to_review(source.sample, clustering, cluster, source.dense.index)
    picked = [int(word) if word.isdecimal() else -1 for word in re.split(r"[,\s]+", crops.strip())]
    part = split_crops(clustering.label_map, source.sample, clustering, cluster, crops=drawn, sets={name: picked})[0]
    made = clustering.reload()
    rows = [{"cluster": one, "pixels": int(made.counts[one])} for one in dict.fromkeys((cluster, part))]
    return {"k": made.k, "split": part != cluster, "parts": rows}
