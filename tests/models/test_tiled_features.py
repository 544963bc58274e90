"""The seam test: the feature map from tiles is that of the untiled image, and so is every window of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from picie_core.clustering.kmeans import spherical_kmeans
from picie_core.data.images.image_file import ImageError, read_image
from picie_core.data.images.image_index import ImageRecord
from picie_core.data.images.image_source import ImageSource
from picie_core.data.sample_writer import quantise
from picie_core.errors import PicieError
from picie_core.models.embedder import Embedder, new_embedder
from picie_core.models.embedding_pass import fit_decoder
from picie_core.models.inference import FrozenEmbedder, embed_image
from picie_core.models.tiled_features import TiledEmbedding, TiledMap, fit_pass, network_tiling
from picie_core.settings import EmbedderSettings, SampleSettings, TilingSettings

SAMPLE = Path(__file__).parents[2] / "sample_data" / "images"
HEIGHT, WIDTH = 736, 1056


class OneImage(ImageSource):
    """One image in memory, as large as it is."""

    def __init__(self, image: np.ndarray):
        super().__init__([ImageRecord(0, "large.png", image.shape[1], image.shape[0], 0)], 0)
        self.image = image

    def get(self, image_id: int) -> np.ndarray:
        return self.image

    def scaled_size(self, image_id: int) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[0]


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    """A large image of sample scenes side by side: uint8 (736, 1056, 3)."""
    scenes = [read_image(path) for path in sorted(SAMPLE.rglob("*.*"))[:16]]
    height, width = scenes[0].shape[:2]
    rows = [np.concatenate(scenes[start : start + 4], 1) for start in range(0, 16, 4)]
    assert height >= 184 and width >= 264
    return np.ascontiguousarray(np.concatenate(rows)[:HEIGHT, :WIDTH])


@pytest.fixture(scope="module")
def network(large: np.ndarray) -> Embedder:
    """A network of three stages whose decoder is fitted to windows of the image."""
    made = new_embedder(EmbedderSettings(weights="none", dim=32))
    fit_decoder(fit_pass(OneImage(large), [0], SampleSettings(), on_error=lambda *_: None), made, "cpu")
    return made


def tiled(image: np.ndarray, engine: FrozenEmbedder, tiling: TilingSettings) -> np.ndarray:
    """The unit embeddings of an image, put together from its tiles."""
    embedding = TiledEmbedding(OneImage(image), engine, tiling)
    result = np.zeros((*embedding.grid(0).map_shape, engine.network.settings.dim), np.float32)
    for one in embedding.tiles([0], on_error=lambda *_: pytest.fail("unreadable")):
        rows, columns = one.tile.rows, one.tile.columns
        result[rows.first : rows.last, columns.first : columns.last] = F.normalize(one.valid.float(), dim=2).numpy()
    return result


def test_tiles_with_enough_overlap_are_the_untiled_image(large, network):
    """With 384 px of overlap no receptive field leaves its tile: equal up to rounding, at every position."""
    engine = FrozenEmbedder(network, "cpu", torch.float32)
    untiled = embed_image(engine, large)
    np.testing.assert_allclose(tiled(large, engine, TilingSettings(1, 768, 384)), untiled, atol=2e-5)
    assert len(TiledEmbedding(OneImage(large), engine, TilingSettings(1, 768, 384)).grid(0)) == 2


def test_the_default_overlap_leaves_no_visible_seam(large, network):
    """With 256 px, embeddings differ by less than 8 bits resolve and at most one label in 2,000; without, at seams."""
    engine = FrozenEmbedder(network, "cpu", torch.float32)
    untiled = embed_image(engine, large)
    centroids = spherical_kmeans(untiled.reshape(-1, 32)[::7], 12, 0).centroids
    labels = (untiled @ centroids.T).argmax(2)

    def differing(overlap_px: int) -> tuple[float, float]:
        found = tiled(large, engine, TilingSettings(1, 512, overlap_px))
        cosines = (found * untiled).sum(2)
        return float(cosines.min()), float(((found @ centroids.T).argmax(2) != labels).mean())

    least, share = differing(256)
    assert least > 0.999 and share < 5e-4
    least, share = differing(0)
    assert least < 0.9 and share > 5e-3


def test_one_tile_is_the_image_itself(large, network):
    """An image that fits into a tile gives what embedding it whole gives, bit by bit."""
    engine = FrozenEmbedder(network, "cpu", torch.float32)
    small = np.ascontiguousarray(large[:256, :320])
    np.testing.assert_array_equal(tiled(small, engine, TilingSettings(1, 512, 128)), embed_image(engine, small))


def test_windows_of_a_tiled_map_are_parts_of_it(large, network):
    """Whatever windows are read, and in whatever order, they hold the int8 embeddings of the whole map."""
    engine = FrozenEmbedder(network, "cpu", torch.float32)
    odd = np.ascontiguousarray(large[:601, :870])
    embedding = TiledEmbedding(OneImage(odd), engine, TilingSettings(1, 512, 128))
    whole = np.zeros((151, 218, 32), np.int8)
    for one in embedding.tiles([0], on_error=lambda *_: pytest.fail("unreadable")):
        rows, columns = one.tile.rows, one.tile.columns
        whole[rows.first : rows.last, columns.first : columns.last] = quantise(one.valid).numpy()
    features = TiledMap(embedding, 0)
    assert features.shape == whole.shape[:2]
    for rows, columns in [((0, 151), (0, 218)), ((140, 151), (200, 218)), ((3, 4), (5, 6)), ((90, 100), (0, 218))]:
        np.testing.assert_array_equal(features.window(rows, columns), whole[slice(*rows), slice(*columns)])


def test_a_mask_from_top_to_bottom_embeds_each_tile_once(large, network):
    """Two rows of tiles are kept, so reading rows of blocks runs the network once a tile."""
    calls = []

    class Counting(FrozenEmbedder):
        def __call__(self, images: np.ndarray) -> torch.Tensor:
            calls.append(images.shape)
            return super().__call__(images)

    embedding = TiledEmbedding(OneImage(large), Counting(network, "cpu"), TilingSettings(1, 256, 64))
    features = TiledMap(embedding, 0)
    for row in range(0, 184, 20):
        for column in range(0, 264, 30):
            features.window((row, min(row + 22, 184)), (column, min(column + 32, 264)))
    assert len(calls) == len(features.grid)


def test_an_unreadable_image_is_left_out_and_said_once(large, network):
    """The others go on; where none is left there is an error."""

    class Torn(OneImage):
        def window(self, image_id: int, top: int, left: int, height: int, width: int) -> np.ndarray:
            if image_id == 1 and top > 0:
                raise ImageError("torn.png", "truncated")
            return super().window(image_id, top, left, height, width)

    source = Torn(large)
    source.records = [*source.records, ImageRecord(1, "torn.png", WIDTH, HEIGHT, 0)]
    embedding = TiledEmbedding(source, FrozenEmbedder(network, "cpu"), TilingSettings(1, 512, 128))
    said: list[int] = []
    tiles = list(embedding.tiles([1, 0], on_error=lambda one, error: said.append(one)))
    assert said == [1] and sum(one.image_id == 0 for one in tiles) == len(embedding.grid(0))
    source.window = lambda *where: (_ for _ in ()).throw(ImageError("all.png", "gone"))
    with pytest.raises(PicieError, match="no image could be read"):
        list(embedding.tiles([0], on_error=lambda *_: None))


def test_enlarged_scales_get_smaller_tiles():
    """A network that also sees images twice as large gets tiles half as wide, so memory stays what it is."""
    tiling = TilingSettings(1, 1280, 256)
    assert network_tiling(tiling, EmbedderSettings(scales="1,2")) == TilingSettings(1, 640, 256)
    assert network_tiling(tiling, EmbedderSettings()) == tiling
    assert network_tiling(TilingSettings(1, 512, 256), EmbedderSettings(scales="1,2")) == TilingSettings(1, 256, 128)


def test_windows_to_fit_are_drawn_by_area(tmp_path):
    """A large image gives most of the windows, a small one few; every one is read."""

    class Two(ImageSource):
        def __init__(self) -> None:
            super().__init__([], 0)

        def scaled_size(self, image_id: int) -> tuple[int, int]:
            return (4000, 3000) if image_id == 7 else (400, 300)

        def window(self, image_id: int, top: int, left: int, height: int, width: int) -> np.ndarray:
            assert top + height <= self.scaled_size(image_id)[1] and left + width <= self.scaled_size(image_id)[0]
            return np.full((height, width, 3), image_id, np.uint8)

    images = fit_pass(Two(), [3, 7], SampleSettings(), on_error=lambda *_: pytest.fail("unreadable"))
    owners = [int(image[0, 0, 0]) for _, batch in images.batches("fit") for image in batch]
    assert len(owners) == 64 and owners.count(7) > 55


def test_pixels_of_the_fixture_are_real(large):
    """The seam test means something: the image has edges and textures across every seam."""
    assert large.shape == (HEIGHT, WIDTH, 3) and Image.fromarray(large).entropy() > 6
