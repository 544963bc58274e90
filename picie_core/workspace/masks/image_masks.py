"""Feature maps and full-size masks of images of any size, to be read in windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from picie_core.clustering.clustering import Clustering
from picie_core.data.embedding_sample import DenseFeatures
from picie_core.data.feature_windows import FeatureWindows, MapInMemory, StoredMap
from picie_core.data.images.image_index import ImageRecord
from picie_core.data.images.image_source import ImageSource
from picie_core.segmentation.mask_windows import MaskWindows
from picie_core.segmentation.post_processing import PostProcessing
from picie_core.workspace.workspace import Run

if TYPE_CHECKING:
    from picie_core.models.inference import FrozenEmbedder


def feature_windows(
    run: Run,
    image_id: int,
    dense: DenseFeatures | None = None,
    engine: FrozenEmbedder | None = None,
    images: ImageSource | None = None,
) -> FeatureWindows:
    """Returns the feature map of an image: the stored one of `dense`, else the network's.

    In a tiled run the tiles of a window go through the network when it is read. engine: of `Run.engine`, made here when
    it is needed and None; images: those of another folder as the network sees them, in which `image_id` is looked up.
    """
    if dense is not None and images is None and image_id in dense.index:
        return StoredMap(dense, image_id)
    source, tiling = images or run.network_images(), run.tiling
    if tiling is None:
        from picie_core.models.inference import embed_image

        return MapInMemory(embed_image(engine or run.engine(), source.get(image_id)))
    from picie_core.models.tiled_features import TiledEmbedding, TiledMap

    return TiledMap(TiledEmbedding(source, engine or run.engine(), tiling), image_id)


def mask_windows(
    run: Run,
    clustering: Clustering,
    image: ImageRecord,
    classes_of: Mapping[int, int] | None,
    post_processing: PostProcessing = PostProcessing(),
    *,
    features: FeatureWindows | None = None,
    dense: DenseFeatures | None = None,
    engine: FrozenEmbedder | None = None,
    images: ImageSource | None = None,
) -> MaskWindows:
    """Returns the full-size mask of an image, to be read in windows or written from top to bottom.

    classes_of: cluster -> class id, None for cluster ids; features: of the image where they are at hand; dense, engine,
    images: as of `feature_windows`. Raises SettingError as `MaskWindows`.
    """
    source = images or run.network_images()
    return MaskWindows(
        features or feature_windows(run, image.id, dense, engine, images),
        clustering,
        classes_of,
        (image.width, image.height),
        post_processing,
        image=lambda *where: source.window(image.id, *where),
        image_size=source.scaled_size(image.id),
    )
