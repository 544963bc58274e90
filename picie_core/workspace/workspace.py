"""The handles: a workspace, its runs, and their clusterings. A clustering knows its run, a run its workspace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from picie_core.atomic_files import write_json
from picie_core.clustering.clustering import Clustering, clustering_name
from picie_core.clustering.splits import Split, splits_digest
from picie_core.clustering.uncertainty import named_share
from picie_core.data.embedding_sample import DenseFeatures, EmbeddingSample, load_sample
from picie_core.data.images.downsampled_images import downsampled_size
from picie_core.data.images.image_cache import ImageCache
from picie_core.data.images.image_file import scaled_size
from picie_core.data.images.image_source import ImageSource
from picie_core.data.sample_writer import NetworkSize
from picie_core.errors import PicieError, SettingError
from picie_core.labels.label_map import LabelMap
from picie_core.segmentation.contact_sheet import ContactSheetSource
from picie_core.settings import TilingSettings
from picie_core.workspace.folder import WorkspaceFolder
from picie_core.workspace.run_info import RunInfo
from picie_core.workspace.stored_clusterings import clustering_names, compute_clustering, read_clustering

if TYPE_CHECKING:
    from picie_core.models.inference import FrozenEmbedder


class Workspace(WorkspaceFolder):
    """One folder that holds all work on one image collection."""

    def run(self, name: str) -> Run:
        """Returns run `name`. Raises SettingError with the known ones for a wrong name."""
        return Run(self, self.run_info(name).id)

    def current_run(self) -> Run:
        """Returns the run in use: the chosen one, else the newest done one. Raises PicieError when there is none."""
        done = [run.id for run in self.runs() if run.state == "done"]
        chosen = self.label_map.get_choice("run")
        if not done:
            raise PicieError(f"{self.root} has no finished embedder: run `embed` or `train` first")
        return Run(self, chosen if chosen in done else done[0])

    def pick_run(self, name: str | None) -> Run:
        """Returns run `name` if it is given, else the one in use. Raises SettingError for a wrong name."""
        return self.current_run() if name is None else self.run(name)

    def choose_run(self, name: str) -> None:
        """Makes run `name` the one in use everywhere."""
        self.label_map.set_choice("run", self.run(name).name)

    def runs(self) -> list[RunInfo]:
        """Returns what is known of all runs, newest first; a run whose process died is shown as stopped."""
        paths = (self.root / "runs").glob("*/run.json")
        return sorted((self.run_info(path.parent.name) for path in paths), key=lambda run: -run.created)

    def run_info(self, name: str) -> RunInfo:
        """Returns what is known of run `name`. Raises SettingError with the known ones for a wrong name.

        Raises PicieError when its record is damaged.
        """
        path = self.run_dir(name) / "run.json"
        try:
            record = json.loads(path.read_text())
            known_fields = {key: value for key, value in record.items() if key in RunInfo.__dataclass_fields__}
            info = RunInfo(**known_fields)
        except FileNotFoundError:
            known = ", ".join(path.parent.name for path in (self.root / "runs").glob("*/run.json")) or "none"
            raise SettingError(f"no run {name!r} in {self.root}: the runs there are {known}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise PicieError(f"{path} is damaged: delete the folder of this run and make it again") from error
        if info.state == "running" and not any(job.alive and job.run == name for job in self.jobs().values()):
            info = RunInfo(**{**known_fields, "state": "stopped"})
        return info

    def run_dir(self, name: str) -> Path:
        """The folder of run `name`, whether it is there or not."""
        return self.root / "runs" / name

    def write_run(self, info: RunInfo, **more: Any) -> None:
        """Stores what is known of a run."""
        write_json(self.run_dir(info.id) / "run.json", {**info.__dict__, **more})


@dataclass(frozen=True)
class Run:
    """One embedder of a workspace, and what was computed from it."""

    workspace: Workspace = field(repr=False)
    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> tuple[str, str, str]:
        """What stays the same as long as embedder and sample do: workspace, name and digest of the sample."""
        return str(self.workspace.root), self.name, self._sample_digest or ""

    @property
    def folder(self) -> Path:
        """Where everything of the run lies."""
        return self.workspace.run_dir(self.name)

    @property
    def info(self) -> RunInfo:
        """What made the run and how far it came. Raises PicieError when its record is gone or damaged."""
        return self.workspace.run_info(self.name)

    @property
    def tiling(self) -> TilingSettings | None:
        """How the embedder sees images at a fixed downsample, in tiles; None where they are resized to `size_px`."""
        settings = self.info.settings
        if not settings.get("downsample"):
            return None
        return TilingSettings(settings["downsample"], settings["tile_px"], settings["overlap_px"])

    @property
    def size_px(self) -> int:
        """Shorter side at which the embedder sees images. Raises PicieError where it sees them at a downsample."""
        if self.tiling is not None:
            raise PicieError(
                f"run {self.name} embeds images in tiles at --downsample {self.tiling.downsample}, which this does not "
                "support: choose a run that was embedded at a --size"
            )
        return self.info.settings["size_px"]

    @property
    def network_size(self) -> NetworkSize:
        """The function that gives the (width, height) of an image at the network's input."""
        tiling = self.tiling
        if tiling is not None:
            return downsampled_size(tiling.downsample)
        size_px = self.size_px
        return lambda image: scaled_size(image.width, image.height, size_px)

    # -- embedding images

    def engine(self, device: str = "auto") -> FrozenEmbedder:
        """Returns the network, ready to embed images. Raises PicieError when it is gone or damaged."""
        from picie_core.models.embedder import load_embedder
        from picie_core.models.inference import FrozenEmbedder

        return FrozenEmbedder(load_embedder(self.folder / "embedder")[0], device)

    def image_cache(self) -> ImageCache:
        """Returns the cache of the images as the embedder sees them, to read from. Raises PicieError as `size_px`."""
        return self.workspace.image_cache(self.size_px)

    def network_images(self) -> ImageSource:
        """Returns the images as the embedder sees them, at a size or at a downsample, whole or in windows."""
        tiling = self.tiling
        return self.image_cache() if tiling is None else self.workspace.downsampled_images(tiling.downsample)

    def feature_map(
        self, image_id: int, dense: DenseFeatures | None = None, engine: FrozenEmbedder | None = None
    ) -> np.ndarray:
        """Returns the feature map (h, w, D) of an image: the stored int8 one of `dense`, else the network's.

        engine: of `engine()`; made here when it is needed and None. Raises PicieError for a lost image, and in a tiled
        run, whose feature maps may be too large: `feature_windows` reads them.
        """
        stored = dense.get(image_id) if dense is not None else None
        if stored is not None:
            return stored
        from picie_core.models.inference import embed_image

        return embed_image(engine or self.engine(), self.image_cache().get(image_id))

    def contact_sheet_source(self) -> ContactSheetSource:
        """Returns what contact sheets are made from. Raises PicieError when there is no sample."""
        return ContactSheetSource(self.sample(), self.dense_features(), self.network_images())

    # -- what was embedded once

    def sample(self) -> EmbeddingSample:
        """Returns the embedding sample, memory-mapped. Raises PicieError when there is none."""
        return load_sample(self.folder / "sample")

    def dense_features(self) -> DenseFeatures:
        """Returns the stored feature maps; empty when none were stored."""
        return DenseFeatures(self.folder / "dense")

    @property
    def derived_dir(self) -> Path:
        """The folder for what is computed from the present sample; a new sample gets a new folder.

        Raises PicieError when there is no sample.
        """
        if self._sample_digest is None:
            path = self.folder / "sample" / "digest.txt"
            raise PicieError(
                f"run {self.name} has no embedding sample ({path} is missing): run `embed` or `train` again"
            )
        return self.folder / "derived" / self._sample_digest

    @property
    def _sample_digest(self) -> str | None:
        try:
            return (self.folder / "sample" / "digest.txt").read_text()
        except FileNotFoundError:
            return None

    # -- clusterings

    def clusterings(self) -> list[str]:
        """Returns the names of the stored clusterings, by K and then seed; none before there is a sample."""
        return [] if self._sample_digest is None else clustering_names(self.derived_dir)

    def clustering(self, name: str | None = None) -> StoredClustering:
        """Returns clustering `name`, or the one in use, with its splits.

        Raises SettingError with the stored names when there is none of that name, PicieError when there is none at all.
        """
        found = self.unsplit_clustering(name)
        splits = self.workspace.label_map.splits_of(found.key)
        return found.with_splits(splits, self.sample().embeddings) if splits else found

    def unsplit_clustering(self, name: str | None = None) -> StoredClustering:
        """Returns clustering `name`, or the one in use, as k-means found it. Raises as `clustering`."""
        name = name or self.current_clustering_name()
        try:
            return StoredClustering(**read_clustering(self.derived_dir / name), run=self)
        except FileNotFoundError:
            known = ", ".join(self.clusterings()) or "none"
            raise SettingError(
                f"run {self.name} has no clustering {name!r} (there: {known}): run `cluster --k K`"
            ) from None

    def current_clustering_name(self) -> str:
        """Returns the name of the chosen clustering, else of the last made one; PicieError when there is none."""
        names = self.clusterings()
        chosen = self.workspace.label_map.get_choice("clustering")
        if chosen in names:
            return chosen
        if not names:
            raise PicieError(
                f"run {self.name} has no clustering yet: run `cluster --workspace {self.workspace.root} --k K`"
            )
        return max(names, key=lambda name: self.clustering_stamp(name)[1])

    def clustering_stamp(self, name: str) -> tuple[str, int]:
        """Returns what changes when a clustering is made again under its name, such as from another sample."""
        folder = self.derived_dir / name
        return folder.parent.name, (folder / "clustering.json").stat().st_mtime_ns

    def cluster(self, k: int, seed: int = 0, iterations: int = 20, device: str = "cpu") -> StoredClustering:
        """Returns the clustering at K with its splits, computed and stored unless it is there already.

        Raises SettingError when K is below 1 or above the number of sampled pixels.
        """
        folder = self.derived_dir / clustering_name(k, seed)
        if not folder.exists():
            embeddings = self.sample().embeddings
            compute_clustering(folder, embeddings, k=k, seed=seed, iterations=iterations, device=device)
        return self.clustering(folder.name)


@dataclass(frozen=True, eq=False)
class StoredClustering(Clustering):
    """A clustering of a run."""

    run: Run = field(kw_only=True)

    @property
    def workspace(self) -> Workspace:
        """The workspace of its run."""
        return self.run.workspace

    @property
    def label_map(self) -> LabelMap:
        """What a person decided about the clusters."""
        return self.run.workspace.label_map

    def classes_of(self) -> dict[int, int]:
        """Returns cluster -> class id as it is now: 255 for ignored clusters, nothing for unnamed ones."""
        return self.label_map.classes_of(self.key)

    def named_share(self) -> float:
        """Returns the share of sampled pixels whose cluster has a name or is ignored, 0 to 1."""
        return named_share(self, self.classes_of())

    def with_digest(self, splits: Sequence[Split]) -> str:
        """Returns the digest that the clustering has with these splits."""
        return splits_digest(self.key, splits)

    def sample(self) -> EmbeddingSample:
        """Returns the embedding sample that it is a clustering of."""
        return self.run.sample()

    def reload(self) -> StoredClustering:
        """Returns the clustering with the splits that it has now."""
        return self.run.clustering(self.name)
