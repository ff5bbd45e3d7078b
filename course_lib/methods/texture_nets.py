"""Texture networks (Ulyanov, Lebedev, Vedaldi & Lempitsky, ICML 2016).

Gatys et al. optimize every texture anew. Here a network g_θ learns one texture x_0 and then makes samples x = g_θ(z)
from noise z in one pass. It is trained on noise alone (Section 3.2):

    min_θ E_z [ Σ_l w_l ‖G_l(g_θ(z)) − G_l(x_0)‖² ]

G_l are the Gram matrices of VGG-19, as for the optimized texture ``gatys.stylize(None, style)``; both have the same
loss here. The noise consists of several tensors, from coarse to fine, with independent entries from the uniform
distribution on [0, 1]. The network treats all positions alike and its borders are circular (`networks.texture_net`): it
makes textures of any size, and copies of a texture fit together without a seam.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from course_lib import arguments, config_checks, runtime
from course_lib.data.augment import item_generator
from course_lib.image_checks import check_pictures
from course_lib.images import resize
from course_lib.losses.balance import BALANCES, layer_weights
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.losses.style import SIZE_INDEPENDENT
from course_lib.networks.texture_net import NOISE_CHANNELS, TextureNet, checked_noise, noise_sizes
from course_lib.optimize.start import check_memory
from course_lib.pretrained.vgg import STYLE_LAYERS, VGGFeatures
from course_lib.training import model_files
from course_lib.training.fingerprints import total
from course_lib.training.loop import Minimizer
from course_lib.training.run import train_and_summarize
from course_lib.training.schedules import Schedule

KIND = "texture_nets"
_BYTES_PER_PIXEL = 25  # and channel of the last block, at the peak of a pass: 13 to 19 measured, plus a margin
MOST_SCALES = 8  # the coarsest noise of a texture of 256 px has two positions then


@dataclass(frozen=True)
class Config:
    """The paper's configuration; every field names its source."""

    num_steps: int = 2000  # Section 4
    batch_size: int = 16  # Section 4
    image_size: int = 256  # M, Section 3.2
    learning_rate: float = 0.1  # Adam, Section 4
    decay: float = 0.7  # factor on the learning rate, Section 4 …
    decay_start: float = 0.5  # … after this fraction of the run (step 1,000) …
    decay_every: float = 0.1  # … and again after each such fraction (200 steps)
    style_layers: tuple[str, ...] = STYLE_LAYERS  # "relu1_1 … relu5_1", Section 4
    style_layer_weights: str | tuple[float, ...] = "balanced"  # w_l; "equal": the paper; "balanced": ours, chapter 4
    style_size: int = 256  # long side of the texture image; the authors' code
    num_scales: int = 5  # K, Section 3.2
    width: int = 8  # channels for the noise of each size; 8, 16, … 40 after joining, Section 3.2
    norm: str = "batch"  # Section 3.2; "instance": Ulyanov et al. 2016b
    pooling: str = "average"  # Gatys et al. 2015, whose loss it is
    arch: str = "vgg19"  # Section 4
    weights: str | Path | None = "default"  # of the loss network
    accumulate: int = 1  # parts in which a batch is computed, to save memory; ours
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={"num_steps": 1, "batch_size": 1, "image_size": 1, "style_size": 8, "width": 1, "accumulate": 1},
            positive=("learning_rate", "decay", "decay_every"),
            fractions=("decay", "decay_start", "decay_every"),
            layers=("style_layers",),
            choices={
                "num_scales": range(1, MOST_SCALES + 1), "norm": ("batch", "instance"), "pooling": ("average", "max"),
                "arch": ("vgg19", "vgg16"),
            },
        )  # fmt: skip
        if isinstance(self.style_layer_weights, str):
            config_checks.check(self, choices={"style_layer_weights": BALANCES})
        else:
            config_checks.check_shares(self, "style_layer_weights", len(self.style_layers), "style layers")
        if self.image_size < (least := smallest(self.num_scales)):
            raise ValueError(
                f"image_size must be at least {least} for num_scales={self.num_scales}, got {self.image_size}"
            )

    @classmethod
    def released(cls) -> Config:
        """The authors' later code (texture_nets, train.lua): instance norm, a sixth scale, many small steps."""
        return cls(
            num_steps=50_000, batch_size=1, learning_rate=1e-3, decay=0.8, decay_start=0.04, decay_every=0.04,
            style_layers=STYLE_LAYERS[:4], num_scales=6, norm="instance",
        )  # fmt: skip

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings: small batches of small textures, instance norm."""
        return cls(num_steps=1500, batch_size=2, image_size=128, learning_rate=0.005, norm="instance")

    @classmethod
    def quick(cls) -> Config:
        """A minute or two on a CPU, for a first impression."""
        return replace(cls.fast(), num_steps=200)


def smallest(num_scales: int) -> int:
    """The smallest side of a texture, in pixels: the coarsest noise needs two positions for a variance.

    >>> smallest(5)
    32
    """
    return 2**num_scales


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads: one network for one texture."""

    network: TextureNet
    config: Config
    facts: dict[str, Any]  # of the training run: "style", "history", "seconds", "device", …
    stopped: str | None = None  # why the training ended early, or None


@dataclass(frozen=True)
class Result:
    """What `generate` returns."""

    image: Tensor  # (N, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> TextureNet:
    """The untrained network of a configuration; its weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        network = TextureNet(num_scales=config.num_scales, width=config.width, norm=config.norm)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)  # Section 4
        return network


def objective(style: Tensor, config: Config) -> PerceptualLoss:
    """The style terms; their targets are the Gram matrices of the texture image.

    Args:
        style: (1, 3, h, w) in [0, 1]; resized to a long side of ``config.style_size``.

    Raises:
        ImageError: not one picture in [0, 1].
    """
    check_pictures(style, "the style image", single=True)
    device = runtime.pick_device(config.device)
    layers, of_network = config.style_layers, {"pooling": config.pooling, "weights": config.weights}
    weights = layer_weights(config.style_layer_weights, layers, arch=config.arch, **of_network)  # type: ignore[arg-type]
    precision = runtime.pick_precision(config.precision, device)
    network = VGGFeatures(config.arch, layers, precision=precision, **of_network).to(device)  # type: ignore[arg-type]
    loss = PerceptualLoss(network, style=SIZE_INDEPENDENT.join(1.0, layers, weights))
    loss.set_style([resize(style.detach().float(), config.style_size).to(device)])
    return loss


class Noise(Dataset[tuple[Tensor, ...]]):
    """Endless noise: a data set with a single item, which is new in each epoch.

    Args:
        size: side of the textures in pixels.
        num_scales: K.
        seed: of the noise.

    >>> [tuple(z.shape) for z in Noise(64, 3, seed=0)[0]]
    [(3, 16, 16), (3, 32, 32), (3, 64, 64)]
    """

    def __init__(self, size: int, num_scales: int, seed: int) -> None:
        self.size, self.num_scales, self.seed = size, num_scales, seed

    def __len__(self) -> int:
        return 1

    def __getitem__(self, k: int) -> tuple[Tensor, ...]:
        return self.item(0, k)

    def item(self, epoch: int, k: int) -> tuple[Tensor, ...]:
        """The noise of an epoch, from coarse to fine: (3, h, w) each, uniform on [0, 1]."""
        generator = item_generator(self.seed, epoch)
        return tuple(z[0] for z in draw_noise(1, self.size, self.size, self.num_scales, generator))


def draw_noise(count: int, height: int, width: int, num_scales: int, generator: torch.Generator) -> list[Tensor]:
    """Noise for textures of height × width pixels, from coarse to fine: (count, 3, h, w) each, uniform on [0, 1]."""
    sizes = noise_sizes(height, width, num_scales)
    return [torch.rand(count, NOISE_CHANNELS, *size, generator=generator) for size in sizes]


def schedule(config: Config) -> Schedule:
    """The factor on the learning rate: decay^k after the k-th fall.

    >>> falls = schedule(Config())
    >>> [round(falls(step, 2000), 3) for step in (0, 999, 1000, 1199, 1200, 1999)]
    [1.0, 1.0, 0.7, 0.7, 0.49, 0.168]
    """

    def factor(step: int, num_steps: int) -> float:
        start, every = (round(part * num_steps) for part in (config.decay_start, config.decay_every))
        falls = 0 if step < start else 1 + (step - start) // max(1, every)
        return config.decay**falls

    return factor


@runtime.with_gradients()
def train(
    style: Tensor,
    config: Config | None = None,
    *,
    start: Model | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
) -> Model:
    """Train a network that makes textures like `style` (Ulyanov et al. 2016, Section 3.2).

    Args:
        style: (1, 3, h, w) in [0, 1], a texture or a painting.
        config: defaults to the paper's: two hours on a GPU of its time (Section 4), days on two CPU cores.
        start: a trained model of the same shape to start from.
        callback: called after each step with a `runtime.Progress` whose image is the first texture of the batch.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.

    Returns:
        The trained network, on the CPU.

    Raises:
        ValueError: wrong shapes, a `start` of another shape, layers the network does not have.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.
        WeightsError: the loss network's weights can be neither found nor downloaded.

    >>> tiny = Config(num_steps=2, batch_size=1, image_size=32, num_scales=3, width=2, weights=None)
    >>> model = train(torch.rand(1, 3, 40, 40), tiny)
    >>> tuple(generate(2, model, size=(30, 50)).image.shape)
    (2, 3, 30, 50)
    """
    config = config_checks.given(config, Config, callback=callback)
    loss = objective(style, config)
    network = build(config)
    if start is not None:
        config_checks.check_kind("start", start, Model)
        config_checks.check_same(start.config, config, ("num_scales", "width", "norm"))
        network.load_state_dict(start.network.state_dict())
    device = runtime.pick_device(config.device)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def step(net: nn.Module, noise: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        textures = net(*(z.contiguous(memory_format=torch.channels_last) for z in noise))
        return loss(textures) / len(textures), textures.detach().clamp(0, 1)

    learner = Minimizer(
        network, step, loss.names, learning_rate=config.learning_rate, accumulate=config.accumulate,
        precision=runtime.pick_precision(config.precision, device), capturable=True,
    )  # fmt: skip
    run = train_and_summarize(
        learner, Noise(config.image_size, config.num_scales, config.seed), config, schedule=schedule(config),
        start=start, fingerprint={"style": total(style)}, callback=callback, checkpoint=checkpoint, resume=resume,
    )  # fmt: skip
    return Model(network.cpu().eval(), config, {**run.facts, "loss_network": loss.network.source}, run.stopped)


def generate(
    count_or_noise: int | Sequence[Tensor], model: Model, *, size: int | tuple[int, int] | None = None, seed: int = 0,
    device: str = "auto", precision: str = "auto",
) -> Result:  # fmt: skip
    """Make textures in one pass.

    Args:
        count_or_noise: how many to make; or the noise itself, from coarse to fine, K tensors (N, 3, h, w), as
            `draw_noise` makes it: equal noise gives equal textures.
        model: from `train` or `load`.
        size: of the textures in pixels, height and width, or the side of squares; None: ``config.image_size``.
        seed: of the noise, if a count is given.
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.

    Each texture continues across its borders: ``texture.repeat(1, 1, 2, 2)`` shows no seam.

    Raises:
        ValueError: noise of other shapes, a size with noise, or one that is too small for the network.
        MemoryError: the textures do not fit into the memory; names the largest size that would.
    """
    config_checks.check_kind("model", model, Model)
    noise = _noise(count_or_noise, model.config, size, seed, runtime.pick_device(device))
    began, made = time.perf_counter(), []
    with runtime.inference(model.network, device=device, precision=precision, repeats=True) as run:
        for one in zip(*(z.split(1) for z in noise), strict=True):
            made.append(run(*one))
    return Result(torch.cat(made).float().clamp_(0, 1), {"seconds": [time.perf_counter() - began]})


def _noise(
    count_or_noise: Any, config: Config, size: int | tuple[int, int] | None, seed: int, device: torch.device
) -> list[Tensor]:
    """The noise, float32: drawn for a count, or as it was given."""
    least, given = smallest(config.num_scales), isinstance(count_or_noise, list | tuple)
    if isinstance(count_or_noise, Tensor) and count_or_noise.ndim > 0:
        checked_noise(count_or_noise, config.num_scales)  # refuses one tensor in place of several
    if given:
        if size is not None:
            raise ValueError("the noise has a size already; give either noise or a size")
        noise = checked_noise(count_or_noise, config.num_scales)
        if not all(z.isfinite().all() for z in noise):
            raise ValueError("the noise contains values that are not finite")
        count, _, height, width = noise[-1].shape
        if min(height, width) < least:
            raise ValueError(f"the network needs noise for textures of at least {least} px, got {height}×{width} px")
    else:
        count = arguments.whole("count_or_noise", count_or_noise, 1)
        side = config.image_size if size is None else size
        sides = tuple(side) if isinstance(side, list | tuple) else (side, side)
        if len(sides) != 2:
            raise ValueError(f"size must be a whole number or two, height and width, got {size!r}")
        height, width = (arguments.whole("size", side, least) for side in sides)
    check_memory(partial(_memory_needed, config, count), height, width, device)
    if given:
        return [z.detach().float() for z in noise]
    return draw_noise(count, height, width, config.num_scales, runtime.seeded_generator(arguments.seed(seed)))


def _memory_needed(config: Config, count: int, height: int, width: int) -> int:
    """Bytes: one pass, and the noise and the textures of all passes."""
    one = _BYTES_PER_PIXEL * config.num_scales * config.width
    return (one + 40 * count) * height * width


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the model and its configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package.

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
