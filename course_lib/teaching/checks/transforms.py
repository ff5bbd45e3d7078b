"""Checks of transforms of features: AdaIN for batches and any style, and mixtures of several styles.

This module computes the right results from the equations of the paper. It also computes the results of common mistakes,
so that a check can name the mistake that gives the student's result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from course_lib.teaching.checks.base import CheckFailed, attempt, call, near, need, random, tensor

Mistake = tuple[str, Tensor]  # the message, and the result that it explains

_SAME = 0.02  # largest difference, relative to the largest value, at which a result counts as that of a mistake
_EACH, _BATCH, _ALL = (2, 3), (0, 2, 3), (1, 2, 3)
_AXES = "the statistics are not those of one channel of one picture; over which of the four axes do you compute them?"
_OWN = "every picture of a batch needs its own statistics; yours depend on the other pictures"


def check_adain_for_any_style(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check σ(y) (x − μ(x)) / σ(x) + μ(y) on batches, with styles of any size (Huang & Belongie 2017, Eq. 8).

    A variance may be divided by M positions (the authors' code) or by M − 1 (PyTorch's default): the two differ by at
    most 1 % here, and the tolerance is 2 % of the style's standard deviation.

    Args:
        function: content features x (N, C, H, W) and style features y (N or 1, C, H', W') → (N, C, H, W). In a channel
            of x that is 0 everywhere, the result is the style's mean; values and gradients are finite.

    Raises:
        CheckFailed: a property does not hold.
    """
    content = random(2, 3, 8, 12) * channels((1.0, 5.0, 0.3), (2.0, 0.5, 3.0)) + channels((0, 2, 1), (3, 0, -1))
    styles = 2 * random(2, 3, 8, 12, seed=1) * channels((2.0, 1.0, 3.0), (1.5, 4.0, 2.5))
    styles = styles + channels((4.0, 1.0, -2.0), (-3.0, 6.0, 2.0))
    moved = call(function, content, styles)
    need(
        moved.shape == content.shape, f"the shape must stay {tuple(content.shape)}, got {tuple(moved.shape)}; here, "
        "content and style have the same shape"
    )  # fmt: skip
    try:
        _need_statistics(moved, content, styles)
    except CheckFailed:
        need_none_of(moved, _wrong_adain(content, styles))
        raise
    large = 2 * random(2, 3, 14, 10, seed=2) * channels((2.0, 1.0, 3.0), (1.5, 4.0, 2.5)) - 1
    _need_statistics(_called(function, content, large, "with a style of another size"), content, large)
    _need_statistics(_called(function, content, large[:1], "with one style for two pictures"), content, large[:1])
    _need_gradients(function, content, large)
    _need_dead_channels(function, content, styles)
    print("✓ AdaIN for batches, for styles of any size, and for channels that are 0 everywhere")


def check_style_mixture(function: Callable[[Tensor, Sequence[Tensor], Sequence[float]], Tensor]) -> None:
    """Check a mixture of styles, Σ wₖ AdaIN(x, yₖ) with Σ wₖ = 1 (Huang & Belongie 2017, Eq. 15).

    Args:
        function: content features x (1, C, H, W), a list of style features yₖ (1, C, Hₖ, Wₖ), and a list of weights,
            which are divided by their sum → (1, C, H, W).

    Raises:
        CheckFailed: a property does not hold.
    """
    content = random(1, 3, 8, 12) * channels((1.0, 5.0, 0.3))
    styles = [
        random(1, 3, 8, 12, seed=1) * channels((2.0, 1.0, 6.0)) + channels((4.0, -1.0, 0.0)),
        random(1, 3, 8, 12, seed=2) * channels((9.0, 4.0, 1.0)) + channels((-2.0, 3.0, 8.0)),
        random(1, 3, 10, 14, seed=3) * channels((1.0, 7.0, 3.0)) + channels((0.0, 9.0, -5.0)),
    ]

    def mixed(used: list[Tensor], weights: list[float], what: str) -> Tensor:
        out = call(function, content, used, weights)
        need(out.shape == content.shape, f"{what}: the shape must be {tuple(content.shape)}, got {tuple(out.shape)}")
        return out

    for k, one in enumerate(styles):
        out = mixed([one], [1.0], f"with style {k} alone")
        need(_close(out, adain(content, one), one), f"with style {k} alone, the result is not its AdaIN")
    pair = styles[:2]
    out = mixed(pair, [0.25, 0.75], "with the weights 0.25 and 0.75")
    expected = _mixture(content, pair, (0.25, 0.75))
    if not _close(out, expected, expected):
        need_none_of(out, _wrong_mixtures(content, pair, (0.25, 0.75)))
        raise CheckFailed("with the weights 0.25 and 0.75, the result is not the weighted sum of Eq. 15")
    need(
        _close(mixed(pair, [1, 3], "with the weights 1 and 3"), expected, expected),
        "the weights 1 and 3 must give the same as 0.25 and 0.75; only their ratio counts",
    )
    for weights in ([2.0, 0.0, 6.0], [0.2, 0.5, 0.3]):
        what = f"with three styles, one of another size, and the weights {weights}"
        expected = _mixture(content, styles, [weight / sum(weights) for weight in weights])
        need(_close(mixed(styles, weights, what), expected, expected), f"{what}, the result is not the weighted sum")
    print("✓ styles are mixed in proportion to their weights")


# --- the equations, and common mistakes
def moments(features: Tensor, axes: Sequence[int] = _EACH) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over some axes, by default those of the positions; other axes are a mistake."""
    mean = features.mean(tuple(axes), keepdim=True)
    return mean, ((features - mean).square().mean(tuple(axes), keepdim=True) + 1e-8).sqrt()


def adain(content: Tensor, style: Tensor, axes: Sequence[int] = _EACH) -> Tensor:
    """The equation of the paper with the statistics over some axes."""
    (before, spread), (after, wanted) = moments(content, axes), moments(style, axes)
    return (content - before) / spread * wanted + after


def _mixture(content: Tensor, styles: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    return torch.stack([w * adain(content, style) for w, style in zip(weights, styles, strict=True)]).sum(0)


def _wrong_adain(content: Tensor, styles: Tensor) -> list[Mistake]:
    """For content and style of one size and two pictures."""
    (before, spread), (after, wanted) = moments(content), moments(styles)
    return [
        ("the result has the content's statistics in the style's arrangement; which of the two keeps its arrangement?",
         adain(styles, content)),
        (_OWN, adain(content, styles, _BATCH)),
        (_OWN, (content - before) / spread * moments(styles, _BATCH)[1] + moments(styles, _BATCH)[0]),
        ("both pictures of the batch get the statistics of the first style", adain(content, styles[:1])),
        ("all channels of a picture share one mean and one spread; each channel needs its own",
         adain(content, styles, _ALL)),
        ("the whole batch shares one mean and one spread; each channel of each picture needs its own",
         adain(content, styles, (0, 1, 2, 3))),
        *((_AXES, adain(content, styles, axes)) for axes in ((0,), (1,), (2,), (3,), (0, 1))),
        ("the means are the style's, the standard deviations are still the content's",
         content - before + after),
        ("the standard deviations are the style's, the means are still the content's",
         (content - before) / spread * wanted + before),
        ("each channel has mean 0 and spread 1; where does the style come in?", (content - before) / spread),
        ("the mean and the standard deviation of the style are exchanged",
         (content - before) / spread * after + wanted),
        ("the content comes back unchanged", content),
        ("the style comes back unchanged", styles),
    ]  # fmt: skip


def _wrong_mixtures(content: Tensor, styles: Sequence[Tensor], weights: Sequence[float]) -> list[Mistake]:
    """For two styles of one size."""
    pairs = [moments(style) for style in styles]
    variance = sum(w * spread.square() for w, (_, spread) in zip(weights, pairs, strict=True))
    mean = sum(w * mean for w, (mean, _) in zip(weights, pairs, strict=True))
    softmax = torch.tensor(weights).softmax(0).tolist()
    blend = sum(w * style for w, style in zip(weights, styles, strict=True))
    one, two = styles
    return [
        ("the weights are ignored: every style counts the same", _mixture(content, styles, (0.5, 0.5))),
        ("the weights go to the wrong styles: the first weight belongs to the first style",
         _mixture(content, styles, weights[::-1])),
        ("the weights go through an exponential; 0.75 must count three times as much as 0.25",
         _mixture(content, styles, softmax)),
        ("only the first style counts", adain(content, one)),
        ("only the last style counts; does each AdaIN undo the one before?", adain(content, two)),
        ("the result is divided by the number of styles, although the weights add up to 1",
         _mixture(content, styles, weights) / 2),
        ("the variances are mixed; the sum of Eq. 15 has another spread",
         (content - moments(content)[0]) / moments(content)[1] * torch.as_tensor(variance).sqrt() + mean),
        ("the styles are added position by position before AdaIN; Eq. 15 mixes what AdaIN returns",
         adain(content, torch.as_tensor(blend))),
        ("the statistics are those of all styles together, whatever the weights; Eq. 15 mixes what AdaIN returns",
         adain(content, torch.cat(list(styles), dim=3))),
    ]  # fmt: skip


# --- properties
def need_none_of(out: Tensor, mistakes: Iterable[Mistake]) -> None:
    """Raise `CheckFailed` with the message of the first mistake that gives this result."""
    for message, result in mistakes:
        if near(out, result, _SAME):
            raise CheckFailed(message)


def _need_statistics(moved: Tensor, content: Tensor, style: Tensor) -> None:
    """Raise `CheckFailed` unless each channel has the style's mean and spread, and the content's arrangement."""
    wanted, spread = style.mean(_EACH, keepdim=True), style.std(_EACH, keepdim=True)
    need(bool(((moved.mean(_EACH, keepdim=True) - wanted).abs() < 0.02 * spread).all()),
         "the mean of a channel is not that of its style")  # fmt: skip
    factor = (moved.std(_EACH, keepdim=True) / spread).flatten()
    worst = factor[(factor - 1).abs().argmax()].item()
    need(
        abs(worst - 1) < 0.02,
        f"the spread of a channel is {worst:.3g} times that of its style; the two must be equal, even where the "
        "content varies little",
    )
    before, after = ((x - x.mean(_EACH, keepdim=True)).flatten(2) for x in (content, moved))
    likeness = torch.cosine_similarity(before, after, dim=2).min().item()
    need(likeness > 0.999, "the result's large values are not where the content's are; keep the spatial arrangement")


def _need_dead_channels(function: Callable[..., Any], content: Tensor, styles: Tensor) -> None:
    """Raise `CheckFailed` unless channels that are 0 everywhere, as after a ReLU, are treated as described."""
    dead = content.clone()
    dead[:, 1] = 0
    out = attempt(function, dead, styles)
    need(
        bool(torch.isfinite(torch.as_tensor(out)).all()),
        "where a channel of the content is 0 everywhere, the result is not finite; what is that channel divided by?",
    )
    error = (tensor(out)[:, 1] - styles[:, 1].mean((1, 2), keepdim=True)).abs().max() / styles[:, 1].std()
    need(bool(error < 0.05), "where a channel of the content is 0 everywhere, the result is not the style's mean")
    quiet = styles.clone()
    quiet[:, 1] = 0
    need(
        bool(call(function, content, quiet)[:, 1].abs().max() < 0.05),
        "where a channel of the style is 0 everywhere, the result's channel is not",
    )
    leaf = dead.clone().requires_grad_(True)
    gradient = _gradient(function, leaf, leaf, styles)
    need(
        gradient is None or bool(torch.isfinite(gradient).all()),
        "where a channel of the content is 0 everywhere, the values are finite, but the gradient is not; how steep is "
        "a square root at 0?",
    )


def _need_gradients(function: Callable[..., Any], content: Tensor, styles: Tensor) -> None:
    """Raise `CheckFailed` unless the gradients reach both inputs and are those of the equation."""
    for k, name in enumerate(("content", "style")):
        inputs = [content.clone(), styles.clone()]
        leaf = inputs[k].requires_grad_(True)
        ours, theirs = (_gradient(one, leaf, inputs[0], inputs[1], name) for one in (function, adain))
        assert theirs is not None
        need(
            ours is None or near(ours.float(), theirs, 0.03),
            f"the result is right, but its gradient with respect to the {name} is not: a part of the calculation is "
            "treated as constant",
        )


def _gradient(
    function: Callable[..., Any], leaf: Tensor, content: Tensor, style: Tensor, name: str = "content"
) -> Tensor | None:
    """The gradient of a linear function of the result with respect to `leaf`; None if `function` changes its inputs."""
    value = attempt(function, content * 1, style * 1, copies=False)
    lost = f"no gradient reaches the {name}"
    need(isinstance(value, Tensor) and value.requires_grad, lost)
    weights = random(*value.shape, seed=3).to(value) - 0.5
    try:
        (gradient,) = torch.autograd.grad((value * weights).sum(), leaf, allow_unused=True)
    except RuntimeError:
        return None
    if gradient is None:
        raise CheckFailed(lost)
    return gradient


def _called(function: Callable[..., Any], content: Tensor, style: Tensor, what: str) -> Tensor:
    try:
        moved = call(function, content, style)
    except (IndexError, ValueError) as error:
        raise CheckFailed(f"{what}, the function stopped with {type(error).__name__}: {error}") from error
    need(
        moved.shape == content.shape,
        f"{what}, the shape must be the content's, {tuple(content.shape)}, got {tuple(moved.shape)}",
    )
    return moved


def _close(out: Tensor, expected: Tensor, scale: Tensor) -> bool:
    """Whether two features agree within 2 % of the largest spread of a channel."""
    return bool((out - expected).abs().max() < 0.02 * scale.std(_EACH).max())


def channels(*pictures: Sequence[float]) -> Tensor:
    """One number for each channel of each picture, (N, C, 1, 1)."""
    return torch.tensor(pictures, dtype=torch.float32).view(len(pictures), -1, 1, 1)
