"""Perceptual losses for real-time style transfer (Johnson, Alahi & Fei-Fei, ECCV 2016).

A network f_W is trained on photographs x to paint them in the style of one painting y_s (Eq. 5):

    W* = argmin E_x [ λ_c ℓ_feat(f_W(x), x) + λ_s Σ_l ℓ_style,l(f_W(x), y_s) + λ_TV ℓ_TV(f_W(x)) ]

After training, stylizing a photograph takes one forward pass. Symbols: λ_c = content_weight, λ_s = style_weight,
λ_TV = tv_weight; the two losses are those of `losses.perceptual` in Johnson's convention (Eqs. 2–4), which divides
features by C·H·W.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from course_lib import config_checks, runtime
from course_lib.data.crops import training_photos
from course_lib.images import check_pictures
from course_lib.losses.balance import check_balance
from course_lib.losses.one_painting import painting_names, painting_objective, painting_terms
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.networks import layers
from course_lib.networks.one_pass import one_pass
from course_lib.networks.transformer_net import TransformerNet
from course_lib.training import model_files
from course_lib.training.fingerprints import total
from course_lib.training.loop import Minimizer
from course_lib.training.run import train_and_summarize

KIND = "johnson"
SMALLEST = 8  # px, shortest side of a photograph


@dataclass(frozen=True)
class Config:
    """The paper's configuration (as Wang 2019 repeats it); every field names its source."""

    num_steps: int = 40_000  # Section 4.1
    batch_size: int = 4  # Section 4.1
    image_size: int = 256  # Section 4.1
    learning_rate: float = 1e-3  # Adam, Section 4.1
    cooldown: float = 0.0  # final fraction of the run, in which the learning rate falls to zero; not in the paper
    content_weight: float = 1.0  # λ_c; the paper does not print its weights
    style_weight: float = 0.7  # λ_s; chosen by eye, see chapter 6
    tv_weight: float = 4.0  # λ_TV: about the smallest of "1e-6 to 1e-4" (Section 4.1), see `tv_weight_of_paper`
    content_layers: tuple[str, ...] = ("relu2_2",)  # Section 4.1
    style_layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # Section 4.1
    style_layer_weights: str | tuple[float, ...] = "equal"  # a plain sum, Eq. 4; "balanced": ours, `losses.balance`
    style_size: int = 256  # long side of the painting; the paper gives no size
    width: float = 1.0  # factor on 32, 64, 128 channels (supplement, Table 1)
    num_blocks: int = 5  # supplement, Table 1
    norm: str = "batch"  # Section 3.1
    upsampling: str = "transposed"  # "convolution with stride 1/2", Section 3.1
    arch: str = "vgg16"  # Section 4
    weights: str | Path | None = "default"  # of the loss network
    accumulate: int = 1  # parts in which a batch is computed, to save memory; ours
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={
                "num_steps": 1, "batch_size": 1, "image_size": 8, "style_size": 8, "num_blocks": 0, "accumulate": 1,
                "seed": 0,
            },
            positive=("learning_rate", "width"),
            nonnegative=("content_weight", "style_weight", "tv_weight", "cooldown"),
            some_layers=("content_layers", "style_layers"),
            choices={"norm": layers.NORMS, "upsampling": layers.UPSAMPLINGS, "arch": ("vgg16", "vgg19")},
        )  # fmt: skip
        check_balance(self)

    @classmethod
    def released(cls) -> Config:
        """The defaults of the authors' code (fast-neural-style, train.lua): instance norm, content at relu3_3."""
        return cls(norm="instance", content_layers=("relu3_3",))

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings: a quarter of the computation, small batches, a falling learning rate, instance norm."""
        return cls(
            num_steps=3000, batch_size=2, image_size=192, cooldown=0.5, width=0.5, norm="instance", upsampling="resize"
        )

    @classmethod
    def quick(cls) -> Config:
        """Minutes on a CPU: few steps at a small size; best started from a trained network."""
        return replace(cls.fast(), num_steps=200, image_size=128)


def tv_weight_of_paper(weight: float, size: int, scale: float = 255 * 0.226) -> float:
    """Convert the paper's λ_TV, on a *sum* over pixels in 0–255 and features of a 0–255 network, to our `tv_weight`.

    Args:
        weight: λ_TV, 1e-6 to 1e-4 in the paper (Section 4.1).
        size: side of the training pictures in pixels.
        scale: how much larger the features of the paper's network are than those of torchvision's, roughly the
            ratio of the scales of their inputs. The content loss grows with its square.

    Returns:
        The weight on the mean over pixels in [0, 1].

    >>> round(tv_weight_of_paper(1e-6, 256), 2)
    3.85
    """
    return weight * 255**2 * 3 * size**2 / scale**2


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads: one network for one painting."""

    network: TransformerNet
    config: Config
    facts: dict[str, Any]  # of the training run: "style", "photos", "history", "seconds", "device", …
    stopped: str | None = None  # why the training ended early, or None


@dataclass(frozen=True)
class Result:
    """What `stylize` returns."""

    image: Tensor  # (N, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> TransformerNet:
    """The untrained network of a configuration; its weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        return TransformerNet(
            width=config.width, num_blocks=config.num_blocks, norm=config.norm, upsampling=config.upsampling
        )


def objective(style: Tensor, config: Config) -> PerceptualLoss:
    """ℓ_feat and ℓ_style with the painting's Gram matrices set; see `losses.one_painting.painting_objective`."""
    return painting_objective(style, config)


@runtime.with_gradients()
def train(
    style: Tensor,
    photos: str | Path | Sequence[Tensor] | Dataset[Tensor] | None = None,
    config: Config | None = None,
    *,
    start: Model | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    preview: Tensor | None = None,
) -> Model:
    """Train a network that paints any photograph in the style of `style` (Johnson et al. 2016, Eq. 5).

    Args:
        style: (1, 3, h, w) in [0, 1].
        photos: a folder, pictures (1, 3, H, W) in [0, 1], a map-style dataset of (3, H, W) in [0, 1], or None for the
            open photos that come with the package. Folders and pictures are cut by `data.crops.Crops`; the items of a
            dataset are checked when they are first used.
        config: defaults to the paper's: hours on a GPU of 2016, a day or more on two CPU cores.
        start: a trained model of the same shape to start from; a new painting is learned several times faster from
            it than from random weights.
        callback: called after each step with a `runtime.Progress` whose image is the network's current output for
            `preview`, or for the first picture of the batch if there is no `preview`.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.
        preview: (1, 3, H, W) in [0, 1], a photo for the callback; it is not used for training.

    Returns:
        The trained network, on the CPU.

    Raises:
        ValueError: wrong shapes, a `start` of another shape, layers the network does not have.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.
        WeightsError: the loss network's weights can be neither found nor downloaded.

    >>> style, photos = torch.rand(1, 3, 32, 32), [torch.rand(1, 3, 40, 40)]
    >>> tiny = Config(num_steps=2, image_size=32, style_size=32, width=0.1, num_blocks=1, weights=None)
    >>> model = train(style, photos, tiny)
    >>> tuple(stylize(photos[0], model).image.shape)
    (1, 3, 40, 40)
    """
    config = config_checks.given(config, Config, callback=callback)
    check_pictures(style, "the style image", single=True)
    if preview is not None:
        check_pictures(preview, "the preview", single=True, least=SMALLEST, why="the network")
    device = runtime.pick_device(config.device)
    data = training_photos(photos, size=config.image_size, seed=config.seed, device=device)
    loss = objective(style, config)
    network = build(config)
    if start is not None:
        config_checks.check_kind("start", start, Model)
        config_checks.check_same(start.config, config, ("width", "num_blocks", "norm", "upsampling"))
        network.load_state_dict(start.network.state_dict())
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if callback is not None and preview is not None:
        callback = _showing(preview, network, config, callback)
    names = painting_names(loss, config.tv_weight)

    def step(net: nn.Module, batch: Tensor) -> tuple[Tensor, Tensor]:
        painted = net(batch.contiguous(memory_format=torch.channels_last))
        return painting_terms(loss, painted, batch, config.tv_weight), painted

    learner = Minimizer(
        network, step, names, learning_rate=config.learning_rate, accumulate=config.accumulate,
        precision=runtime.pick_precision(config.precision, device), capturable=True,
    )  # fmt: skip
    run = train_and_summarize(
        learner, data, config, start=start, fingerprint={"style": total(style)}, callback=callback,
        checkpoint=checkpoint, resume=resume,
    )  # fmt: skip
    return Model(network.cpu().eval(), config, {**run.facts, "loss_network": loss.network.source}, run.stopped)


def evaluate(photos: Tensor, style: Tensor, model: Model) -> list[float]:
    """The objective (Eq. 5, without the expectation) of the network's output for each photograph.

    Args:
        photos: (N, 3, H, W) in [0, 1].
        style: (1, 3, h, w) in [0, 1], the painting.
        model: from `train` or `load`; its configuration gives layers and weights.

    Returns:
        One number per photograph: the sum of all weighted terms.

    Raises:
        ImageError: photographs or a painting that are not pictures in [0, 1].
    """
    config_checks.check_kind("model", model, Model)
    check_pictures(photos, "the photos", least=SMALLEST, why="the network")
    loss = objective(style, model.config)
    place = loss.network.mean.device
    objectives = []
    for photo in photos.detach().float().split(1):
        painted = stylize(photo, model, device=place.type).image
        with torch.no_grad():
            terms = painting_terms(loss, painted.to(place), photo.to(place), model.config.tv_weight)
            objectives.append(terms.sum().item())
    return objectives


def _showing(photo: Tensor, network: TransformerNet, config: Config, callback: runtime.Callback) -> runtime.Callback:
    """Wrap `callback`: the image of its `Progress` becomes the network's current output for `photo`."""

    def image() -> Tensor:
        return stylize(photo, Model(network, config, {}), device=config.device, precision=config.precision).image

    return lambda progress: callback(replace(progress, image=image))


def stylize(
    content: Tensor, model: Model, *, tile: int | None = None, device: str = "auto", precision: str = "auto",
    callback: runtime.Callback | None = None,
) -> Result:  # fmt: skip
    """Paint photographs in one pass.

    Args:
        content: (N, 3, H, W) in [0, 1], any size from 8 px on.
        model: from `train` or `load`.
        tile: side of the tiles in px, for pictures too large for the memory; None: one piece if it fits, else 384.
            The painting is the same up to rounding, whatever the tile; small tiles take longer (see `networks.tiles`).
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.
        callback: hears after each tile how much is done (`networks.tile_work`); in one piece, nothing.

    Raises:
        ImageError: photographs that are not pictures in [0, 1] of at least 8 px.
        ValueError: a tile that is not a whole number of pixels.
        MemoryError: even in tiles the result does not fit into the memory; names the largest picture that would.
    """
    config_checks.check_kind("model", model, Model)
    check_pictures(content, "the photos", least=SMALLEST, why="the network")
    began = time.perf_counter()
    image = one_pass(
        model.network, content, width=model.config.width, tile=tile, device=device, precision=precision,
        callback=callback,
    )  # fmt: skip
    return Result(image.float(), {"seconds": [time.perf_counter() - began]})


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the model and its configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package (``"great_wave"``).

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
