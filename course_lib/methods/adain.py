"""Arbitrary style transfer with adaptive instance normalization (Huang & Belongie, ICCV 2017).

An encoder f, the first layers of VGG-19, and a trained decoder g paint any photo c in the style of any painting s
(Eqs. 8 and 14):

    T(c, s, α) = g((1 − α) f(c) + α AdaIN(f(c), f(s)))

The decoder learns from pairs of a photo and a painting: with t = AdaIN(f(c), f(s)), it minimizes
L_c(f(g(t)), t) + λ Σ_l L_s(φ_l(g(t)), φ_l(s)) (Eqs. 11 to 13; `losses.feature_statistics`).

Several paintings are mixed as a convex sum of their transformed features (Eq. 15). The same decoder also works with
the other transforms of `networks.feature_transforms`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from course_lib import arguments, config_checks, losses, runtime
from course_lib.colors import match_colors
from course_lib.data.content_and_style import ContentAndStyle
from course_lib.image_checks import check_pictures
from course_lib.losses.feature_statistics import StatisticsLoss
from course_lib.networks import feature_transforms, regions, tiles
from course_lib.networks.adain_decoder import LAYERS, REACH, SMALLEST, AdaINDecoder
from course_lib.networks.feature_transforms import PATCH
from course_lib.networks.inputs import at_least_float32
from course_lib.networks.tile_work import Work
from course_lib.optimize.start import check_memory
from course_lib.pretrained import weights as weights_room
from course_lib.pretrained.vgg import VGGFeatures, cached_network
from course_lib.training import model_files
from course_lib.training.loop import Minimizer
from course_lib.training.run import train_and_summarize
from course_lib.training.schedules import both, inverse_decay, linear_to_zero

KIND = "adain"
_BYTES_PER_PIXEL = 900  # peak of the encoder or the decoder in one piece: 530 to 690 measured, plus a margin
_TILE = 512  # px, side of the tiles if a picture does not fit into the memory


@dataclass(frozen=True)
class Config:
    """The paper's configuration, with the numbers of the authors' code (train.lua) where the text has none."""

    num_steps: int = 160_000  # train.lua
    batch_size: int = 8  # Section 6.2
    image_size: int = 256  # side of the crops, Section 6.2
    load_size: int = 512  # short side of photos and paintings before they are cropped, Section 6.2
    mirror: bool = False  # mirror half of the crops; ours
    learning_rate: float = 1e-4  # of Adam (Section 6.2); train.lua
    decay: float = 5e-5  # the learning rate is divided by 1 + decay · step; train.lua
    cooldown: float = 0.0  # final fraction of the run, in which the learning rate falls to zero; ours
    content_weight: float = 1.0  # train.lua
    style_weight: float = 1e-2  # λ in Eq. 11; train.lua
    convention: str = "sums"  # how L_s is scaled; train.lua. "means" is pytorch-AdaIN's, with a style_weight of 10
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")  # Section 6.2
    layer: str = "relu4_1"  # where encoder and decoder meet, Section 6.1; a shallower one needs less computation
    width: float = 1.0  # factor on the decoder's channels; at 1 it mirrors the encoder, Section 6.1
    weights: str | Path | None = "normalized"  # of the encoder, Section 6.1
    accumulate: int = 1  # parts in which a batch is computed, to save memory; ours
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={"num_steps": 1, "batch_size": 1, "image_size": 16, "load_size": 16, "accumulate": 1},
            positive=("learning_rate", "width"),
            nonnegative=("decay", "content_weight", "style_weight"),
            fractions=("cooldown",),
            some_layers=("style_layers",),
            choices={
                "mirror": (False, True), "convention": tuple(losses.STATISTICS_CONVENTIONS), "layer": tuple(LAYERS),
            },
        )  # fmt: skip

    @classmethod
    def fast(cls) -> Config:
        """Ours: the paper's decoder in a sixteenth of the steps, with a higher learning rate that falls to zero."""
        return cls(num_steps=10_000, learning_rate=3e-4, decay=0.0, cooldown=0.5, mirror=True)

    @classmethod
    def quick(cls) -> Config:
        """Minutes on a CPU: a shallower decoder, small crops, few steps."""
        return replace(
            cls.fast(), num_steps=300, batch_size=4, image_size=96, load_size=192, learning_rate=1e-3, layer="relu3_1",
            style_layers=("relu1_1", "relu2_1", "relu3_1"),
        )  # fmt: skip


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


def objective(config: Config, device: torch.device) -> StatisticsLoss:
    """The loss L_c + λ L_s; its network also encodes photos and paintings (Eqs. 11 to 13).

    Raises:
        ValueError: a style layer that the network does not have.
        WeightsError: the encoder's weights can be neither found nor downloaded.
    """
    names = tuple(dict.fromkeys((config.layer, *config.style_layers)))
    precision = runtime.pick_precision(config.precision, device)
    return StatisticsLoss(
        cached_network("vgg19", names, "max", config.weights, precision, device, "reflect"),
        content_layer=config.layer, style_layers=config.style_layers, content_weight=config.content_weight,
        style_weight=config.style_weight, convention=losses.STATISTICS_CONVENTIONS[config.convention],
    )  # fmt: skip


@runtime.with_gradients()
def train(
    styles: str | Path | Sequence[Tensor] | None = None,
    photos: str | Path | Sequence[Tensor] | Dataset[Tensor] | None = None,
    config: Config | None = None,
    *,
    start: Model | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    preview: tuple[Tensor, Tensor] | None = None,
) -> Model:
    """Train a decoder that paints any photo in the style of any painting (Huang & Belongie 2017, Eqs. 11 to 13).

    Args:
        styles: a folder of paintings, pictures (1, 3, h, w) in [0, 1], or None for the paintings of the package.
        photos: a folder, pictures (1, 3, H, W) in [0, 1], a map-style dataset of (3, H, W) in [0, 1], or None for the
            open photos that come with the package. See `data.content_and_style.ContentAndStyle`.
        config: defaults to the paper's: days on a GPU of 2017.
        start: a trained model with a decoder of the same shape to start from, such as `published()`.
        callback: called after each step with a `runtime.Progress` whose image is what the decoder makes of `preview`,
            or of the first pair of the batch if there is no `preview`.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.
        preview: a photo and a painting for the callback, each (1, 3, H, W) in [0, 1]; they are not used for training.

    Returns:
        The trained decoder, on the CPU.

    Raises:
        ValueError: wrong shapes, a `start` of another shape, layers the network does not have.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.
        WeightsError: the encoder's weights can be neither found nor downloaded.

    >>> styles, photos = [torch.rand(1, 3, 32, 32)] * 2, [torch.rand(1, 3, 40, 40)]
    >>> tiny = Config(num_steps=2, batch_size=2, image_size=32, load_size=32, width=0.1, weights=None)
    >>> model = train(styles, photos, tiny)
    >>> tuple(stylize(photos[0], styles[0], model).image.shape)
    (1, 3, 40, 40)
    """
    config = config_checks.given(config, Config, callback=callback)
    device = runtime.pick_device(config.device)
    if preview is not None:
        if not isinstance(preview, tuple | list) or len(preview) != 2:
            raise ValueError(f"the preview must be a photo and a painting, got {type(preview).__name__}")
        for picture, what in zip(preview, ("photo", "painting"), strict=True):
            check_pictures(picture, f"the {what} of the preview", single=True, least=16, why="the network")
    data = ContentAndStyle(
        photos, styles, size=config.image_size, load_size=config.load_size, mirror=config.mirror, seed=config.seed
    ).near(device)
    loss, network = objective(config, device), build(config)
    if start is not None:
        config_checks.check_kind("start", start, Model)
        config_checks.check_same(start.config, config, ("width", "layer"))
        config_checks.check_same(start.network, network, ("channels",))  # without weights, the encoder is narrow
        network.load_state_dict(start.network.state_dict())
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if callback is not None and preview is not None:
        callback = _showing(*preview, network, config, callback)

    def step(net: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        content, style = batch
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            known = loss.network.targets(style)
            features = at_least_float32(loss.network.targets(content, (config.layer,))[config.layer])
            target = feature_transforms.adain(features, at_least_float32(known[config.layer]))
        painted = net(target)
        return loss(painted, target, known) / len(content), painted

    learner = Minimizer(
        network, step, loss.names, learning_rate=config.learning_rate, accumulate=config.accumulate,
        precision=runtime.pick_precision(config.precision, device), capturable=True,
    )  # fmt: skip
    run = train_and_summarize(
        learner, data, config, schedule=both(inverse_decay(config.decay), linear_to_zero(config.cooldown)), start=start,
        callback=callback, checkpoint=checkpoint, resume=resume,
    )  # fmt: skip
    facts = {**run.facts, "styles": len(data.styles.photos), "loss_network": loss.network.source}
    return Model(network.cpu().eval(), config, facts, run.stopped)


def _showing(
    photo: Tensor, painting: Tensor, network: AdaINDecoder, config: Config, callback: runtime.Callback
) -> runtime.Callback:
    """Wrap `callback`: the image of its `Progress` becomes what the decoder makes of this photo and painting."""

    def image() -> Tensor:
        model = Model(network, config, {})
        return stylize(photo, painting, model, device=config.device, precision=config.precision).image

    return lambda progress: callback(replace(progress, image=image))


@lru_cache(maxsize=1)
@runtime.with_gradients()
def published() -> Model:
    """Huang and Belongie's own decoder.

    Raises:
        WeightsError: it is not cached and cannot be downloaded.
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
    callback: runtime.Callback | None = None,
) -> Result:
    """Paint photos in the style of any paintings: g(c + α Σ_k w_k (T(c, s_k) − c)) for features c, s_k (Eqs. 14, 15).

    Args:
        content: (N, 3, H, W) in [0, 1], with sides of at least 9 px, or 17 px for patches.
        styles: a painting (1, 3, h, w) in [0, 1], or several, each of its own size; sides as for `content`.
        model: from `train` or `load`; None: the published decoder.
        transform: T, one of `networks.feature_transforms.TRANSFORMS`: "adain" takes the mean and the variance of each
            channel from the painting, "wct" the covariances as well, "swap" its patches, "swap+adain" patches first.
        alpha: α in [0, 1]. At 0 the decoder gets the photo's own features; its output is near the photo, not equal.
        weights: w_k, a number of at least 0 for each painting, scaled to sum to 1; None: all equal.
        masks: (K, 1, H, W) in [0, 1], a region of the photo for each painting, instead of weights. Each painting
            replaces the statistics of its own region. Where regions overlap, the paintings are mixed; positions
            that no mask covers keep the photo's features.
        keep_colors: first give the paintings the photo's colors, see `colors.match_colors`.
        tile: side of the tiles in px, for pictures too large for the memory; None: one piece if it fits, else 512.
            Statistics and patches are those of the whole picture, so the result is the same up to rounding.
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions; the rest is in float32 at least.
        callback: hears after each tile of a photo how much is done (`networks.tile_work`); in one piece, nothing.

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
    work = Work(2.0 * len(content), callback)  # the decoder mirrors the encoder, so each is half of the work
    plain = torch.autocast(place.type, enabled=False)  # whatever the caller has set: only convolutions are rounded
    with plain, runtime.inference(model.network, device=device, precision=precision) as decode:
        known = [] if keep_colors else [encode(painting, encoder, side) for painting in paintings]
        for photo in content.detach().float().split(1):
            if keep_colors:
                known = [encode(match_colors(each, photo).clamp(0, 1), encoder, side) for each in paintings]
            features = encode(photo, encoder, side, told=work.add)
            change = torch.zeros_like(features)
            for style, part in zip(known, parts, strict=True):
                moved = feature_transforms.transform(transform, features, style, part.region)
                change += part.share * moved.sub_(features)
            image = _piecewise(decode, features.add_(change, alpha=alpha), side, place, scale=shrink, told=work.add)
            painted.append(image[..., : photo.shape[2], : photo.shape[3]].float().clamp(0, 1))
    return Result(torch.cat(painted), {"seconds": [time.perf_counter() - began]})


def encoder_of(config: Config, device: torch.device, precision: torch.dtype) -> VGGFeatures:
    """VGG-19 up to the decoder's layer, with max pooling and reflected borders; it is shared, so do not modify it."""
    return cached_network("vgg19", (config.layer,), "max", config.weights, precision, device, "reflect")


def encode(
    picture: Tensor, encoder: VGGFeatures, tile: int | None = None, *, told: Callable[[float], None] | None = None
) -> Tensor:
    """The features f of one picture, (1, 3, H, W) in [0, 1] → (1, C, ⌈H/8⌉, ⌈W/8⌉) at relu4_1, in float32 at least.

    Reflection first pads the sides to multiples of 8.

    Args:
        encoder: from `encoder_of`.
        tile: as in `stylize`; tiles move to the encoder's device one at a time.
        told: hears after each tile the share of the picture that it fills.
    """
    (layer,) = encoder.layers
    shrink = encoder.min_size(layer) // SMALLEST
    picture = regions.to_multiples(picture, shrink)

    def features(part: Tensor) -> Tensor:
        return at_least_float32(encoder.targets(part.to(encoder.mean))[layer])

    return _piecewise(features, picture, tile, encoder.mean.device, shrink=shrink, told=told)


def _piecewise(
    function: Callable[[Tensor], Tensor],
    whole: Tensor,
    tile: int | None,
    device: torch.device,
    *,
    shrink: int = 1,
    scale: int = 1,
    told: Callable[[float], None] | None = None,
) -> Tensor:
    """Run the encoder or the decoder in one piece or in tiles; `shrink` and `scale` as for `tiles.piecewise`."""
    height, width = (scale * length for length in whole.shape[-2:])
    free = runtime.available_memory(device) if tile is None else None
    if free is not None and _BYTES_PER_PIXEL * height * width > free:
        tile = _TILE
    if tile is None or max(height, width) <= tile:
        return function(whole)
    side = -(-tile // max(shrink, scale))
    return tiles.piecewise(function, whole, side=side, reach=REACH, shrink=shrink, scale=scale, told=told)


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
    """Refuse photos whose features do not fit: six maps of one photo's size, and all pictures."""
    pixel = 6 * 4 * decoder.channels / decoder.shrink**2 + 12 * (1 + len(content))  # 216 bytes; 190 measured
    check_memory(lambda height, width: round(pixel * height * width), content.shape[2], content.shape[3], device)


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
