"""Checks of modulated convolution (Karras et al. 2020): weights of each picture, and one convolution for all pictures.

As in `unpaired`, the results of common mistakes are computed, too (`modulation_mistakes`), so that a check can name
the mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from course_lib.teaching.checks.base import CheckFailed, attempt, call, near, need, random
from course_lib.teaching.checks.modulation_mistakes import (
    demodulated,
    each_by_its_own,
    modulated,
    styled,
    wrong_convolutions,
    wrong_demodulations,
    wrong_layers,
    wrong_modulations,
)
from course_lib.teaching.checks.transforms import Mistake

_SPIKE = 200.0
_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")  # arguments of `conv2d`
_ZERO = "with a style of zeros, the {} not finite: 0 is divided by 0; what is ε for?"
_CONSTANT = "the value is right, but its gradient is not: a part of the calculation does not depend on {}"


def check_styled_weights(function: Callable[[Tensor, Tensor, bool], Tensor]) -> None:
    """Check weights of each picture, modulated and demodulated (Karras et al. 2020, Eqs. 1 and 3, with ε = 10⁻⁸).

    Args:
        function: ``function(weight, style, demodulate)``, with weights (out, C, k, k), scales (N, C) and a bool →
            weights (N, out, C, k, k). The tolerance is 0.01 % of the largest weight.

    Raises:
        CheckFailed: a property does not hold.
    """
    for out, channels, size in ((4, 4, 3), (5, 3, 3), (2, 6, 1)):  # the first one tells more mistakes apart
        weight, style = _weight(out, channels, size), _style(3, channels)
        for demodulate, equation in ((False, "Eq. 1"), (True, "Eq. 3")):
            found = _called(function, weight, style, demodulate)
            _need_shape(found, (3, out, channels, size, size), "(N, out, C, k, k)")
            expected = modulated(weight, style)
            expected = demodulated(expected) if demodulate else expected
            wrong: Iterable[Mistake] = ()
            if out == channels and size > 1:
                wrong = (wrong_demodulations if demodulate else wrong_modulations)(weight, style)
            what = f"with {out} output and {channels} input channels, the weights are not those of {equation}"
            _need_same(found, expected, wrong, what)
    _need_epsilon(function)
    _need_gradients(
        lambda w, s: function(w, s, True), lambda w, s: demodulated(modulated(w, s)),
        {"the weights": _weight(4, 3, 3), "the styles": _style(2, 3)},
    )  # fmt: skip
    print("✓ every picture has weights of its own, and each output channel has the energy 1")


def check_own_convolution(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check the convolution of each picture with weights of its own, padded with zeros to the same size.

    Args:
        function: ``function(x, weights)``, with (N, C, H, W) and (N, out, C, k, k), k odd → (N, out, H, W). Loops and
            grouped convolutions are both right.

    Raises:
        CheckFailed: a property does not hold.
    """
    for n, out, channels, size in ((3, 4, 4, 3), (2, 5, 3, 5), (4, 2, 3, 1), (1, 3, 2, 3)):
        x = random(n, channels, 7, 9, seed=n) - 0.4
        weights = random(n, out, channels, size, size, seed=10 + n) - 0.4
        found = _called(function, x, weights)
        border = "; the borders are padded so that height and width stay as they are" if size > 1 else ""
        _need_shape(found, (n, out, 7, 9), "(N, out, H, W)", border)
        wrong = wrong_convolutions(x, weights) if n > 1 and size > 1 else ()
        what = f"for {n} pictures with {channels} channels and kernels of side {size}, the values are not those of the "
        _need_same(found, each_by_its_own(x, weights), wrong, f"{what}convolution of each with its own weights")
    x, weights = random(3, 2, 6, 6), random(3, 4, 2, 3, 3, seed=1) - 0.5
    changed = torch.cat([x[:1], x[1:] + 1])
    need(
        near(_called(function, changed, weights)[0], _called(function, x, weights)[0]),
        "the first result changes if the other pictures change",
    )
    _need_gradients(function, each_by_its_own, {"the pictures": x, "the weights": weights})
    print("✓ each picture is convolved with its own weights")


def check_styled_convolution(function: Callable[[Tensor, Tensor, Tensor, bool], Tensor]) -> None:
    """Check a styled convolution that is one convolution with the shared weights (Karras et al. 2020, Section 2.2).

    Args:
        function: ``function(x, weight, style, demodulate)``, with (N, C, H, W), (out, C, k, k), (N, C) and a bool →
            (N, out, H, W), equal to the convolution of each picture with its own weights. It may not use groups, nor
            convolve the pictures one by one. The tolerance is 0.01 % of the largest value.

    Raises:
        CheckFailed: a property does not hold.
    """
    _need_no_trace_of_a_spike(function)
    for out, channels, size in ((4, 4, 3), (5, 3, 3), (3, 6, 1)):
        x, weight, style = random(3, channels, 8, 9) - 0.4, _weight(out, channels, size), _style(3, channels)
        for demodulate in (True, False):
            found = _called(function, x, weight, style, demodulate)
            _need_shape(found, (3, out, 8, 9), "(N, out, H, W)")
            expected, wrong = styled(x, weight, style, demodulate), []
            if not demodulate:
                again = "colors are made without demodulation (ToRGB), but yours are demodulated with `False`, too"
                wrong.append((again, styled(x, weight, style)))
            if out == channels:
                wrong += wrong_layers(x, weight, style) if demodulate else _wrong_colors(x, weight, style)
            what = f"with `demodulate={demodulate}`, {out} output and {channels} input channels, "
            _need_same(found, expected, wrong, f"{what}the values are not those of the weights of each picture")
    silent = attempt(function, x, weight, 0 * style, True)
    need(bool(torch.isfinite(silent).all()), _ZERO.format("result is"))
    need(not silent.any(), "with a style of zeros, the result is not 0 everywhere")
    _need_one_convolution(function)
    _need_gradients(
        lambda x, w, s: function(x, w, s, True), styled,
        {"the pictures": random(2, 3, 6, 6), "the weights": _weight(4, 3, 3), "the styles": _style(2, 3)},
    )  # fmt: skip
    print("✓ one convolution, and the same result as with weights of each picture")


# --- inputs
def _weight(out: int, channels: int, size: int) -> Tensor:
    return random(out, channels, size, size, seed=3) - 0.35


def _style(count: int, channels: int) -> Tensor:
    """Scales between 0.3 and 2.3, some of them negative."""
    style = 2 * random(count, channels, seed=4) + 0.3
    style[:, 1] *= -1
    return style


# --- properties
def _called(function: Callable[..., Tensor], *given: Any) -> Tensor:
    """As `call`, for functions that a student may have given other arguments."""
    try:
        return call(function, *given)
    except TypeError as error:
        raise CheckFailed(f"it could not be called as the task describes: {error}") from error


def _need_shape(found: Tensor, shape: tuple[int, ...], letters: str, hint: str = "") -> None:
    need(found.shape == shape, f"the shape must be {letters} = {shape}, got {tuple(found.shape)}{hint}")


def _need_same(found: Tensor, expected: Tensor, mistakes: Iterable[Mistake], what: str) -> None:
    """Raise `CheckFailed` unless the tensors agree; the message is that of the first mistake, or gives the factor."""
    if near(found, expected):
        return
    for message, wrong in mistakes:
        need(not near(found, wrong, 1e-3), message)
    factor = ((found * expected).sum() / expected.square().sum()).item()
    need(not near(found, factor * expected, 1e-3), f"{what}: they are {factor:.4g} times as large")
    raise CheckFailed(what)


def _need_epsilon(function: Callable[..., Tensor]) -> None:
    """Raise `CheckFailed` unless ε = 10⁻⁸ stands below the root."""
    weight, style = _weight(3, 4, 3), _style(2, 4)
    style[1] = 0
    found = attempt(function, weight, style, True)
    need(bool(torch.isfinite(found).all()), _ZERO.format("weights are"))
    need(not found[1].any(), "with a style of zeros, the weights are not 0")
    small = 1e-4 * weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt()  # squares that add up to ε
    found = _called(function, small, torch.ones(1, 4), True)
    length = found[0].square().sum((1, 2, 3)).sqrt()
    need(
        not near(length, torch.ones(3), 1e-3),
        "for weights whose squares add up to 10⁻⁸, ε = 10⁻⁸ has no effect; where does it stand in Eq. 3?",
    )
    need(
        near(length, torch.full((3,), 0.5**0.5), 1e-2),
        f"for weights whose squares add up to 10⁻⁸, the root of the energy is {length.mean():.3g}, not {0.5**0.5:.3g}; "
        "how large is ε, and where is it added?",
    )


def _wrong_colors(x: Tensor, weight: Tensor, style: Tensor) -> list[Mistake]:
    return [(message, each_by_its_own(x, wrong)) for message, wrong in wrong_modulations(weight, style)]


def _need_no_trace_of_a_spike(function: Callable[..., Tensor]) -> None:
    """Raise `CheckFailed` if one large value changes the output elsewhere, or the other pictures'."""
    x, weight, style = random(2, 4, 12, 12) - 0.5, _weight(4, 4, 3), _style(2, 4)
    peaked = x.clone()
    peaked[0, :, 0, 0] = _SPIKE
    before, after = (_called(function, one, weight, style, True) for one in (x, peaked))
    _need_shape(before, (2, 4, 12, 12), "(N, out, H, W)")
    need(
        near(after[1], before[1]), "a spike in one picture changes the result of another; a picture's scales come from "
        "its own style and the shared weights"
    )  # fmt: skip
    far = (..., slice(4, None), slice(4, None))  # further away than the kernel reaches
    left = (after[0][far].std() / before[0][far].std().clamp_min(1e-8)).item()
    need(
        near(after[0][far], before[0][far]),
        f"a spike of {_SPIKE:.0f} in one pixel leaves {left:.2g} of the result far away from it: your scales come from "
        "the data, as those of instance normalization do. Which numbers does Eq. 3 contain?",
    )


class _Convolutions(TorchFunctionMode):
    """Notes the number of pictures and of groups of each convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def __torch_function__(
        self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(zip(_CONVOLUTION, args, strict=False)) | dict(kwargs or {})
        if getattr(operation, "__name__", "") == "conv2d":
            self.seen.append((len(given["input"]), given.get("groups", 1)))
        return operation(*args, **(kwargs or {}))


def _need_one_convolution(function: Callable[..., Tensor]) -> None:
    """Raise `CheckFailed` for groups, and for one convolution per picture."""
    x, weight, style = random(5, 3, 6, 7), _weight(4, 3, 3), _style(5, 3)
    with _Convolutions() as noted:
        _called(function, x, weight, style, True)
    need(
        all(groups == 1 for _, groups in noted.seen), "the values are right, but there are still groups: each picture "
        "has weights of its own. Which factors can be taken out of the sum?"
    )  # fmt: skip
    need(
        all(pictures == 5 for pictures, _ in noted.seen),
        "the values are right, but the pictures are convolved one by one; one convolution can serve the whole batch",
    )


def _need_gradients(
    function: Callable[..., Tensor], expected: Callable[..., Tensor], given: Mapping[str, Tensor]
) -> None:
    """Raise `CheckFailed` unless the gradient by each input is that of `expected`."""
    leaves = [x.clone().requires_grad_() for x in given.values()]
    value = attempt(function, *(leaf * 1 for leaf in leaves), copies=False)
    need(value.requires_grad, "the value is right, but no gradient reaches the inputs; nothing would be learned")
    pattern = random(*value.shape, seed=8)
    try:
        ours = torch.autograd.grad((value * pattern).sum(), leaves, allow_unused=True)
    except RuntimeError:  # the function has written into its input, which says nothing about its value
        return
    theirs = torch.autograd.grad((expected(*leaves) * pattern).sum(), leaves)
    for name, mine, right in zip(given, ours, theirs, strict=True):
        need(mine is not None, f"the value is right, but no gradient reaches {name}")
        need(mine is not None and near(mine.float(), right, 1e-3), _CONSTANT.format(name))
