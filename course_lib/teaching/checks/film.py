"""Checks of a film's error between two frames, and of a film that keeps what could be seen before (`film_mistakes`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from course_lib.teaching.checks.base import (
    CheckFailed,
    attempt_as_described,
    near,
    need,
    need_factor,
    need_gradient,
    random,
    tensor,
)
from course_lib.teaching.checks.film_mistakes import blended, error, wrong_errors, wrong_films
from course_lib.teaching.checks.transforms import Mistake

_SAME = 1e-3  # relative difference at which a result counts as that of a mistake
_SHARES = (0.8, 0.3)


def check_temporal_error(function: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
    """Check Σ m (x − warp(x'))² / (3 Σ m), the mean square of what changed, over the values of visible pixels.

    Args:
        function: ``function(frame, earlier, flow, mask)``, with two frames (1, 3, H, W), the flow from the later one
            back to the earlier one (1, 2, H, W), in pixels, and its mask (1, 1, H, W) of 0 and 1 → a number; 0 if the
            mask is 0 everywhere. Gradients reach the frame. The tolerance is 0.01 %.

    Raises:
        CheckFailed: a property does not hold.
    """
    for height, width, seed in ((7, 10, 0), (9, 6, 5)):
        frame, earlier = random(1, 3, height, width, seed=seed), random(1, 3, height, width, seed=seed + 1)
        flow = 4 * random(1, 2, height, width, seed=seed + 2) - 2
        visible = (random(1, 1, height, width, seed=seed + 3) > 0.3).float()
        given = frame, earlier, flow, visible
        value = tensor(attempt_as_described(function, *given))
        need(value.numel() == 1, f"the error must be a single number, got shape {tuple(value.shape)}")
        value, right = value.reshape(()), error(*given)
        if not near(value, right):
            _need_none_of(value, wrong_errors(*given))
            need_factor(value, right, "the mean of the squared changes, over the three values of each visible pixel")
    need_gradient(function, error, *given)
    hidden = attempt_as_described(function, frame, earlier, flow, 0 * visible)
    value = hidden.detach() if isinstance(hidden, Tensor) else torch.tensor(float("nan"))
    need(
        bool(torch.isfinite(value).all()), "if nothing is visible, the result is not a number; then nothing has "
        "changed, and the error is 0"
    )  # fmt: skip
    need(near(value.float().reshape(()), torch.zeros(())), "if nothing is visible, the error is 0")
    print("✓ the error counts what changed and could be seen")


def check_stabilized(function: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> None:
    """Check a film whose frames keep a share of the previous result: zₜ = (1 − b mₜ) xₜ + b mₜ warp(zₜ₋₁), z₀ = x₀.

    Args:
        function: ``function(painted, flows, masks, share)``, with paintings (T, 3, H, W), for each the flow back to the
            one before (T, 2, H, W), in pixels, and its mask (T, 1, H, W) of 0 and 1, and the share b of the old
            painting → (T, 3, H, W). Flow and mask of the first frame are not used.

    Raises:
        CheckFailed: a property does not hold.
    """
    for count, share in zip((5, 3), _SHARES, strict=True):
        painted, flows = random(count, 3, 6, 9, seed=count), 4 * random(count, 2, 6, 9, seed=count + 1) - 2
        masks = (random(count, 1, 6, 9, seed=count + 2) > 0.4).float()
        found = tensor(attempt_as_described(function, painted, flows, masks, share))
        hint = {
            (count - 1, 3, 6, 9): ": the first frame is missing; it stays as it is",
            (1, 3, 6, 9): ": this is one frame, and the task asks for all of them",
            (count, 1, 3, 6, 9): ": every frame has an axis too many",
        }.get(tuple(found.shape), "")
        need(
            found.shape == painted.shape, f"the shape must be that of the paintings, {tuple(painted.shape)}, got "
            f"{tuple(found.shape)}{hint}"
        )  # fmt: skip
        right = blended(painted, flows, masks, share)
        if near(found, right):
            continue
        _need_none_of(found, wrong_films(painted, flows, masks, share))
        first = next(t for t in range(count) if not near(found[t], right[t]))
        if first == 0:
            raise CheckFailed("the first frame has no earlier one; it stays as it is")
        hidden = 1 - masks[first]
        need(near(hidden * found[first], hidden * painted[first]), f"in frame {first}, where nothing old is visible, "
             "only the new painting must be left")  # fmt: skip
        raise CheckFailed(f"frames 0 to {first - 1} are right, frame {first} is not: there, old and new paintings are "
                          "not mixed as the task says")  # fmt: skip
    every = attempt_as_described(function, painted, flows, masks, 0.0)
    need(near(tensor(every), painted), "with a share of 0, the paintings stay as they are")
    print("✓ the old strokes follow the motion, and give way where they were hidden")


def _need_none_of(found: Tensor, mistakes: Iterable[Mistake]) -> None:
    for message, wrong in mistakes:
        need(not near(found, wrong, _SAME), message)
