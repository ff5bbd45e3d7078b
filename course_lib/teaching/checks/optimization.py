"""Check of an optimization of a picture's pixels, step by step."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from course_lib.pretrained.vgg import VGGFeatures
from course_lib.teaching.checks.base import CheckFailed, attempt, need, random, tensor
from course_lib.teaching.checks.passes import spied

_LAYER, _SIDE, _RATE, _STEPS = "relu2_1", 16, 0.05, 20
_SAME = 0.004  # mean distance of two runs that differ in rounding, or in a factor on the loss; see the tests


def check_optimization(function: Callable[[VGGFeatures, Tensor, Tensor, int], Any]) -> None:
    """Check a reconstruction by Adam with a learning rate of 0.05, whose picture is clamped after each step.

    The loss may have any factor. The path of the picture is compared with Adam's own, as the network has seen it.

    Args:
        function: ``function(network, target, start, steps)`` → the picture (1, 3, H, W) in [0, 1] and a list of `steps`
            losses, each noted before its step, with the target features (1, C, h, w) of the network's one layer and a
            start (1, 3, H, W).

    Raises:
        CheckFailed: a property does not hold.
    """
    reference = VGGFeatures("vgg19", (_LAYER,), weights=None)
    with torch.no_grad():  # black and white: many pixels reach the ends of their range
        target = reference((random(1, 3, _SIDE, _SIDE) > 0.5).float())[_LAYER]
    start = 0.4 + 0.2 * random(1, 3, _SIDE, _SIDE, seed=1)
    picture, losses, seen = _run(function, reference, target, start, _STEPS)
    _need_falling(losses)
    need(torch.equal(seen[0], start), "the first picture that the network sees is not the start")
    need(
        len(seen) >= _STEPS,
        f"in {_STEPS} steps the network saw {len(seen)} different pictures; every step needs its own features",
    )
    outside = [k for k, x in enumerate([*seen, picture]) if not _in_range(x)]
    need(
        not outside or outside == [len(seen)],
        "after a step, the network sees values outside [0, 1]; bring the pixels back after each step, not just once",
    )
    need(
        _in_range(picture),
        f"the picture must stay in [0, 1], got values from {picture.min():.3g} to {picture.max():.3g}",
    )
    _need_first_step((seen[1] - seen[0]).abs())
    paths = [_descent(reference, target, start, _STEPS, root=root) for root in (False, True)]
    path = next((one for one in paths if _same(picture, one[-1])), None)
    if path is None:
        raise CheckFailed(_reason(picture, reference, target, start, paths[0]))
    _need_losses_before(losses, [*seen[:_STEPS], picture], reference, target)
    few, some, _ = _run(function, reference, target, start, 3)
    need(
        len(some) == 3 and _same(few, path[3]),
        "with 3 steps, the result is not that of three steps; does the number of steps come from the argument?",
    )
    print("✓ a reconstruction whose loss falls and whose picture stays in [0, 1]")


def _run(
    function: Callable[..., Any], reference: VGGFeatures, target: Tensor, start: Tensor, steps: int
) -> tuple[Tensor, list[float], list[Tensor]]:
    """The picture, the losses and the different pictures that the network saw, after the checks of their form."""
    network, kept = copy.deepcopy(reference), start.clone()
    seen = spied(network)
    answer = attempt(function, network, target.clone(), start, steps, copies=False)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise CheckFailed(f"the function must return the picture and the list of losses, got {type(answer).__name__}")
    picture = tensor(answer[0])
    need(picture.shape == start.shape, f"the picture must have the start's shape, got {tuple(picture.shape)}")
    try:
        losses = [float(value.detach() if isinstance(value, Tensor) else value) for value in answer[1]]
    except (TypeError, ValueError, RuntimeError):
        raise CheckFailed("the second result must be the list of losses, one number for each step") from None
    need(len(losses) == steps, f"{steps} steps must give {steps} losses, got {len(losses)}")
    need(
        torch.equal(start.detach(), kept) and not start.requires_grad,
        "the start itself was changed; work on a copy, since the caller may need it again",
    )
    before, after = reference.state_dict(), network.state_dict()
    need(
        all(torch.equal(before[name], after[name]) for name in before),
        "the network has changed; only the picture is to be optimized",
    )
    need(
        not answer[0].requires_grad,
        "the picture that is returned still carries a gradient; the task asks for one that no longer needs it",
    )
    need(bool(seen), "the network was not called")
    seen = [x.float() for x in seen]
    return picture, losses, [x for k, x in enumerate(seen) if k == 0 or not torch.equal(x, seen[k - 1])]


def _need_falling(losses: Sequence[float]) -> None:
    first, last = losses[0], losses[-1]
    need(all(map(math.isfinite, losses)), "a loss is not finite; the steps are too large, or something is divided by 0")
    need(first != last, "the loss does not change at all; does the gradient reach the picture?")
    need(last < first, f"the loss rises from {first:.4g} to {last:.4g}; does the step have the right sign?")


def _need_first_step(moved: Tensor) -> None:
    step = moved.median().item()
    need(
        abs(step / _RATE - 1) < 0.1,
        f"the first step moves half of the pixels by more than {step:.3g}; Adam with a learning rate of {_RATE} begins "
        f"with a step of {_RATE} for nearly every pixel. Which optimizer do you use, and with which step?",
    )


def _reason(picture: Tensor, network: VGGFeatures, target: Tensor, start: Tensor, path: Sequence[Tensor]) -> str:
    """Why a picture is not the end of Adam's path, by name if it is a known mistake."""
    if _same(picture, path[-2], 1e-4):
        return "the picture is the one before the last step"
    if _same(picture, _descent(network, target, start, _STEPS, add=True)[-1]):
        return "old gradients add up: each step must use the gradient of its own loss alone"
    if _same(picture, _descent(network, target, start, _STEPS, anew=True)[-1]):
        return "the optimizer starts over in every step and so forgets the steps before"
    apart = (picture - path[-1]).abs().mean().item()
    return (
        f"after {_STEPS} steps the picture differs from Adam's at a learning rate of {_RATE} by {apart:.3g} a pixel. "
        "Is the loss the squared distance of the features, and does each step use the gradient of its own loss?"
    )


def _need_losses_before(
    losses: Sequence[float], pictures: Sequence[Tensor], network: VGGFeatures, target: Tensor
) -> None:
    """Raise `CheckFailed` unless the losses are those of the pictures before each step, up to one factor."""
    with torch.no_grad():
        apart = [(network(picture)[_LAYER] - target).square().sum().item() for picture in pictures]

    def fits(values: Sequence[float]) -> bool:
        for power in (1.0, 0.5):  # a square root is a loss of the same path
            factors = [loss / value**power for loss, value in zip(losses, values, strict=True)]
            if max(factors) < min(factors) * 1.001:
                return True
        return False

    need(not fits(apart[1:]), "each loss is that of the picture after its step; the task asks for the one before")
    need(fits(apart[:-1]), "the losses are not those of the pictures before each step")


def _descent(
    network: VGGFeatures,
    target: Tensor,
    start: Tensor,
    steps: int,
    *,
    root: bool = False,
    add: bool = False,
    anew: bool = False,
) -> list[Tensor]:
    """The pictures of Adam's path, the start first.

    Args:
        network, target, start, steps: as the student's function gets them.
        root: the loss is the distance, not its square.
        add: gradients add up.
        anew: every step has a new optimizer.
    """
    picture = start.clone().requires_grad_(True)
    optimizer, path = torch.optim.Adam([picture], lr=_RATE), [start]
    with torch.enable_grad():
        for _ in range(steps):
            optimizer = torch.optim.Adam([picture], lr=_RATE) if anew else optimizer
            if not add:
                optimizer.zero_grad()
            loss = (network(picture)[_LAYER] - target).square().sum()
            (loss.sqrt() if root else loss).backward()
            optimizer.step()
            picture.data.clamp_(0, 1)
            path.append(picture.detach().clone())
    return path


def _in_range(picture: Tensor) -> bool:
    return bool(picture.min() >= -1e-6 and picture.max() <= 1 + 1e-6)


def _same(a: Tensor, b: Tensor, tolerance: float = _SAME) -> bool:
    return bool((a - b).abs().mean() < tolerance)
