"""One pass of the network over many images: in a seeded order, in batches of one shape, fitting the decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from torch import Tensor

from picie_core.data.images.image_source import ImageSource
from picie_core.errors import PicieError
from picie_core.models.decoder import fit_pca_decoder
from picie_core.models.embedder import Embedder
from picie_core.models.inference import FrozenEmbedder
from picie_core.progress import Meter, Report, ignore_progress
from picie_core.settings import SampleSettings

FIT_IMAGES = 64
"""Images whose stage features the PCA of the decoder sees."""
NOTHING_READ = "no image could be read: see `info` for the reason of each"

OnError = Callable[[int, PicieError], None]
"""Takes the id of an image that could not be decoded, and the error."""


class ImagePass:
    """The images of a source in a seeded order, so that the first ones are a fair subset; read in batches.

    ids: images to read. on_error: called for an image that cannot be decoded, which is then left out.
    """

    def __init__(
        self,
        source: ImageSource,
        ids: Iterable[int],
        settings: SampleSettings,
        *,
        on_error: OnError,
        report: Report = ignore_progress,
    ):
        self.source, self.settings, self.on_error, self.report = source, settings, on_error, report
        self.order: list[int] = np.random.default_rng(settings.seed).permutation(sorted(ids)).tolist()

    def batches(
        self, phase: str, first: int | None = None, batch: int | None = None
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yields (ids, uint8 (B, H, W, 3)) of images of equal shape, of the `first` ones or all; reports as `phase`.

        Images of many shapes wait for others of their shape, up to four batches of them. Raises PicieError when no
        image at all could be decoded.
        """
        order, batch = self.order[:first], batch or self.settings.batch
        meter, read = Meter(phase, len(order), self.report), 0
        waiting: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
        for image_id, image in self.source.iterate(order, ahead=2 * batch):
            if isinstance(image, PicieError):
                self.on_error(image_id, image)
                meter.advance(1)
                continue
            read += 1
            same = waiting.setdefault(image.shape, [])
            same.append((image_id, image))
            full = len(same) == batch
            if full or sum(map(len, waiting.values())) >= 4 * batch:
                shape = image.shape if full else max(waiting, key=lambda shape: len(waiting[shape]))
                yield _stack(one := waiting.pop(shape))
                meter.advance(len(one))
        for one in waiting.values():
            yield _stack(one)
            meter.advance(len(one))
        self.source.flush()
        if not read:
            raise PicieError(NOTHING_READ)


def _stack(items: list[tuple[int, np.ndarray]]) -> tuple[list[int], np.ndarray]:
    return [image_id for image_id, _ in items], np.stack([image for _, image in items])


def fit_decoder(images: ImagePass, network: Embedder, device: str) -> None:
    """Sets the decoder of `network` to the PCA that `embed_images` would give it, from the same first images.

    With decoder="random" it stays as the seed drew it, as in the paper.
    """
    if network.settings.decoder == "random":
        return
    engine = FrozenEmbedder(network, device)
    features = [engine.stage_features(batch) for _, batch in images.batches("fit decoder", FIT_IMAGES)]
    fit_pca_decoder(network, features, seed=images.settings.seed)


def embed_images(
    images: ImagePass, engine: FrozenEmbedder, embedder_to_fit: Embedder | None = None
) -> Iterator[tuple[list[int], Tensor]]:
    """Yields (ids, feature maps (B, h, w, D), not of unit length) of all images.

    embedder_to_fit: an embedder whose decoder is set to the PCA of the first images on the way (and the engine's
    with it); their stage features are kept meanwhile, so that no image goes through the network twice. One whose
    settings say decoder="random" is not fitted.
    """
    fit = embedder_to_fit if embedder_to_fit is not None and embedder_to_fit.settings.decoder != "random" else None
    if fit is not None and fit.settings.scale_factors != (1.0,):  # the kept features would be of one scale only
        fit_decoder(images, fit, engine.device.type)
        engine.set_decoder(fit)
        fit = None
    kept: list[tuple[list[int], list[Tensor]]] = []
    for ids, batch in images.batches("embed"):
        if fit is None:
            yield ids, engine(batch)
            continue
        kept.append((ids, engine.stage_features(batch)))
        if sum(len(ids) for ids, _ in kept) >= FIT_IMAGES:
            yield from _fit_and_decode(kept, engine, fit, images.settings.seed)
            kept, fit = [], None
    if fit is not None:
        yield from _fit_and_decode(kept, engine, fit, images.settings.seed)


def _fit_and_decode(
    kept: list[tuple[list[int], list[Tensor]]], engine: FrozenEmbedder, embedder: Embedder, seed: int
) -> Iterator[tuple[list[int], Tensor]]:
    fit_pca_decoder(embedder, [features for _, features in kept], seed=seed)
    engine.set_decoder(embedder)
    for ids, features in kept:
        yield ids, engine.decode(features)
