"""Arbitrary style transfer with adaptive instance normalization (Huang & Belongie, ICCV 2017).

An encoder f, the first layers of VGG-19, and a trained decoder g paint any photo c in the style of any painting s
(Eqs. 8 and 14):

    T(c, s, α) = g((1 − α) f(c) + α AdaIN(f(c), f(s)))

Several paintings are mixed as a convex sum of their transformed features (Eq. 15). The same decoder also works with
the other transforms of `networks.feature_transforms`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib import arguments, runtime
from course_lib.colors import match_colors
from course_lib.image_checks import check_pictures
from course_lib.methods import config_checks
from course_lib.networks import feature_transforms, regions, tiles
from course_lib.networks.adain_decoder import LAYERS, REACH, SMALLEST, AdaINDecoder
from course_lib.networks.feature_transforms import PATCH
from course_lib.networks.inputs import at_least_float32
from course_lib.optimize.start import check_memory
from course_lib.pretrained import weights as weights_room
from course_lib.pretrained.vgg import VGGFeatures, cached_network
from course_lib.training import model_files

KIND = "adain"
_BYTES_PER_PIXEL = 1500  # peak of the encoder or the decoder
_TILE = 512  # px, side of the tiles if a picture does not fit into the memory


@dataclass(frozen=True)
class Config:
    """The paper's configuration."""

    layer: str = "relu4_1"  # where encoder and decoder meet, Section 6.1
    width: float = 1.0  # factor on the decoder's channels
    weights: str | Path | None = "normalized"  # of the encoder
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(self, positive=("width",), choices={"layer": tuple(LAYERS)})


@dataclass(frozen=True)
class Model:
    """What `train`, `load` and `published` return."""

    network: AdaINDecoder
    config: Config
    facts: dict[str, Any]
    stopped: str | None = None  # why the training ended early, or None


@dataclass(frozen=True)
class Result:
    """What `stylize` returns."""

    image: Tensor  # (N, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> AdaINDecoder:
    """The untrained decoder of a configuration; its weights are drawn from ``config.seed``."""
    channels = LAYERS[config.layer] // (8 if config.weights is None else 1)  # as `VGGFeatures` without weights
    with runtime.seeded(config.seed, torch.device("cpu")):
        return AdaINDecoder(width=config.width, layer=config.layer, channels=channels)


@lru_cache(maxsize=1)
@runtime.with_gradients()
def published() -> Model:
    """Huang and Belongie's own decoder.

    Raises:
        WeightsError: it is neither cached nor can it be downloaded.
    """
    loaded = weights_room.load("adain_decoder")
    network = AdaINDecoder()
    network.load_published(loaded.state_dict)
    return Model(network.eval(), Config(), {"name": "adain_decoder", "source": loaded.source})


def stylize(
    content: Tensor,
    styles: Tensor | Iterable[Tensor],
    model: Model | None = None,
    *,
    transform: str = "adain",
    alpha: float = 1.0,
    weights: Sequence[float] | None = None,
    masks: Tensor | None = None,
    keep_colors: bool = False,
    tile: int | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Result:
    """Paint photos in the style of any paintings: g(c + α Σ_k w_k (T(c, s_k) − c)) for features c, s_k (Eqs. 14, 15).

    Args:
        content: (N, 3, H, W) in [0, 1], any size from 9 px on; from 17 px on for patches.
        styles: a painting (1, 3, h, w) in [0, 1], or several, of any sizes from 9 px on; from 17 px on for patches.
        model: from `train` or `load`; None: the published decoder.
        transform: T, one of `networks.feature_transforms.TRANSFORMS`: "adain" takes the mean and the variance of each
            channel from the painting, "wct" the covariances as well, "swap" its patches, "swap+adain" both.
        alpha: α in [0, 1]. At 0 the decoder gets the photo's own features; its picture is near the photo, not equal.
        weights: w_k, a number of at least 0 for each painting, scaled to sum to 1; None: all equal.
        masks: (K, 1, H, W) in [0, 1], a region of the photo for each painting, in place of weights. Each painting
            replaces the statistics of its own region. Where regions overlap, the paintings are mixed; what no mask
            covers keeps the photo's features.
        keep_colors: first give the paintings the photo's colors, see `colors.match_colors`.
        tile: side of the tiles in px, for pictures too large for the memory; None: one piece if it fits, else 512.
            Statistics and patches are those of the whole picture, so the result is the same up to rounding.
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions; all else is computed in float32 at least.

    Raises:
        ImageError: photos or paintings that are not pictures in [0, 1], or too small.
        ValueError: another argument is invalid; the message names it.
        WeightsError: the networks' weights can be neither found nor downloaded.
        MemoryError: the photo's features do not fit into the memory; names the largest photo whose features would.

    >>> photo, painting = torch.rand(1, 3, 37, 50), torch.rand(1, 3, 40, 40)
    >>> config = Config(weights=None, width=0.1)
    >>> tuple(stylize(photo, painting, Model(build(config), config, {})).image.shape)
    (1, 3, 37, 50)
    """
    model = published() if model is None else config_checks.check_kind("model", model, Model)
    transform = arguments.choice("transform", transform, feature_transforms.TRANSFORMS)
    alpha = arguments.fraction("alpha", alpha)
    shrink = model.network.shrink
    paintings = _checked(content, styles, shrink * (PATCH if "swap" in transform else SMALLEST) - shrink + 1)
    side = None if tile is None else arguments.whole("tile", tile, 1)
    place = runtime.pick_device(device)
    encoder = encoder_of(model.config, place, runtime.pick_precision(precision, place))
    parts = regions.parts_of(content, len(paintings), masks=masks, weights=weights, shrink=shrink, device=place)
    _check_memory(content, model.network, place)
    began, painted = time.perf_counter(), []
    with runtime.inference(model.network, device=device, precision=precision) as decode:
        known = [] if keep_colors else [encode(painting, encoder, side) for painting in paintings]
        for photo in content.detach().float().split(1):
            if keep_colors:
                known = [encode(match_colors(each, photo).clamp(0, 1), encoder, side) for each in paintings]
            features = encode(photo, encoder, side)
            change = torch.zeros_like(features)
            for style, part in zip(known, parts, strict=True):
                moved = feature_transforms.transform(transform, features, style, part.region)
                change += part.share * moved.sub_(features)
            image = _piecewise(decode, features.add_(change, alpha=alpha), side, place, scale=shrink)
            painted.append(image[..., : photo.shape[2], : photo.shape[3]].clamp(0, 1))
    return Result(torch.cat(painted), {"seconds": [time.perf_counter() - began]})


def encoder_of(config: Config, device: torch.device, precision: torch.dtype) -> VGGFeatures:
    """VGG-19 to the decoder's layer, with max pooling and reflected borders; it is shared, so do not modify it."""
    return cached_network("vgg19", (config.layer,), "max", config.weights, precision, device, "reflect")


def encode(picture: Tensor, encoder: VGGFeatures, tile: int | None = None) -> Tensor:
    """The features f of one picture, (1, 3, H, W) in [0, 1] → (1, C, ⌈H/8⌉, ⌈W/8⌉) at relu4_1, in float32 at least.

    Sides are reflected up to a multiple of 8 first.

    Args:
        encoder: from `encoder_of`.
        tile: as in `stylize`; tiles move to the encoder's device one at a time.
    """
    (layer,) = encoder.layers
    shrink = encoder.min_size(layer) // SMALLEST
    picture = regions.to_multiples(picture, shrink)

    def features(part: Tensor) -> Tensor:
        return at_least_float32(encoder.targets(part.to(encoder.mean))[layer])

    return _piecewise(features, picture, tile, encoder.mean.device, shrink=shrink)


def _piecewise(
    function: Callable[[Tensor], Tensor],
    whole: Tensor,
    tile: int | None,
    device: torch.device,
    *,
    shrink: int = 1,
    scale: int = 1,
) -> Tensor:
    """The encoder or the decoder in one piece or in tiles; `shrink` and `scale` as for `tiles.piecewise`."""
    height, width = (scale * length for length in whole.shape[-2:])
    free = runtime.available_memory(device) if tile is None else None
    if free is not None and _BYTES_PER_PIXEL * height * width > free:
        tile = _TILE
    if tile is None or max(height, width) <= tile:
        return function(whole)
    side = -(-tile // max(shrink, scale))
    return tiles.piecewise(function, whole, side=side, reach=REACH, shrink=shrink, scale=scale)


def _checked(content: Tensor, styles: Tensor | Iterable[Tensor], least: int) -> list[Tensor]:
    """The paintings as a list; photos or paintings that cannot be used are refused."""
    check_pictures(content, "the photos", least=least, why="the network")
    several = isinstance(styles, Iterable) and not isinstance(styles, Tensor | str)
    paintings: list[Any] = list(styles) if several else [styles]
    if not paintings:
        raise ValueError("the list of styles is empty; give at least one painting")
    for painting in paintings:
        check_pictures(painting, "the style image", single=True, least=least, why="the network")
    return [painting.detach().float() for painting in paintings]


def _check_memory(content: Tensor, decoder: AdaINDecoder, device: torch.device) -> None:
    """Refuse photos whose features do not fit, each with five maps of the same size while it is transformed."""
    position = 6 * 4 * decoder.channels / decoder.shrink**2
    height, width = content.shape[2:]
    check_memory(lambda height, width: round(height * width * (position + 24)), height, width, device)


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the model and its configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model from a file.

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
