"""Arbitrary style transfer with adaptive instance normalization (Huang & Belongie, ICCV 2017).

An encoder f, the first layers of VGG-19, and a trained decoder g paint any photo c in the style of any painting s
(Eqs. 8 and 14):

    T(c, s, α) = g((1 − α) f(c) + α AdaIN(f(c), f(s)))

Several paintings are mixed as a convex sum of their transformed features (Eq. 15). The same decoder also works with
the other transforms of `networks.feature_transforms`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments, runtime
from course_lib.image_checks import check_pictures
from course_lib.methods import config_checks
from course_lib.networks import feature_transforms
from course_lib.networks.adain_decoder import SHRINK, AdaINDecoder
from course_lib.pretrained import weights as weights_room
from course_lib.pretrained.vgg import VGGFeatures, cached_network
from course_lib.training import model_files

KIND = "adain"
LAYER = "relu4_1"  # Section 6.1
SMALLEST = 16  # px, shortest side of a photo and of a painting


@dataclass(frozen=True)
class Config:
    """The paper's configuration."""

    width: float = 1.0  # factor on the decoder's channels
    weights: str | Path | None = "normalized"  # of the encoder
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(self, positive=("width",))


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
    channels = 512 if config.weights is not None else 64  # of relu4_1
    with runtime.seeded(config.seed, torch.device("cpu")):
        return AdaINDecoder(width=config.width, channels=channels)


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
    styles: Tensor | Sequence[Tensor],
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
    """Paint photos in the style of any painting."""
    model = published() if model is None else config_checks.check_kind("model", model, Model)
    check_pictures(content, "the photos", least=SMALLEST, why="the network")
    styles = [styles] if isinstance(styles, Tensor) else list(styles)
    for style in styles:
        check_pictures(style, "the style image", single=True, least=SMALLEST, why="the network")
    transform = arguments.choice("transform", transform, feature_transforms.TRANSFORMS)
    alpha = arguments.fraction("alpha", alpha)
    shares = [1 / len(styles)] * len(styles) if weights is None else [w / sum(weights) for w in weights]
    place = runtime.pick_device(device)
    encoder = encoder_of(model.config, place, runtime.pick_precision(precision, place))
    began = time.perf_counter()
    painted = []
    with runtime.inference(model.network, device=device, precision=precision) as run:
        known = [_encode(encoder, style) for style in styles]
        for photo in content.split(1):
            features = _encode(encoder, photo)
            target = sum(
                share * feature_transforms.transform(transform, features, style)
                for share, style in zip(shares, known, strict=True)
            )
            features = features + alpha * (target - features)
            painted.append(run(features)[..., : photo.shape[2], : photo.shape[3]].float().clamp(0, 1))
    return Result(torch.cat(painted), {"seconds": [time.perf_counter() - began]})


def encoder_of(config: Config, device: torch.device, precision: torch.dtype) -> VGGFeatures:
    """VGG-19 to relu4_1, with max pooling and reflected borders; shared, so do not modify it."""
    return cached_network("vgg19", (LAYER,), "max", config.weights, precision, device, "reflect")


def _encode(encoder: VGGFeatures, picture: Tensor) -> Tensor:
    height, width = picture.shape[2:]
    picture = F.pad(picture.to(encoder.mean), (0, -width % SHRINK, 0, -height % SHRINK), mode="reflect")
    return encoder.targets(picture)[LAYER].float()


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
