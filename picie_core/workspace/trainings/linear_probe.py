"""The linear probe: a logistic regression on the dense features of a network that stays as it is.

It takes seconds where a frozen run has stored the features, and one pass over the images elsewhere, so a probe that
was stopped is made again from its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from picie_core.atomic_files import folder_atomic, link_files
from picie_core.data.embedding_sample import DenseFeatures
from picie_core.data.labelled_rows import LabelledRows
from picie_core.data.labelled_sets.labelled_set import LabelledSet
from picie_core.data.sample_writer import draw_positions, quantise
from picie_core.errors import PicieError
from picie_core.progress import Meter, Report
from picie_core.workspace.embedding import image_pass, make_sample, start_embedder
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.trainings.training_plan import TrainingPlan, stored_settings
from picie_core.workspace.workspace import Run, Workspace

if TYPE_CHECKING:
    from torch import Tensor

    from picie_core.models.classifier_head import Head
    from picie_core.models.embedder import Embedder
    from picie_core.models.logistic_regression import Fit

BALANCE = -0.25
"""Rows weigh by the frequency of their class to this power: on held-out images of camvid, ycor and dubai_aerial that
gives -0.5, -0.4 and +0.3 points of accuracy and +1.3, +0.3 and +1.2 of mIoU; with -0.5 accuracy falls by 2 points."""
START_IMAGES = 2000
"""Images that the initial classifier of a supervised training is fitted to, where no features are stored."""


def make_probe(
    workspace: Workspace,
    run: str,
    plan: TrainingPlan,
    truth: LabelledSet,
    *,
    device: str,
    report: Report,
    note: Callable[[str], None],
) -> dict[str, Any]:
    """Writes embedder, embedding sample, dense features and classifier of `run`, and returns what was made.

    The features are those that a run of the same network has stored, otherwise every image is embedded.
    note: takes a line when the solver has not converged, or a class has no row.
    """
    from picie_core.models.classifier_head import save_head
    from picie_core.models.embedder import load_embedder, save_embedder
    from picie_core.models.inference import FrozenEmbedder

    folder, rows = workspace.run_dir(run), _Rows(workspace, plan, truth)
    stored = find_stored_features(workspace, plan)
    if stored is not None:
        for part in ("embedder", "sample", "dense"):
            with folder_atomic(folder / part) as temporary:
                link_files(stored.folder / part, temporary)
        rows.add_stored(stored, report)
        made = {name: stored.info.sample[name] for name in ("images", "pixels", "dense_images", "digest")}
    else:
        if plan.start is None:
            network = start_embedder(workspace, plan.embedder, plan.sampling, report)
        else:
            network = load_embedder(workspace.run_dir(plan.start) / "embedder")[0]
        sample = make_sample(
            workspace,
            run,
            FrozenEmbedder(network, device),
            plan.sampling,
            embedder_to_fit=network if plan.start is None else None,
            report=report,
            take=rows.add,
        )
        save_embedder(network, folder / "embedder", plan.sampling.size_px)
        made = asdict(sample)
    fit = rows.fit(device, note)
    save_head(fit.head, folder / "head.npz")
    return {**made, "rows": fit.rows, "iterations": fit.iterations, "converged": fit.converged}


def probe_of_network(
    workspace: Workspace,
    plan: TrainingPlan,
    network: Embedder,
    *,
    held_out: Collection[int] = (),
    device: str,
    report: Report,
    note: Callable[[str], None],
) -> Head:
    """Returns the linear probe of the network that a plan starts from, and writes nothing.

    held_out: images that it does not learn from. note: as of `make_probe`.
    """
    from picie_core.models.embedding_pass import embed_images
    from picie_core.models.inference import FrozenEmbedder

    truth = plan.ground_truth(workspace)
    assert truth is not None
    rows, stored = _Rows(workspace, plan, truth, held_out), find_stored_features(workspace, plan)
    if stored is not None:
        rows.add_stored(stored, report)
    else:
        labelled = {record.id for record in workspace.image_list().readable if truth.has_mask(record.path)}
        ids = sorted(labelled.difference(held_out))
        chosen = np.random.default_rng(plan.sampling.seed).permutation(ids)[:START_IMAGES].tolist()
        images = image_pass(workspace, chosen, plan.sampling, report)
        for image_ids, feature_maps in embed_images(images, FrozenEmbedder(network, device)):
            rows.add(image_ids, feature_maps)
    return rows.fit(device, note).head


def find_stored_features(workspace: Workspace, plan: TrainingPlan) -> Run | None:
    """Returns a finished run of the network that a plan starts from, if it stores the features of all its images."""
    wanted = draw_positions(workspace.image_list().readable, plan.sampling).keys()
    for info in workspace.runs():
        if info.state != "done" or not info.sized or not _is_start(info, plan):
            continue
        if DenseFeatures(workspace.run_dir(info.id) / "dense").index.keys() == wanted:
            return workspace.run(info.id)
    return None


def _is_start(info: RunInfo, plan: TrainingPlan) -> bool:
    """Whether a run's network, and the images as it saw them, are those that a plan starts from."""
    if info.id != plan.start and (plan.start is not None or info.method != "frozen"):
        return False
    try:
        _, embedder, sampling = stored_settings(info)
    except PicieError:  # of a version whose settings are gone: its network can be read, its features are made again
        return False
    same_sampling = replace(sampling, dense_mb=plan.sampling.dense_mb) == plan.sampling
    return same_sampling and (plan.start is not None or embedder == plan.embedder)


class _Rows:
    """Gathers the labelled rows of a workspace's images, from stored feature maps or from a pass of the network."""

    def __init__(self, workspace: Workspace, plan: TrainingPlan, truth: LabelledSet, held_out: Collection[int] = ()):
        self.held_out = frozenset(held_out)
        self.records, self.truth, self.seed = workspace.image_list().records, truth, plan.sampling.seed
        self.rows = LabelledRows(len(truth.class_names), seed=self.seed)

    def add_stored(self, run: Run, report: Report) -> None:
        dense = DenseFeatures(run.folder / "dense")
        meter = Meter("features", len(dense.ids), report)
        for image_id in dense.ids.tolist():
            feature_map = dense.get(image_id)
            assert feature_map is not None
            self._add_one(image_id, feature_map)
            meter.advance(1)

    def add(self, ids: list[int], feature_maps: Tensor) -> None:
        for image_id, feature_map in zip(ids, quantise(feature_maps).numpy(), strict=True):
            self._add_one(image_id, feature_map)

    def _add_one(self, image_id: int, feature_map: np.ndarray) -> None:
        mask = None if image_id in self.held_out else self.truth.mask_for(self.records[image_id])
        if mask is not None:
            self.rows.add(image_id, feature_map, mask)

    def fit(self, device: str, note: Callable[[str], None]) -> Fit:
        """Returns the classifier of the rows. Raises PicieError when they are of fewer than two classes."""
        from picie_core.models.inference import pick_device
        from picie_core.models.logistic_regression import fit_head

        sample, names = self.rows.take(), self.truth.class_names
        if len(np.unique(sample.classes)) < 2:
            raise PicieError(
                f"the masks under {self.truth.masks_root} label positions of {len(np.unique(sample.classes))} class in "
                "the embedded images: a classifier needs two, give masks of more images"
            )
        share = np.bincount(sample.classes, sample.weights, len(names)) / sample.weights.sum()
        weights = sample.weights * share[sample.classes] ** BALANCE
        fit = fit_head(
            sample.embeddings, sample.classes, names, weights=weights, seed=self.seed, device=pick_device(device)
        )
        for line in fit.news:
            note(line)
        return fit
