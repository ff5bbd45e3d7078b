"""Checks of what surrounds a styled layer: the effect of a spike on a normalization, style mixing, and truncation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.teaching.checks.base import CheckFailed, attempt, call, near, need, random
from course_lib.teaching.checks.transforms import Mistake

_CASES = ((1024, 200.0), (4096, 200.0), (1024, 20.0), (400, 50.0), (10_000, 1000.0))  # positions, spike


def check_spike_prediction(function: Callable[[int, float], float]) -> None:
    """Check by which factor instance normalization scales the rest of a map that has a spike, 1/√(1 + s²/n).

    Args:
        function: ``function(num_positions, spike)`` → the factor, for a map whose other values have mean 0 and
            variance 1. The tolerance is 0.6 %, so a term of 1/n may be missing.

    Raises:
        CheckFailed: a property does not hold.
    """
    found = [_number(attempt(function, n, s)) for n, s in _CASES]
    right = [1 / math.sqrt(1 + s * s / n) for n, s in _CASES]
    mistakes: list[tuple[str, Callable[[int, float], float]]] = [
        ("this is the standard deviation with the spike; the rest is divided by it", lambda n, s: 1 / _left(n, s)),
        ("this is the variance with the spike; the rest is divided by a standard deviation",
         lambda n, s: 1 + s * s / n),
        ("the rest is divided by the variance; normalization divides by the standard deviation",
         lambda n, s: 1 / (1 + s * s / n)),
        ("the spike is not averaged over the positions; how much does one of n values change a mean of squares?",
         lambda n, s: 1 / s),
        ("the variance contains the spike, not its square", lambda n, s: 1 / math.sqrt(1 + s / n)),
        ("this is what the spike does to the mean; what does it do to the variance?", lambda n, s: s / n),
        ("this is what the spike does to the mean; what does it do to the variance?", lambda n, s: 1 / (1 + s / n)),
        ("the variance of the rest is missing; with a small spike, it counts", lambda n, s: math.sqrt(n) / s),
        ("the squares are added up, not averaged over the positions", lambda n, s: 1 / math.sqrt(n + s * s)),
        ("the number of positions is taken for the side of the map", lambda n, s: 1 / math.sqrt(1 + s * s / n**2)),
        ("the standard deviations are added; variances add up", lambda n, s: 1 / (1 + s / math.sqrt(n))),
        ("this is what is lost; what is left?", lambda n, s: 1 - _left(n, s)),
    ]  # fmt: skip
    if not _alike(found, right):
        for message, wrong in mistakes:
            need(not _alike(found, [wrong(n, s) for n, s in _CASES]), message)
        worst = max(range(len(_CASES)), key=lambda k: abs(found[k] / right[k] - 1))
        raise CheckFailed(
            f"for {_CASES[worst][0]} positions and a spike of {_CASES[worst][1]:.0f}, you predict {found[worst]:.3g}, "
            "which is not what a normalization leaves; what are the mean and the variance of all the values?"
        )
    print("✓ your formula predicts what one value does to all the others")


def check_style_mixing(function: Callable[[Tensor, Tensor, Tensor, int], Tensor]) -> None:
    """Check two styles that take turns (Karras et al. 2019, Section 3.1).

    Args:
        function: ``function(first, second, change, num_layers)``, with styles (N, w) twice and N whole numbers from 0
            to `num_layers` → (N, num_layers, w): the first style in the layers before `change`, then the second one.

    Raises:
        CheckFailed: a property does not hold.
    """
    for size, layers, changes in ((3, 6, (2, 0, 6, 4)), (5, 5, (1, 5, 3)), (2, 4, (2,)), (3, 3, (1, 2, 0))):
        n = len(changes)
        first, second = random(n, size, seed=1), 2 + random(n, size, seed=2)
        change = torch.tensor(changes)
        found = _called(function, first, second, change, layers)
        need(
            found.shape == (n, layers, size), f"the shape must be (N, num_layers, w) = {(n, layers, size)}, got "
            f"{tuple(found.shape)}; each layer of each picture gets a style"
        )  # fmt: skip
        wrong = [
            ("the second style comes first", _mixed(second, first, change, layers)),
            ("all layers have the first style", _mixed(first, second, torch.tensor([layers]), layers)),
            ("all layers have the second style", _mixed(first, second, torch.tensor([0]), layers)),
            ("the change is one layer too late: layer number `change`, counted from 0, has the second style",
             _mixed(first, second, change + 1, layers)),
            ("the change is one layer too early: layer number `change`, counted from 0, has the second style",
             _mixed(first, second, change - 1, layers)),
            ("all pictures change their style at the same layer; each has its own",
             _mixed(first, second, change[:1], layers)),
            ("all pictures change their style at the same layer; each has its own",
             _mixed(first, second, change[-1:], layers)),
            ("only the layer of the change has the second style; it stays until the last layer",
             _only(first, second, change, layers)),
            ("only the layer of the change has the first style", _only(second, first, change, layers)),
            ("the two styles are blended in every layer; each layer has one of them",
             ((first + second) / 2)[:, None].expand(-1, layers, -1)),
            ("the change counts from the last layer", _mixed(second, first, layers - change, layers)),
            ("the change counts from the last layer", _mixed(first, second, layers - change, layers)),
        ]  # fmt: skip
        what = f"with changes at {', '.join(map(str, changes))}, a layer does not have the style of one of the two"
        _need_exactly(found, _mixed(first, second, change, layers), wrong if n > 1 else (), what)
    _need_way_back(lambda a: function(a, second, change, 3), first, "the first styles")
    _need_way_back(lambda a: function(first, a, change, 3), second, "the second styles")
    print("✓ two styles take turns, each picture at a layer of its own")


def check_truncation(function: Callable[[Tensor, Tensor, float, int], Tensor]) -> None:
    """Check truncation, w̄ + ψ (w − w̄), in the first layers only (Karras et al. 2019, Appendix B).

    Args:
        function: ``function(styles, mean, psi, num_layers)``, with styles (N, layers, w) and their mean (w,) → the
            same shape; layers from `num_layers` on stay as they are.

    Raises:
        CheckFailed: a property does not hold.
    """
    styles, mean = random(3, 6, 6, seed=1), 3 * random(6, seed=2) - 1
    for psi, layers in ((0.7, 4), (0.3, 2), (0.0, 3), (1.0, 4), (0.5, 6), (0.5, 0)):
        found = _called(function, styles, mean, psi, layers)
        need(found.shape == styles.shape, f"the shape must stay {tuple(styles.shape)}, got {tuple(found.shape)}")
        all_of, right = mean + psi * (styles - mean), _truncated(styles, mean, psi, layers)
        wrong = [
            ("the styles move toward 0, not toward their mean", _first(psi * styles, styles, layers)),
            ("the styles move toward 0, not toward their mean", psi * styles),
            ("ψ and 1 − ψ are exchanged; ψ = 1 changes nothing", _truncated(styles, mean, 1 - psi, layers)),
            ("ψ and 1 − ψ are exchanged; ψ = 1 changes nothing", mean + (1 - psi) * (styles - mean)),
            ("the mean is subtracted, but not added again", _first(psi * (styles - mean), styles, layers)),
            ("the mean is subtracted, but not added again", psi * (styles - mean)),
            ("the mean is added twice", _first(mean + psi * styles, styles, layers)),
            ("all layers are truncated; the fine ones, from `num_layers` on, stay as they are", all_of),
            ("the last layers are truncated, and the first ones are not", _first(styles, all_of, layers)),
            ("one layer too many is truncated", _first(all_of, styles, layers + 1)),
            ("one layer too few is truncated", _first(all_of, styles, max(0, layers - 1))),
            ("values beyond ψ are cut off; truncation here is a step toward the mean", styles.clamp(-psi, psi)),
            ("the styles move toward the mean of this batch; use the mean that is given",
             _truncated(styles, styles.mean((0, 1)), psi, layers)),
            ("nothing is truncated", styles),
        ]  # fmt: skip
        if psi in (0.7, 0.3):
            _need_exactly(found, right, wrong, f"with ψ = {psi}, the styles are not those of the equation")
        _need_exactly(found, right, (), f"with ψ = {psi} and {layers} of 6 layers, the styles are not those of the "
                      "equation")  # fmt: skip
    _need_way_back(lambda x: function(x, mean, 0.5, 3), styles, "the styles")
    print("✓ the first layers move toward the mean, and the others stay")


# --- the equations
def _left(n: int, s: float) -> float:
    return 1 / math.sqrt(1 + s * s / n)


def _mixed(first: Tensor, second: Tensor, change: Tensor, layers: int) -> Tensor:
    before = torch.arange(layers)[:, None] < change[:, None, None]
    return torch.where(before, first[:, None], second[:, None])


def _only(first: Tensor, second: Tensor, change: Tensor, layers: int) -> Tensor:
    return torch.where(torch.arange(layers)[:, None] == change[:, None, None], second[:, None], first[:, None])


def _first(one: Tensor, other: Tensor, layers: int) -> Tensor:
    """The first layers of one, the others of another."""
    return torch.cat([one[:, :layers], other[:, layers:]], 1)


def _truncated(styles: Tensor, mean: Tensor, psi: float, layers: int) -> Tensor:
    return _first(mean + psi * (styles - mean), styles, layers)


# --- properties
def _number(value: Any) -> float:
    """A student's number: Python's, NumPy's, or a tensor of one element."""
    if isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) != 1:
        raise CheckFailed(f"the factor must be a single number, got shape {tuple(value.shape)}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        hint = "; does it end in `return`?" if value is None else ""
        raise CheckFailed(f"the function must return a number, got {type(value).__name__}{hint}") from None
    need(math.isfinite(number), "the factor is not finite")
    return number


def _alike(found: Iterable[float], expected: Iterable[float]) -> bool:
    return all(abs(a - b) <= 0.006 * abs(b) for a, b in zip(found, expected, strict=True))


def _called(function: Callable[..., Tensor], *given: Any) -> Tensor:
    try:
        return call(function, *given)
    except TypeError as error:
        raise CheckFailed(f"it could not be called as the task describes: {error}") from error


def _need_exactly(found: Tensor, expected: Tensor, mistakes: Iterable[Mistake], what: str) -> None:
    if near(found, expected):
        return
    for message, wrong in mistakes:
        need(not near(found, wrong.expand_as(found)), message)
    raise CheckFailed(what)


def _need_way_back(function: Callable[[Tensor], Tensor], given: Tensor, name: str) -> None:
    """Raise `CheckFailed` unless a gradient reaches these styles: the mapping network learns through them."""
    leaf = given.clone().requires_grad_()
    value = attempt(function, leaf * 1, copies=False)
    lost = f"the value is right, but no gradient reaches {name}; the mapping network learns through them"
    need(value.requires_grad, lost)
    try:
        (gradient,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    except RuntimeError:  # the function has written into its input
        return
    need(gradient is not None and bool(gradient.any()), lost)
