"""Optimizing a picture from coarse to fine, and what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from course_lib import runtime
from course_lib.image_checks import check_pictures
from course_lib.optimize import scales
from course_lib.optimize.image import STALL_STEPS, Adam, is_stalled, optimize_image
from course_lib.optimize.lbfgs import LBFGS
from course_lib.optimize.preconditioners import color_preconditioner, fourier_preconditioner
from course_lib.optimize.start import checked_images, start_image
from course_lib.painting.objective import check_images, checked_network, objective, size_of
from course_lib.painting.settings import Settings
from course_lib.painting.terms import Addition


@dataclass(frozen=True)
class Result:
    """What `stylize` returns.

    `history` holds lists with one number per step for ``"total"``, ``"seconds"`` and each weighted term:
    ``"content/relu4_2"``, ``"style/relu1_1"``, …, ``"tv"``. With ``config.scales``, the runs of all sizes follow one
    another, and ``"scale"`` says at which long side a step was taken.
    """

    image: Tensor  # (1, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]
    config: Settings
    stopped: str | None = None  # why the run ended early, or None
    advice: str | None = None  # what to try if the loss hardly fell at the end
    extra: dict[str, object] = field(default_factory=dict)  # device, precision, source of the weights


@runtime.with_gradients()
def paint(
    content: Tensor | None,
    style: Tensor | Iterable[Tensor] | None,
    config: Settings,
    *,
    additions: Sequence[Addition] = (),
    initial: Tensor | None = None,
    callback: runtime.Callback | None = None,
) -> Result:
    """Minimize the objective of a configuration over the picture.

    Args:
        content: (1, 3, H, W) in [0, 1]; None for a texture.
        style: (1, 3, h, w) in [0, 1], or several of them; None for a reconstruction.
        config: of the method; fields beyond those of `Settings` are not read here.
        additions: further terms; see `course_lib.painting.terms`.
        initial: (1, 3, H, W) in [0, 1], a picture to start from in place of ``config.start``.
        callback: called after each step with a `runtime.Progress`; its picture has the final size at every scale.

    With ``config.scales``, the picture is first optimized at each of these long sides that is clearly smaller than its
    own, then at its own; each size starts from the enlarged result of the size before. ``config.num_steps`` are taken
    at its own size, and twice as many at each smaller one.

    Returns:
        A `Result`. Step k evaluates the picture and then changes it: the step's losses are those before the change,
        and the callback gets the picture after it. The returned image is the one after the last step or, if a
        loss or gradient was not finite, the last one whose loss was finite.

    Raises:
        ValueError: wrong shape or range, an image too small for the deepest layer, an unknown layer.
        MemoryError: the run would not fit into the memory; the message gives the largest size that fits.
        WeightsError: the network's weights can be neither found nor downloaded.
    """
    content, styles = check_images(content, style, config, additions)
    start = None if initial is None else first_image(content, styles or None, config, initial)
    full = size_of(content, styles, start)
    network = checked_network(content, styles, config, full, additions)  # refuses what is too large
    deepest = max(network.min_size(network.layers[-1]), *(each.least_side(network) for each in additions), 1)
    least = scales.least_side(deepest, content, styles, full, min(config.layer_scales()))
    sizes = scales.sizes(*full, config.scales, least=least)
    steps = scales.steps(config.num_steps, len(sizes))
    history: dict[str, list[float]] = {}
    for size, count in zip(sizes, steps, strict=True):
        photo, paintings = scales.reduced(content, styles, size, full)
        goal = objective(photo, paintings or None, config, additions=additions)
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


def first_image(
    content: Tensor | None,
    style: Tensor | Iterable[Tensor] | None,
    config: Settings,
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
    content, styles = checked_images(content, style)
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


def optimizer(x: Tensor, config: Settings) -> LBFGS | Adam:
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


def _remedy(config: Settings) -> str:
    """What to try when a number stops being finite."""
    tips = []
    if config.precision != "float32":
        tips.append("precision='float32'")
    if config.optimizer == "adam":
        tips.append("a smaller learning_rate (it is in units of [0, 1] pixels)")
    return f"try {' or '.join(tips)}" if tips else "try a smaller weight on that term"
