"""Image style transfer using convolutional neural networks (Gatys, Ecker & Bethge, CVPR 2016).

Minimize over the picture x, from white noise, with L-BFGS (Eq. 7):

    L(x) = content_weight · ½ mean (F − P)²  +  style_weight · mean_l 1/(4N_l²) Σ (G_l/M_l − A_l/M_l)²

Symbols: p content image, a style image; F, P features of x and p at the content layer; G, A Gram matrices of
x and a at the style layers; α = content_weight, β = style_weight, both on terms that do not grow with the
image. `course_lib.losses.convert_weights` converts the weights to and from the papers' conventions.

The same function covers two special cases: ``stylize(content, None)`` reconstructs an image from its
features (their Fig. 1, top), ``stylize(None, style)`` makes a texture (Fig. 1, bottom; Gatys et al. 2015).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from course_lib import arguments, config_checks, losses, runtime
from course_lib.image_checks import check_pictures
from course_lib.images import resize
from course_lib.losses.balance import BALANCES, layer_weights
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.losses.style import SIZE_INDEPENDENT
from course_lib.optimize import scales
from course_lib.optimize.image import STALL_STEPS, Adam, is_stalled, optimize_image
from course_lib.optimize.lbfgs import LBFGS
from course_lib.optimize.objective import Objective, Term
from course_lib.optimize.preconditioners import color_preconditioner, fourier_preconditioner
from course_lib.optimize.start import STARTS, check_memory, checked_images, start_image
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS, VGGFeatures, cached_network

_MARGIN = 1.1  # for the workspace of convolutions and gaps between tensors
_PICTURES = 16  # float32 pictures besides the optimizer's history: images, gradients, the directions of one step
OPTIMIZERS = ("lbfgs", "adam")


@dataclass(frozen=True)
class Config:
    """The paper's configuration; every field names its source."""

    num_steps: int = 500  # one step = one evaluation; "within 500 iterations" (Wang 2019, Section 3); see `scales`
    content_weight: float = 1.0  # α, Eq. 7, on the size-independent term
    style_weight: float = 150.0  # β, Eq. 7, on the size-independent term: chosen by eye, see chapter 4
    content_layers: tuple[str, ...] = (CONTENT_LAYER,)  # "conv4_2", Section 3
    style_layers: tuple[str, ...] = STYLE_LAYERS  # "conv1_1 … conv5_1", Section 3
    style_layer_weights: str | tuple[float, ...] = "balanced"  # w_l; "equal": 1/5, Section 3; "balanced": ours, ch. 4
    pooling: str = "average"  # Section 2
    arch: str = "vgg19"  # Section 2; Wang 2019 uses "vgg16"
    weights: str | Path | None = "default"  # normalized to mean activation one, Section 2
    start: str = "noise"  # "noise" (Section 2), "content", "style", or "mixed" (Premamayudu et al. 2019)
    noise_ratio: float = 0.7  # r in r·noise + (1−r)·content for start="mixed" (ANU report, Section 6)
    noise_width: float = 0.2  # noise uniform in 0.5 ± width/2; "white noise" (Section 2), no amplitude: chapter 3
    optimizer: str = "lbfgs"  # "lbfgs" (Section 2) or "adam" (Premamayudu et al. 2019)
    learning_rate: float = 2 / 255  # Adam only: 2.0 in 0–255 pixels (Premamayudu et al. 2019)
    history_size: int = 20  # L-BFGS curvature pairs; the paper gives no number
    precondition: float = 0.0  # p: initial inverse Hessian of L-BFGS ∝ frequency**−p, chapter 5; 0: plain (Section 2)
    curvature: bool = False  # from noise, L-BFGS also divides by the curvature of each color and frequency, chapter 5
    project: bool = True  # keep x in [0, 1] after each step (Wang 2019; the authors' texture code bounds it too)
    tv_weight: float = 0.0  # total variation; "we do not regularise", Section 2
    scales: tuple[int, ...] | None = None  # long sides to solve first, with more steps (Gatys et al. 2017); ch. 4
    style_scale: float = 1.0  # style image's long side / content image's; 1: "the same size", Section 2
    style_blend: tuple[float, ...] | None = None  # weights of several style images; None: equal
    precision: str = "auto"  # of the convolutions: "float32", "bfloat16", or "auto": the faster one on this device
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={"num_steps": 1, "history_size": 1},
            positive=("style_scale", "learning_rate"),
            nonnegative=("content_weight", "style_weight", "tv_weight"),
            fractions=("noise_ratio", "noise_width", "precondition"),
            layers=("content_layers", "style_layers"),
            choices={
                "start": STARTS, "optimizer": OPTIMIZERS, "curvature": (False, True), "project": (False, True),
                "pooling": ("average", "max"), "arch": ("vgg19", "vgg16"),
            },
        )  # fmt: skip
        if self.content_weight == self.style_weight == 0:
            raise ValueError("content_weight and style_weight are both 0: there is nothing to match; raise one")
        if isinstance(self.style_layer_weights, str):
            config_checks.check(self, choices={"style_layer_weights": BALANCES})
        else:
            config_checks.check_shares(self, "style_layer_weights", len(self.style_layers), "style layers")
        if self.style_blend is not None:
            config_checks.check_shares(self, "style_blend", None, "styles")
        if self.scales is not None:
            config_checks.check_wholes(self, "scales", "long sides in pixels")

    @classmethod
    def fast(cls) -> Config:
        """Our best engine: the same objective and start, from coarse to fine, with a preconditioned optimizer."""
        return cls(precondition=0.4, curvature=True, num_steps=100, scales=(128, 256, 512))

    @classmethod
    def quick(cls) -> Config:
        """Minutes on a laptop: 100 steps from the photograph, enough for a first impression."""
        return cls(num_steps=100, start="content")


@dataclass(frozen=True)
class Result:
    """What `stylize` returns.

    `history` holds lists with one number per step for ``"total"``, ``"seconds"`` and each weighted term:
    ``"content/relu4_2"``, ``"style/relu1_1"``, …, ``"tv"``. With ``config.scales``, the runs of all sizes follow one
    another, and ``"scale"`` says at which long side a step was taken.
    """

    image: Tensor  # (1, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]
    config: Config
    stopped: str | None = None  # why the run ended early, or None
    advice: str | None = None  # what to try if the loss hardly fell at the end
    extra: dict[str, object] = field(default_factory=dict)  # device, precision, source of the weights


@runtime.with_gradients()
def stylize(
    content: Tensor | None,
    style: Tensor | Iterable[Tensor] | None,
    config: Config | None = None,
    *,
    initial: Tensor | None = None,
    callback: runtime.Callback | None = None,
) -> Result:
    """Paint `content` in the style of `style` (Gatys et al. 2016, Eq. 7).

    Args:
        content: (1, 3, H, W) in [0, 1]; None for texture synthesis (style only).
        style: (1, 3, h, w) in [0, 1], or several of them; resized so that its long side is the content's
            times ``config.style_scale``. None for reconstruction (content only).
        config: defaults to the paper's.
        initial: (1, 3, H, W) in [0, 1], a picture to start from in place of ``config.start``.
        callback: called after each step with a `runtime.Progress`; its picture has the final size at every scale.

    With ``config.scales``, the picture is solved at those of these long sides that are clearly smaller than its own,
    then at its own, each time from the enlarged result of the size before. ``config.num_steps`` are taken at its own
    size, and twice as many at each smaller one.

    Returns:
        A `Result`. Step k evaluates the picture and then changes it: the step's losses are those before the change,
        and the callback gets the picture after it. The returned image is the one after the last step or, if a
        loss or gradient was not finite, the last one whose loss was finite.

    Raises:
        ValueError: wrong shape or range, an image too small for the deepest layer, an unknown layer.
        MemoryError: the run would not fit into the memory; the message gives the largest size that fits.
        WeightsError: the network's weights can be neither found nor downloaded.

    *Differs from the paper:* the style image keeps its aspect ratio.

    >>> content, style = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    >>> result = stylize(content, style, Config(num_steps=20, weights=None))
    >>> result.history["total"][-1] < result.history["total"][0]
    True
    """
    config = config_checks.given(config, Config, callback=callback)
    content, styles = _check_images(content, style, config)
    start = None if initial is None else first_image(content, styles or None, config, initial)
    full = _size(content, styles, start)
    network = _checked_network(content, styles, config, full)  # too large is refused before smaller sizes are solved
    least = scales.least_side(network.min_size(network.layers[-1]), content, styles, full, config.style_scale)
    sizes = scales.sizes(*full, config.scales, least=least)
    steps = scales.steps(config.num_steps, len(sizes))
    history: dict[str, list[float]] = {}
    for size, count in zip(sizes, steps, strict=True):
        photo, paintings = scales.reduced(content, styles, size, full)
        goal = objective(photo, paintings or None, config)
        x = first_image(photo, paintings or None, config, None if start is None else scales.fitted(start, size))
        done = optimize_image(
            optimizer(x, config),
            goal,
            num_steps=count,
            callback=scales.shifted(callback, full, history, sum(steps)),
            remedy=_remedy(config),
        )
        history = scales.joined(history, done.history, max(size)) if config.scales else done.history
        start = done.image
        if done.stopped is not None:
            break
    extra: dict[str, object] = {
        "device": str(network.mean.device),
        "precision": str(network.precision).removeprefix("torch."),
        "weights": network.source,
    }
    advice = None
    if is_stalled(done.history):
        advice = "a smaller learning_rate may help" if config.optimizer == "adam" else "fewer steps would be enough"
        advice = f"the loss hardly fell over the last {STALL_STEPS} steps; {advice}"
    return Result(scales.fitted(done.image, full), history, config, done.stopped, advice, extra)


@runtime.with_gradients()
def dissect(
    image: Tensor, content: Tensor | None, style: Tensor | Iterable[Tensor] | None, config: Config | None = None
) -> dict[str, tuple[float, Tensor]]:
    """The value and the gradient of each term of the loss for one picture.

    Args:
        image: (1, 3, H, W) in [0, 1]: a picture that `stylize` returned or passed to the callback.
        content, style, config: as given to `stylize`.

    Returns:
        A dict: name of the term → its weighted value and ∂term/∂image, (1, 3, H, W) float32 on the CPU. The
        values add up to the loss, the gradients to its gradient.

    Raises:
        ValueError, MemoryError, WeightsError: as `stylize`.

    >>> content, style = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    >>> terms = dissect(content, content, style, Config(weights=None))
    >>> terms["content/relu4_2"][0]  # the photograph's own content matches exactly
    0.0
    """
    config = config_checks.given(config, Config)
    check_pictures(image, "the dissected image", single=True)
    goal = objective(content, style, config)
    return goal.dissect(image.to(_loss_network(goal).mean.device, torch.float32))


def memory_needed(height: int, width: int, config: Config | None = None) -> int:
    """An estimate of the bytes that `stylize` needs for a picture of this size, without the network's weights.

    Transformed filters (`VGGFeatures.filter_bytes`) are not counted: a run that fits only without them does without.

    It counts the rectified feature maps, the widest gradients and the optimizer's history; chapter 5 compares it with
    measurements.

    Args:
        height, width: of the picture, in pixels.
        config: defaults to the paper's.

    >>> config = Config(weights=None, history_size=10, precision="float32", device="cpu")
    >>> round(memory_needed(128, 128, config) / memory_needed(64, 64, config), 2)
    4.0
    """
    config = config_checks.given(config, Config)
    height, width = arguments.whole("height", height, 1), arguments.whole("width", width, 1)
    return _memory_needed(_network(config, (*config.content_layers, *config.style_layers)), height, width, config)


def _memory_needed(network: VGGFeatures, height: int, width: int, config: Config) -> int:
    pictures = _PICTURES + 2 * (config.history_size if config.optimizer == "lbfgs" else 1)
    return int(_MARGIN * (network.memory_needed(height, width) + pictures * 4 * 3 * height * width))


@runtime.with_gradients()  # targets that were computed in inference mode could not be differentiated
def objective(content: Tensor | None, style: Tensor | Iterable[Tensor] | None, config: Config) -> Objective:
    """The loss of Eq. 7 as named terms; its targets are computed here, once.

    Args:
        content, style, config: as given to `stylize`.

    Raises:
        ValueError, MemoryError, WeightsError: as `stylize`.
    """
    content, styles = _check_images(content, style, config)
    content_layers, style_layers = _layers(content, styles, config)
    network = _checked_network(content, styles, config, _size(content, styles))
    device = network.mean.device
    loss = PerceptualLoss(
        network,
        content=SIZE_INDEPENDENT.join(config.content_weight, content_layers),
        style=SIZE_INDEPENDENT.join(config.style_weight, style_layers, _style_layer_weights(config, style_layers)),
    )
    if content is not None and content_layers:
        loss.set_content(content.to(device, torch.float32))
    if style_layers:
        _set_style(loss, content, [image.to(device, torch.float32) for image in styles], config)
    smooth = Term("tv", config.tv_weight, losses.total_variation_loss, losses.total_variation_gradient)
    return Objective([loss, smooth] if config.tv_weight > 0 else [loss])


def first_image(
    content: Tensor | None,
    style: Tensor | Iterable[Tensor] | None,
    config: Config,
    initial: Tensor | None = None,
) -> Tensor:
    """The picture that `stylize` starts from, (1, 3, H, W) float32 on the run's device.

    Args:
        content, style, config, initial: as given to `stylize`.

    Raises:
        ValueError: `initial` has another size than the content image, or ``config.start`` needs an image that is
            None.
    """
    device = runtime.pick_device(config.device)
    content, styles = _check_images(content, style, config)
    if initial is not None:
        check_pictures(initial, "the initial image", single=True)
        if content is not None and initial.shape != content.shape:
            shapes = f"{tuple(initial.shape)} and {tuple(content.shape)}"
            raise ValueError(f"the initial image must have the size of the content image, got {shapes}")
        return initial.detach().to(device, torch.float32).clone()
    frames = [None if image is None else image.to(device) for image in (content, next(iter(styles), None))]
    return start_image(
        config.start, *frames, noise_width=config.noise_width, noise_ratio=config.noise_ratio, seed=config.seed
    )


def optimizer(x: Tensor, config: Config) -> LBFGS | Adam:
    """The optimizer of a configuration; it changes `x`, (1, 3, H, W) float32, in place."""
    project = (lambda image: image.clamp_(0, 1)) if config.project else None
    if config.optimizer == "adam":
        return Adam(x, learning_rate=config.learning_rate, project=project)
    curvature = config.curvature and config.start == "noise"  # a photograph's own colors can be lost by it: chapter 5
    first_guess = None
    if config.precondition > 0 or curvature:
        preconditioner = color_preconditioner if curvature else fourier_preconditioner
        first_guess = preconditioner(*x.shape[-2:], power=config.precondition, device=x.device)
    return LBFGS(x, history_size=config.history_size, project=project, precondition=first_guess, average=curvature)


def _check_images(
    content: Tensor | None, style: Tensor | Iterable[Tensor] | None, config: Config
) -> tuple[Tensor | None, list[Tensor]]:
    """Check the images and the configuration against each other; return them as `checked_images` does."""
    content, styles = checked_images(content, style)
    if content is not None and not styles and config.content_weight == 0:
        raise ValueError("reconstruction (no style image) needs a content_weight greater than 0, got 0")
    if styles and content is None and config.style_weight == 0:
        raise ValueError("texture synthesis (no content image) needs a style_weight greater than 0, got 0")
    if config.style_blend is not None and len(config.style_blend) != len(styles):
        raise ValueError(f"style_blend has {len(config.style_blend)} weights for {len(styles)} style images")
    return content, styles


def _set_style(loss: PerceptualLoss, content: Tensor | None, styles: list[Tensor], config: Config) -> None:
    """Compute the style targets; with a content image, the style images are first resized to match it."""
    if content is not None:
        side = max(1, round(max(content.shape[-2:]) * config.style_scale))
        styles = [resize(image, side) for image in styles]
    try:
        loss.set_style(styles, config.style_blend)
    except ValueError as error:  # name the resized size: the caller gave another one
        sizes = ", ".join(f"{image.shape[-2]}×{image.shape[-1]}" for image in styles)
        raise ValueError(f"the style image, resized to {sizes}: {error}") from error


def _layers(content: Tensor | None, styles: list[Tensor], config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The content layers and the style layers that have a term."""
    has_content, has_style = content is not None and config.content_weight > 0, styles and config.style_weight > 0
    return config.content_layers if has_content else (), config.style_layers if has_style else ()


def _checked_network(
    content: Tensor | None, styles: list[Tensor], config: Config, size: tuple[int, int]
) -> VGGFeatures:
    """The network of the terms, prepared for a picture of `size`; one that needs too much memory is refused."""
    network = _network(config, sum(_layers(content, styles, config), ()))
    height, width = size
    advice = "" if config.optimizer == "adam" else "a smaller history_size or optimizer='adam' needs less"
    check_memory(lambda h, w: _memory_needed(network, h, w, config), height, width, network.mean.device, advice=advice)
    network.prepare(height, width, _memory_needed(network, height, width, config))
    return network


def _size(content: Tensor | None, styles: Sequence[Tensor], initial: Tensor | None = None) -> tuple[int, int]:
    """(H, W) of the picture: that of the content image or, for a texture, of the first picture or style image."""
    frame = content if content is not None else styles[0] if initial is None else initial
    return frame.shape[-2], frame.shape[-1]


def _style_layer_weights(config: Config, layers: tuple[str, ...]) -> tuple[float, ...]:
    of_network = {"arch": config.arch, "pooling": config.pooling, "weights": config.weights}
    return layer_weights(config.style_layer_weights, layers, **of_network)  # type: ignore[arg-type]


def _loss_network(goal: Objective) -> VGGFeatures:
    (network,) = (part.network for part in goal.parts if isinstance(part, PerceptualLoss))
    return network


def _network(config: Config, layers: Sequence[str]) -> VGGFeatures:
    device = runtime.pick_device(config.device)
    precision = runtime.pick_precision(config.precision, device)
    return cached_network(config.arch, tuple(dict.fromkeys(layers)), config.pooling, config.weights, precision, device)


def _remedy(config: Config) -> str:
    """What to try when a number stops being finite."""
    tips = []
    if config.precision != "float32":
        tips.append("precision='float32'")
    if config.optimizer == "adam":
        tips.append("a smaller learning_rate (it is in units of [0, 1] pixels)")
    return f"try {' or '.join(tips)}" if tips else "try a smaller weight on that term"
