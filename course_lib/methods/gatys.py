"""Image style transfer using convolutional neural networks (Gatys, Ecker & Bethge, CVPR 2016).

Minimize over the picture x, from white noise, with L-BFGS (Eq. 7):

    L(x) = content_weight · ½ mean (F − P)²  +  style_weight · mean_l 1/(4N_l²) Σ (G_l/M_l − A_l/M_l)²

Symbols: p content image, a style image; F, P features of x and p at the content layer; G, A Gram matrices of
x and a at the style layers; α = content_weight, β = style_weight, both on terms that do not grow with the
image. `course_lib.losses.convert_weights` translates to and from the papers' own conventions.

Two special cases fall out of the same function: ``stylize(content, None)`` reconstructs an image from its
features (their Fig. 1, top), ``stylize(None, style)`` makes a texture (Fig. 1, bottom; Gatys et al. 2015).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from course_lib import losses, runtime
from course_lib.images import resize
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.optimize.image import STALL_STEPS, Adam, is_stalled, optimize_image
from course_lib.optimize.lbfgs import LBFGS, fourier_preconditioner
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS, VGGFeatures

_MARGIN = 1.1  # what convolutions take for themselves, and gaps between tensors
_PICTURES = 16  # in float32 beside the optimizer's history: images, gradients, the directions of one step
STARTS = ("noise", "content", "style", "mixed")


@dataclass(frozen=True)
class Config:
    """The paper's configuration; every field says where it comes from."""

    num_steps: int = 500  # one step = one evaluation; "within 500 iterations" (Wang 2019, Section 3)
    content_weight: float = 1.0  # α, Eq. 7, on the size-independent term
    style_weight: float = 100.0  # β, Eq. 7, on the size-independent term: chosen by eye, see chapter 3
    content_layers: tuple[str, ...] = (CONTENT_LAYER,)  # "conv4_2", Section 3
    style_layers: tuple[str, ...] = STYLE_LAYERS  # "conv1_1 … conv5_1", Section 3
    style_layer_weights: tuple[float, ...] | None = None  # w_l; None: equal, w_l = 1/5, Section 3
    pooling: str = "average"  # Section 2
    arch: str = "vgg19"  # Section 2; Wang 2019 uses "vgg16"
    weights: str | Path | None = "default"  # normalized to mean activation one, Section 2
    start: str = "noise"  # "noise" (Section 2), "content", "style", or "mixed" (Premamayudu et al. 2019)
    noise_ratio: float = 0.7  # r in r·noise + (1−r)·content for start="mixed" (ANU report, Section 6)
    noise_width: float = 0.2  # noise uniform in 0.5 ± width/2; "white noise" (Section 2), no amplitude: chapter 3
    optimizer: str = "lbfgs"  # "lbfgs" (Section 2) or "adam" (Premamayudu et al. 2019)
    learning_rate: float = 2 / 255  # Adam only: 2.0 in 0–255 pixels (Premamayudu et al. 2019)
    history_size: int = 20  # L-BFGS curvature pairs; not said in the paper
    precondition: float = 0.0  # p: L-BFGS first guesses moves by frequency**−p; 0, plain (Section 2). Chapter 5
    project: bool = True  # keep x in [0, 1] after each step (Wang 2019; the authors' texture code bounds it too)
    tv_weight: float = 0.0  # smoothness; "we do not regularise", Section 2
    style_scale: float = 1.0  # long side of the style image over the content's; 1: "the same size", Section 2
    style_blend: tuple[float, ...] | None = None  # weights of several style images; None: equal
    precision: str = "auto"  # convolutions in "float32", "bfloat16", or what is fast here
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("content_weight", "style_weight", "tv_weight"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
        if self.content_weight == self.style_weight == 0:
            raise ValueError("content_weight and style_weight are both 0: there is nothing to match; raise one")
        for name in ("num_steps", "history_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
        for name in ("content_layers", "style_layers"):
            layers = getattr(self, name)
            if isinstance(layers, str):
                raise ValueError(f"{name} must be a tuple of names, got the text {layers!r}; write ({layers!r},)")
            if not layers:
                raise ValueError(f"{name} is empty; to leave a side out, give None in place of its image")
        for name, allowed in (("start", STARTS), ("optimizer", ("lbfgs", "adam"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        for name in ("noise_ratio", "noise_width", "precondition"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("style_scale", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a finite number greater than 0, got {getattr(self, name)}")
        if self.style_layer_weights is not None:
            _check_shares("style_layer_weights", self.style_layer_weights, len(self.style_layers), "style layers")
        if self.style_blend is not None:
            _check_shares("style_blend", self.style_blend, len(self.style_blend), "styles")

    @classmethod
    def fast(cls) -> Config:
        """Our best engine: the same objective and start, a preconditioned optimizer, and half the steps."""
        return cls(precondition=0.4, num_steps=250)

    @classmethod
    def quick(cls) -> Config:
        """Minutes on a laptop: 100 steps from the photograph, which is already a rough answer."""
        return cls(num_steps=100, start="content")


@dataclass(frozen=True)
class Result:
    """What `stylize` returns.

    `history` holds a list with one number a step for ``"total"``, ``"seconds"`` and each weighted term:
    ``"content/relu4_2"``, ``"style/relu1_1"``, …, ``"tv"``.
    """

    image: Tensor  # (1, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]
    config: Config
    stopped: str | None = None  # why the run ended early, or None
    advice: str | None = None  # what to try, where the loss stood still
    extra: dict[str, object] = field(default_factory=dict)  # device, precision, source of the weights


def stylize(
    content: Tensor | None,
    style: Tensor | Sequence[Tensor] | None,
    config: Config | None = None,
    *,
    initial: Tensor | None = None,
    callback: runtime.Callback | None = None,
) -> Result:
    """Paint `content` in the manner of `style` (Gatys et al. 2016, Eq. 7).

    Args:
        content: (1, 3, H, W) in [0, 1]; None for texture synthesis (style only).
        style: (1, 3, h, w) in [0, 1], or several of them; resized so that its long side is the content's
            times ``config.style_scale``. None for reconstruction (content only).
        config: defaults to the paper's.
        initial: (1, 3, H, W) in [0, 1], a start of your own in place of ``config.start``.
        callback: called after each step with a `runtime.Progress`.

    Returns:
        A `Result`. Step k evaluates the picture, then changes it: its losses are those before the k-th change, the
        picture that the callback gets is the one after it. The returned image is the one after the last step,
        or, where a number stopped being finite, the last one whose loss was.

    Raises:
        ValueError: wrong shape or range, an image too small for the deepest layer, unknown layer.
        MemoryError: the run would not fit; says the largest size that does.
        WeightsError: the network cannot be had.

    *Differs from the paper:* the style image keeps its aspect ratio.

    >>> content, style = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    >>> result = stylize(content, style, Config(num_steps=20, weights=None))
    >>> result.history["total"][-1] < result.history["total"][0]
    True
    """
    config = config or Config()
    objective = _Objective(content, style, config)
    x = _start(objective, config, initial)
    done = optimize_image(
        _optimizer(x, config),
        objective.evaluate,
        objective.names,
        num_steps=config.num_steps,
        callback=callback,
        remedy=_remedy(config),
    )
    extra: dict[str, object] = {
        "device": str(objective.device),
        "precision": str(objective.network.precision).removeprefix("torch."),
        "weights": objective.network.source,
    }
    advice = None
    if is_stalled(done.history):
        advice = "a smaller learning_rate may go on" if config.optimizer == "adam" else "fewer steps would have done"
        advice = f"the loss hardly fell over the last {STALL_STEPS} steps; {advice}"
    return Result(done.image, done.history, config, done.stopped, advice, extra)


def dissect(
    image: Tensor, content: Tensor | None, style: Tensor | Sequence[Tensor] | None, config: Config | None = None
) -> dict[str, tuple[float, Tensor]]:
    """What each term of the loss says about one picture: its value and its gradient.

    Args:
        image: (1, 3, H, W) in [0, 1]: the picture of a running or finished `stylize`.
        content, style, config: as given to `stylize`.

    Returns:
        A dict from the term's name to its weighted value and ∂term/∂image, (1, 3, H, W) float32 on the CPU. The
        values add up to the loss, the gradients to its gradient.

    >>> content, style = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    >>> terms = dissect(content, content, style, Config(weights=None))
    >>> terms["content/relu4_2"][0]  # the photograph has its own content
    0.0
    """
    config = config or Config()
    _check_image("dissected", image)
    objective = _Objective(content, style, config)
    x = image.detach().to(objective.device, torch.float32).clone().requires_grad_(True)
    terms = objective.terms(x)
    found = {}
    for name, term in zip(objective.names, terms.unbind(), strict=True):
        (gradient,) = torch.autograd.grad(term, x, retain_graph=True)
        found[name] = (term.item(), gradient.cpu())
    return found


def memory_needed(height: int, width: int, config: Config | None = None) -> int:
    """Bytes that `stylize` takes for a picture of this size, beside the network's own weights.

    The rectified layers, the widest gradients, and the optimizer's history; see chapter 5 for what is measured.

    >>> config = Config(weights=None, history_size=10, precision="float32", device="cpu")
    >>> round(memory_needed(128, 128, config) / memory_needed(64, 64, config), 2)
    4.0
    """
    config = config or Config()
    return _memory_needed(_network(config, (*config.content_layers, *config.style_layers)), height, width, config)


def _memory_needed(network: VGGFeatures, height: int, width: int, config: Config) -> int:
    pictures = _PICTURES + 2 * (config.history_size if config.optimizer == "lbfgs" else 1)
    return int(_MARGIN * (network.memory_needed(height, width) + pictures * 4 * 3 * height * width))


def _check_memory(network: VGGFeatures, height: int, width: int, config: Config) -> None:
    """Refuse a run that will not fit before it starts, and say which size would."""
    free = runtime.available_memory(network.mean.device)
    needed = _memory_needed(network, height, width, config)
    if free is None or needed <= free:
        return
    side = max(height, width)
    while (
        side > 1
        and _memory_needed(network, height * side // max(height, width), width * side // max(height, width), config)
        > free
    ):
        side -= 1
    raise MemoryError(
        f"a picture of {height}×{width} px needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are "
        f"free: the largest that fits has a long side of {side} px"
        + ("" if config.optimizer == "adam" else "; a smaller history_size or optimizer='adam' needs less")
    )


class _Objective:
    """The loss of Eq. 7 with its targets computed once."""

    def __init__(self, content: Tensor | None, style: Tensor | Sequence[Tensor] | None, config: Config) -> None:
        styles = [] if style is None else [style] if isinstance(style, Tensor) else list(style)
        if content is None and not styles:
            raise ValueError("give a content image, a style image, or both; got neither")
        if content is not None:
            _check_image("content", content)
        for image in styles:
            _check_image("style", image)
        if content is not None and not styles and config.content_weight == 0:
            raise ValueError("reconstruction (no style image) needs a content_weight greater than 0, got 0")
        if styles and content is None and config.style_weight == 0:
            raise ValueError("texture synthesis (no content image) needs a style_weight greater than 0, got 0")
        blend = config.style_blend or (1.0,) * len(styles)
        if len(blend) != len(styles):
            raise ValueError(f"style_blend has {len(blend)} weights for {len(styles)} style images")
        self.config, self.device = config, runtime.pick_device(config.device)
        content_layers = config.content_layers if content is not None and config.content_weight > 0 else ()
        style_layers = config.style_layers if styles and config.style_weight > 0 else ()
        self.network = _network(config, (*content_layers, *style_layers))
        frame = content if content is not None else styles[0]
        _check_memory(self.network, frame.shape[-2], frame.shape[-1], config)
        self.content = None if content is None else content.to(self.device, torch.float32)
        self.styles = [image.to(self.device, torch.float32) for image in styles]
        shares = config.style_layer_weights or (1.0,) * len(style_layers)
        self.loss = PerceptualLoss(
            self.network,
            content={layer: config.content_weight / len(content_layers) for layer in content_layers},
            style={layer: config.style_weight * w / sum(shares) for layer, w in zip(style_layers, shares)},  # noqa: B905
        )
        self.names = (*self.loss.names, *(("tv",) if config.tv_weight > 0 else ()))
        if content_layers and self.content is not None:
            self.loss.set_content(self.content)
        if style_layers:
            self._set_style(blend)

    def _set_style(self, blend: Sequence[float]) -> None:
        images = self.styles
        if self.content is not None:
            side = max(1, round(max(self.content.shape[-2:]) * self.config.style_scale))
            images = [resize(image, side) for image in images]
        try:
            self.loss.set_style(images, blend)
        except ValueError as error:  # it has no size that the caller gave
            sizes = ", ".join(f"{image.shape[-2]}×{image.shape[-1]}" for image in images)
            raise ValueError(f"the style image, resized to {sizes}: {error}") from error

    def terms(self, x: Tensor) -> Tensor:
        """Every weighted term, (K,) in the order of `names`."""
        terms: Tensor = self.loss(x)
        if self.config.tv_weight > 0:
            terms = torch.cat((terms, self.config.tv_weight * losses.total_variation_loss(x).view(1)))
        return terms

    def evaluate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Every weighted term, (K,) in the order of `names`, and the gradient of their sum, (1, 3, H, W) float32."""
        image = image.detach()
        terms, gradient = self.loss.with_gradient(image)
        if self.config.tv_weight > 0:
            terms = torch.cat((terms, self.config.tv_weight * losses.total_variation_loss(image).view(1)))
            gradient = gradient + self.config.tv_weight * losses.total_variation_gradient(image)
        return terms, gradient


def _network(config: Config, layers: Sequence[str]) -> VGGFeatures:
    device = runtime.pick_device(config.device)
    precision = runtime.pick_precision(config.precision, device)
    layers = tuple(dict.fromkeys(layers))
    return _cached_network(config.arch, layers, config.pooling, config.weights, precision, device)


@lru_cache(maxsize=4)
def _cached_network(
    arch: str,
    layers: tuple[str, ...],
    pooling: str,
    weights: str | Path | None,
    precision: torch.dtype,
    device: torch.device,
) -> VGGFeatures:
    return VGGFeatures(arch, layers, pooling=pooling, weights=weights, precision=precision).to(device)


def _start(objective: _Objective, config: Config, initial: Tensor | None) -> Tensor:
    """The first picture, (1, 3, H, W) float32 on the run's device."""
    if initial is not None:
        _check_image("initial", initial)
        if objective.content is not None and initial.shape != objective.content.shape:
            shapes = f"{tuple(initial.shape)} and {tuple(objective.content.shape)}"
            raise ValueError(f"the initial image must have the size of the content image, got {shapes}")
        return initial.to(objective.device, torch.float32).clone()
    frame = objective.content if objective.content is not None else objective.styles[0]
    white = torch.rand(frame.shape, generator=runtime.seeded_generator(config.seed)).to(objective.device)
    noise = 0.5 + config.noise_width * (white - 0.5)
    if config.start == "noise":
        return noise
    if config.start == "style":
        if not objective.styles:
            raise ValueError("start='style' needs a style image; use 'noise' or 'content'")
        return resize(objective.styles[0], (frame.shape[-2], frame.shape[-1])).clone()
    if objective.content is None:
        raise ValueError(f"start={config.start!r} needs a content image; use 'noise' or 'style'")
    if config.start == "content":
        return objective.content.clone()
    return config.noise_ratio * noise + (1 - config.noise_ratio) * objective.content


def _optimizer(x: Tensor, config: Config) -> LBFGS | Adam:
    project = (lambda image: image.clamp_(0, 1)) if config.project else None
    if config.optimizer == "adam":
        return Adam(x, learning_rate=config.learning_rate, project=project)
    coarse_first = None
    if config.precondition > 0:
        coarse_first = fourier_preconditioner(*x.shape[-2:], power=config.precondition, device=x.device)
    return LBFGS(x, history_size=config.history_size, project=project, precondition=coarse_first)


def _check_image(name: str, image: Tensor) -> None:
    if not isinstance(image, Tensor):
        what = type(image).__name__
        raise ValueError(f"the {name} image must be a tensor, got {what}; course_lib.load_image makes one of a file")
    if image.ndim != 4 or image.shape[:2] != (1, 3) or image.numel() == 0:
        shape = tuple(image.shape)
        raise ValueError(f"the {name} image must have shape (1, 3, H, W), no side of it 0, got {shape}")
    if not image.is_floating_point():
        raise ValueError(f"the {name} image must be floats in [0, 1], got {image.dtype}; use image.float() / 255")
    low, high = float(image.min()), float(image.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # also false for NaN
        raise ValueError(
            f"the {name} image must lie in [0, 1], got [{low:.4g}, {high:.4g}]; "
            "load it with course_lib.load_image, or divide 0–255 values by 255"
        )


def _check_shares(name: str, shares: tuple[float, ...], count: int, what: str) -> None:
    if len(shares) != count or not all(math.isfinite(w) and w >= 0 for w in shares) or sum(shares) <= 0:
        raise ValueError(f"{name} must be {count} numbers of at least 0 for the {what}, not all 0; got {shares}")


def _remedy(config: Config) -> str:
    """What to try when a number stops being finite."""
    tips = []
    if config.precision != "float32":
        tips.append("precision='float32'")
    if config.optimizer == "adam":
        tips.append("a smaller learning_rate (it is in units of [0, 1] pixels)")
    return f"try {' or '.join(tips)}" if tips else "try a smaller weight on that term"
