"""One network for many styles (Dumoulin, Shlens & Kudlur, ICLR 2017).

The network of Johnson et al. learns one painting. Here all paintings share the convolutions; a painting s has only its
scales γ_s and shifts β_s after the normalizations, 0.2 % of the parameters. Training draws a painting for each photo x
(Section 2):

    min E_{x, s} [ λ_c ℓ_content(f(x, s), x) + λ_s a_s Σ_l ℓ_style,l(f(x, s), y_s) ]

Any convex sum of rows (γ, β) is a style, too, so a trained network can mix paintings. A new painting needs only a new
row: `add_style`. Symbols: λ_c = content_weight, λ_s = style_weight; a_s is ours, see `Config.equalize`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

from course_lib import config_checks, losses, runtime
from course_lib.data.crops import training_photos
from course_lib.data.paintings import WithStyle, painting_names, style_weights
from course_lib.images import check_pictures, resize
from course_lib.losses.many_styles import ManyStyles
from course_lib.networks.multi_style_net import MultiStyleNet
from course_lib.networks.one_pass import one_pass
from course_lib.networks.transformer_net import TransformerNet
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.training import model_files
from course_lib.training.fingerprints import total
from course_lib.training.loop import Minimizer
from course_lib.training.optimizers import adam
from course_lib.training.run import Summary, train_and_summarize

KIND = "multi_style"
SMALLEST = 8  # px, shortest side of a photograph
_MEASURED = 16  # photos on which the style terms of the paintings are compared


@dataclass(frozen=True)
class Config:
    """The paper's configuration (its Table 1) with a balance chosen by eye; every field names its source."""

    num_steps: int = 40_000  # Table 1
    batch_size: int = 16  # Table 1
    image_size: int = 256  # the authors' code
    learning_rate: float = 1e-3  # Adam, Table 1
    style_rate: float = 1.0  # factor on the learning rate of γ and β; ours
    cooldown: float = 0.0  # final fraction of the run, in which the learning rate falls to zero; not in the paper
    content_weight: float = 1.0  # λ_c
    style_weight: float = 1.0  # λ_s; by eye, see `style_weight_of_authors` for theirs
    tv_weight: float = 0.0  # not in the paper
    equalize: bool = True  # a_s: the style terms of all paintings are equal for photos; False: a_s = 1, the paper's
    content_layers: tuple[str, ...] = ("relu3_3",)  # the authors' code
    style_layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # the authors' code
    style_size: int = 256  # long side of the paintings; the paper gives no size
    num_styles: int = 1  # S; `train` and `add_style` set it to the number of paintings
    width: float = 1.0  # factor on 32, 64, 128 channels (Table 1)
    num_blocks: int = 5  # Table 1
    arch: str = "vgg16"  # Section 3
    weights: str | Path | None = "default"  # of the loss network
    accumulate: int = 1  # parts in which a batch is computed, to save memory; ours
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={
                "num_steps": 1, "batch_size": 1, "image_size": 8, "style_size": 8, "num_styles": 1, "num_blocks": 0,
                "accumulate": 1, "seed": 0,
            },
            positive=("learning_rate", "style_rate", "width"), some_layers=("content_layers", "style_layers"),
            nonnegative=("content_weight", "style_weight", "tv_weight"), fractions=("cooldown",),
            choices={"equalize": (True, False), "arch": ("vgg16", "vgg19")},
        )  # fmt: skip

    @classmethod
    def released(cls) -> Config:
        """The authors' code (Magenta, image_stylization): their balance, and the same weight for all paintings."""
        return cls(style_weight=style_weight_of_authors(1e-4), equalize=False)

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings: a quarter of the computation, small batches and pictures, a falling learning rate."""
        return cls(num_steps=3000, batch_size=4, image_size=160, cooldown=0.5, width=0.5, style_rate=5.0, tv_weight=4.0)

    @classmethod
    def quick(cls) -> Config:
        """Minutes on a CPU: few steps at a small size; best started from a trained network."""
        return replace(cls.fast(), num_steps=200, image_size=128)


def style_weight_of_authors(weight: float, scale: float = 255 * 0.226) -> float:
    """Convert the weight of the authors' style terms, where their content weight is 1, to our `style_weight`.

    Both average squared differences, of features and of Gram matrices divided by H·W. But their network has inputs from
    0 to 255, so its features are s times as large as torchvision's: the content term grows with s², the style term
    with s⁴.

    Args:
        weight: 1e-4 in their code.
        scale: s, roughly the ratio of the scales of the inputs.

    Returns:
        The factor before the style terms where the content weight is 1.

    >>> round(style_weight_of_authors(1e-4), 3)
    0.332
    """
    return weight * scale**2


@dataclass(frozen=True)
class Model:
    """What `train` and `add_style` return and `load` reads: one network for several paintings."""

    network: MultiStyleNet
    config: Config
    facts: dict[str, Any]  # of the training run: "styles", "style_start", "photos", "history", "seconds", …
    stopped: str | None = None  # why the training ended early, or None

    @property
    def styles(self) -> tuple[str, ...]:
        """The names of the paintings, in the order of the rows of γ and β."""
        return tuple(self.facts.get("styles") or (f"style {k}" for k in range(self.network.num_styles)))


@dataclass(frozen=True)
class Result:
    """What `stylize` returns."""

    image: Tensor  # (N, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> MultiStyleNet:
    """The untrained network of a configuration; its weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        return MultiStyleNet(config.num_styles, width=config.width, num_blocks=config.num_blocks)


def objective(paintings: Sequence[Tensor], config: Config, photos: Tensor, start: float | None = None) -> ManyStyles:
    """The content and style terms, with the Gram matrices of the paintings set.

    Args:
        paintings: each (1, 3, h, w) in [0, 1]; resized to a long side of ``config.style_size``.
        photos: (N, 3, H, W) in [0, 1], on which the style terms are made equal if ``config.equalize``.
        start: see `ManyStyles`.
    """
    device = runtime.pick_device(config.device)
    names = tuple(dict.fromkeys((*config.content_layers, *config.style_layers)))
    precision = runtime.pick_precision(config.precision, device)
    network = VGGFeatures(config.arch, names, pooling="max", weights=config.weights, precision=precision).to(device)
    return ManyStyles(
        network,
        [resize(painting.detach().float(), config.style_size).to(device) for painting in paintings],
        content=losses.JOHNSON.join(config.content_weight, config.content_layers),
        style=losses.JOHNSON.join(config.style_weight, config.style_layers),
        convention=losses.JOHNSON,
        comparable=photos if config.equalize else None,
        start=start,
    )


@runtime.with_gradients()
def train(
    styles: Mapping[str, Tensor],
    photos: str | Path | Sequence[Tensor] | Dataset[Tensor] | None = None,
    config: Config | None = None,
    *,
    start: Any = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    preview: Tensor | None = None,
) -> Model:
    """Train one network for several paintings, one of them drawn for each photo of a batch (Section 2).

    Args:
        styles: name → painting (1, 3, h, w) in [0, 1].
        photos: a folder, pictures (1, 3, H, W) in [0, 1], a map-style data set of (3, H, W) in [0, 1], or None for the
            open photos that come with the package.
        config: defaults to the paper's: hours on a GPU, days on two CPU cores.
        start: a trained model of the same shape to start from: one of this method, or a `johnson.Model`. The
            convolutions come from it. Paintings that it has start from their scales and shifts there, others from the
            mean over its styles.
        callback: called after each step with a `runtime.Progress` whose image is the network's current output for
            `preview` in all styles, side by side, or for the first picture of the batch if there is no `preview`.
        checkpoint, resume: of the run, see `training.loop.fit`.
        preview: (1, 3, H, W) in [0, 1], a photo for the callback; it is not used for training.

    Returns:
        The trained network, on the CPU.

    Raises:
        ValueError: no painting, wrong shapes, a `start` of another shape, layers the network does not have.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.
        WeightsError: the loss network's weights can be neither found nor downloaded.

    >>> paintings = {name: torch.rand(1, 3, 32, 32) for name in ("wave", "poppies")}
    >>> tiny = Config(num_steps=2, batch_size=2, image_size=32, style_size=32, width=0.1, num_blocks=1, weights=None)
    >>> model = train(paintings, [torch.rand(1, 3, 40, 40)], tiny)
    >>> tuple(stylize(torch.rand(1, 3, 40, 37), model, {"wave": 1, "poppies": 2}).image.shape)
    (1, 3, 40, 37)
    """
    config = config_checks.given(config, Config, callback=callback)
    names = painting_names(styles)
    config = replace(config, num_styles=len(names))
    network = build(config)
    if start is not None:
        _take(network, start, config, names)
    data, first = _photos(photos, config)
    loss = objective([*styles.values()], config, first)
    options = {"start": start, "callback": callback, "checkpoint": checkpoint, "resume": resume}
    run = _run(network, loss, data, config, styles, preview, options)
    return Model(network.cpu().eval(), config, {"styles": [*names], **run.facts}, run.stopped)


def _take(network: MultiStyleNet, start: Any, config: Config, names: Sequence[str]) -> None:
    """Start from the parameters of another model."""
    given = getattr(start, "network", None)
    if not isinstance(given, MultiStyleNet | TransformerNet):
        config_checks.check_kind("start", start, Model)
    config_checks.check_same(start.config, config, ("width", "num_blocks"))
    common = [name for name in names if name in getattr(start, "styles", ())]
    network.take(given, {names.index(name): start.styles.index(name) for name in common})  # type: ignore[arg-type]


@runtime.with_gradients()
def add_style(
    model: Model,
    name: str,
    style: Tensor,
    photos: str | Path | Sequence[Tensor] | Dataset[Tensor] | None = None,
    config: Config | None = None,
    *,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    preview: Tensor | None = None,
) -> Model:
    """Teach a trained model one more painting: only its own γ and β are trained (Section 3).

    They start from those of the style whose outputs for a few photos have the smallest style terms for this painting.

    Args:
        model: from `train`, `add_style` or `load`; it is not changed.
        name: of the painting, one that the model does not have yet.
        style: (1, 3, h, w) in [0, 1].
        photos, callback, checkpoint, resume, preview: as in `train`.
        config: of the model's shape; None: the model's own, with an eighth of its steps (5,000 of 40,000 in the paper).

    Returns:
        A new model with one more style, on the CPU. All other parameters equal those of `model`, bit for bit.

    Raises:
        ValueError: a name that the model already has, a configuration of another shape; all that `train` raises.
    """
    config_checks.check_kind("model", model, Model)
    short = replace(model.config, num_steps=max(1, model.config.num_steps // 8))
    config = config_checks.given(short if config is None else config, Config, callback=callback)
    config_checks.check_same(model.config, config, ("width", "num_blocks"))
    if name in model.styles:
        raise ValueError(f"the model already has a style {name!r}; give the new one another name")
    painting_names({name: style})
    data, first = _photos(photos, config)
    loss = objective([style], config, first, model.facts.get("style_start"))
    network = build(replace(config, num_styles=1))
    network.take(model.network, {0: _nearest(model, loss, first)})
    for each, parameter in network.named_parameters():
        parameter.requires_grad_(each in network.names_of_rows())
    options = {"start": model, "callback": callback, "checkpoint": checkpoint, "resume": resume}
    run = _run(network, loss, data, config, {name: style}, preview, options)
    joined = model.network.with_row(network.cpu().eval())
    facts = {**run.facts, "styles": [*model.styles, name]}
    return Model(joined, replace(config, num_styles=joined.num_styles), facts, run.stopped)


def _nearest(model: Model, loss: ManyStyles, photos: Tensor) -> int:
    """The number of the style whose outputs are nearest to the painting of `loss`."""
    painted = (stylize(photos, model, name, precision="float32").image for name in model.styles)
    return int(torch.cat([loss.style_terms(images) for images in painted]).argmin())


def _run(
    network: MultiStyleNet, loss: ManyStyles, data: Any, config: Config, styles: Mapping[str, Tensor],
    preview: Tensor | None, options: dict[str, Any],
) -> Summary:  # fmt: skip
    """Train the parameters that require a gradient; `options` go to `train_and_summarize`."""
    if preview is not None:
        check_pictures(preview, "the preview", single=True, least=SMALLEST, why="the network")
    device = runtime.pick_device(config.device)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options["callback"] is not None and preview is not None:
        options["callback"] = _showing(preview, network, config, [*styles], options["callback"])
    one_hot = torch.eye(network.num_styles, device=device)

    def step(net: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        pictures, styles = batch
        painted = net(pictures.contiguous(memory_format=torch.channels_last), one_hot[styles])
        terms = loss(painted, pictures, styles)
        if config.tv_weight > 0:
            terms = torch.cat((terms, config.tv_weight * losses.total_variation_loss(painted).view(1)))
        return terms, painted

    learner = Minimizer(
        network, step, (*loss.names, *(("tv",) if config.tv_weight > 0 else ())), accumulate=config.accumulate,
        precision=runtime.pick_precision(config.precision, device), capturable=True,
    )  # fmt: skip
    factors = dict.fromkeys(network.names_of_rows(), config.style_rate)
    learner.optimizers = {"network": adam(network, config.learning_rate, factor=lambda name: factors.get(name, 1.0))}
    run = train_and_summarize(
        learner, WithStyle(data, network.num_styles, config.seed), config, **options,
        fingerprint={"styles": [(name, total(painting)) for name, painting in styles.items()]},
    )  # fmt: skip
    run.facts.update(loss_network=loss.loss.network.source, style_start=loss.start)
    return run


def _photos(photos: Any, config: Config) -> tuple[Any, Tensor]:
    """The training set, and its first photos, on which the style terms of the paintings are compared."""
    if isinstance(photos, IterableDataset):
        raise ValueError("a painting is drawn for each photo by its number, so photos must be a map-style data set")
    device = runtime.pick_device(config.device)
    data = training_photos(photos, size=config.image_size, seed=config.seed, device=device)
    return data, torch.stack([data[k] for k in range(min(_MEASURED, len(data)))])


def _showing(
    photo: Tensor, network: MultiStyleNet, config: Config, names: Sequence[str], callback: runtime.Callback
) -> runtime.Callback:
    """Wrap `callback`: the image of its `Progress` becomes the network's current output for `photo` in all styles."""

    def image() -> Tensor:
        model = Model(network, config, {"styles": [*names]})
        painted = (
            stylize(photo, model, name, device=config.device, precision=config.precision).image for name in names
        )
        return torch.cat([*painted], -1)

    return lambda progress: callback(replace(progress, image=image))


def stylize(
    content: Tensor,
    model: Model,
    style: str | Mapping[str, float],
    *,
    tile: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    callback: runtime.Callback | None = None,
) -> Result:
    """Paint photographs in one pass, in the style of one painting or of several at once.

    Args:
        content: (N, 3, H, W) in [0, 1], with sides of at least 8 px.
        model: from `train`, `add_style` or `load`.
        style: the name of a painting, or name → weight; weights are divided by their sum.
        tile: side of the tiles in px, for pictures too large for the memory; None: one piece if it fits, else 384.
            The result is the same for every tile size, up to rounding (see `networks.tiles`).
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.
        callback: hears after each tile how much is done (`networks.tile_work`); in one piece, nothing.

    Raises:
        ImageError: photographs that are not pictures in [0, 1] of at least 8 px.
        ValueError: a style that the model does not have, a negative weight, only zeros, or an invalid tile.
        MemoryError: even in tiles the result does not fit into the memory; names the largest picture that would.
    """
    config_checks.check_kind("model", model, Model)
    check_pictures(content, "the photos", least=SMALLEST, why="the network")
    network = model.network.blended(style_weights(style, model.styles))
    began = time.perf_counter()
    image = one_pass(
        network, content, width=model.config.width, tile=tile, device=device, precision=precision, callback=callback
    )
    return Result(image.float(), {"seconds": [time.perf_counter() - began]})


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the model, the names of its styles and its configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package (``"twelve_paintings"``).

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
