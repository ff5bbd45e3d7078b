"""Checks of a warp along an optical flow and of the mask of what was visible (Ruder et al. 2016; `course_lib.flow`).

The properties of a warp are checked one after the other: a frame that stays, a shift by whole pixels, one by a part of
a pixel, the border, and a flow of its own for every pixel. So a message names the first property that fails, whatever
else is wrong. As in `labels`, the results of common mistakes are computed, too (`motion_mistakes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from course_lib.teaching.checks.base import CheckFailed, attempt_as_described, near, need, random, tensor
from course_lib.teaching.checks.motion_mistakes import (
    Sprite,
    border_mistakes,
    fraction_mistakes,
    mask,
    moved,
    shift_mistakes,
    still_mistakes,
    varied_mistakes,
    wrong_masks,
)
from course_lib.teaching.checks.transforms import Mistake

_SAME = 1e-3  # relative to the largest value, at which a result counts as that of a mistake
_SIZE = 14, 19
_SPRITE = Sprite(12, 17, top=3, left=4, size=(5, 6), by=(1, 2))
_OFFSETS = (  # w and w + w̃ of a pixel, whether it counts as visible, and what to say
    ((20.0, 0.0), (2.5, 0.0), True, "after a way of 20 px, the way back misses by 2.5 px. That is tolerated: the "
     "tolerance grows with the length of both ways"),
    ((-4.0, 3.0), (0.0, 0.0), True, "the way back ends exactly where the way there began"),
    ((1.0, 0.0), (0.3, 0.0), True, "after a way of 1 px, the way back misses by 0.3 px. That is tolerated, also for "
     "the shortest ways"),
    ((0.0, 0.0), (0.6, 0.6), False, "the way back misses by 0.6 px to the right and 0.6 px down; the square of that "
     "distance is 0.72"),
    ((0.0, 0.0), (0.6, 0.0), True, "the way back misses by 0.6 px; the square of that distance is 0.36"),
    ((0.0, 0.0), (0.9, -0.9), False, "the way back misses by 0.9 px to the right and 0.9 px up; they do not cancel"),
    ((2.0, 0.0), (0.0, 1.0), False, "the way back misses by a pixel, downward"),
    ((0.0, 2.0), (1.0, 0.0), False, "the way back misses by a pixel, to the right"),
    ((3.0, 2.0), (-3.0, -2.0), False, "the way there leads 3 px to the right and 2 px down, and there is no way back"),
)  # fmt: skip


def check_warp(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check a frame that is brought into the position of a later one (`course_lib.flow.warp`).

    Args:
        function: ``function(earlier, flow)``, with a frame (1, C, H, W) and a flow (1, 2, H, W) in pixels, channel 0 to
            the right and 1 down, from the later frame back to the earlier one → (1, C, H, W): at (y, x) the bilinear
            value of the earlier frame at (y + flow₁, x + flow₀); a position outside takes the nearest border pixel.

    Raises:
        CheckFailed: a property does not hold.
    """
    frame, inner = random(1, 3, *_SIZE, seed=3), (..., slice(4, -4), slice(4, -4))
    found = _frame(function, frame, _everywhere(0.0, 0.0))
    _need_same(found, frame, still_mistakes(frame), "with a flow of 0, the frame must stay as it is", inner)
    for x, y in ((2.0, -1.0), (-3.0, 2.0)):
        flow = _everywhere(x, y)
        found, way = _frame(function, frame, flow), f"with a flow of {x:g} px to the right and {y:g} px down everywhere"
        right = moved(frame, flow)
        _need_same(found, right, shift_mistakes(frame, flow), f"{way}, pixels come from the wrong positions", inner)
        _need_same(found, right, border_mistakes(frame, flow), f"{way}, the border is wrong", ...)
    flow = _everywhere(1.3, -0.6)
    found, right = _frame(function, frame, flow), moved(frame, flow)
    what = "with a flow of 1.3 px to the right and −0.6 px down everywhere, the values are wrong"
    _need_same(found, right, fraction_mistakes(frame, flow), what, inner)
    _need_same(found, right, border_mistakes(frame, flow), f"{what} at the border", ...)
    for channels, height, width in ((2, 9, 16), (1, 17, 8)):
        frame, flow = random(1, channels, height, width), 5 * random(1, 2, height, width, seed=channels) - 2.5
        found, right = _frame(function, frame, flow), moved(frame, flow)
        what = f"with a flow that differs from pixel to pixel, in frames of {height}×{width} px, the values are wrong"
        _need_same(found, right, varied_mistakes(frame, flow), what, ...)
    print("✓ every pixel is read where the flow says that it was")


def check_visible_mask(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check where the earlier frame showed the same thing (Ruder et al. 2016, Section 4.3, without motion boundaries).

    A pixel p is visible if p + w(p) lies in the frame and, with w̃ = back(p + w(p)),
    ‖w + w̃‖² ≤ 0.01 (‖w‖² + ‖w̃‖²) + 0.5. No case here is closer to that limit than 10 %.

    Args:
        function: ``function(flow, back)``, with the flow from the later frame to the earlier one and the one from the
            earlier frame to the later, (1, 2, H, W) in pixels → (1, 1, H, W): 1 or True where visible, else 0.

    Raises:
        CheckFailed: a property does not hold.
    """
    flow, back = _SPRITE.flows()
    found, right = _mask(function, flow, back), mask(flow, back)
    for message, wrong in wrong_masks(_SPRITE):
        need(not torch.equal(found, wrong), message)
    pan = _everywhere(3.0, -2.0)
    moving, whole = _mask(function, pan, -pan), mask(pan, -pan)
    way = "with a flow of 3 px to the right and 2 px up everywhere"
    need(
        not bool((moving > whole).any()), f"{way}, the mask says that pixels were visible that the earlier frame did "
        "not show: the flow leads out of the frame there"
    )  # fmt: skip
    need(torch.equal(moving, whole), f"{way}, pixels count as hidden whose flow ends in the frame")
    for to, miss, seen, message in _OFFSETS:
        there = torch.tensor(to).view(1, 2, 1, 1).expand(1, 2, 11, 61)
        again = torch.tensor(miss).view(1, 2, 1, 1) - there
        value = bool(_mask(function, there, again)[0, 0, 5, 30])
        need(value == seen, f"{message}. You say {'visible' if value else 'hidden'}")
    uncovered = _SPRITE.earlier() * (1 - _SPRITE.later())
    regions = {
        "which the sprite has just uncovered, were hidden": uncovered,
        "of the sprite were visible at its former position": _SPRITE.later(),
        "of the still ground were visible": 1 - uncovered - _SPRITE.later(),
    }
    for name, region in regions.items():
        count = int(((found != right) * region).sum())
        need(count == 0, f"a sprite moves over a still ground: the {int(region.sum())} pixels {name}; for {count} of "
             "them, your mask says the opposite")  # fmt: skip
    print("✓ visible is what the way there and back finds again")


def _everywhere(x: float, y: float) -> Tensor:
    return torch.tensor([x, y]).view(1, 2, 1, 1).repeat(1, 1, *_SIZE)


def _frame(function: Callable[[Tensor, Tensor], Tensor], frame: Tensor, flow: Tensor) -> Tensor:
    found = tensor(attempt_as_described(function, frame, flow))
    if found.shape != frame.shape:
        raise CheckFailed(f"the result must have the shape of the earlier frame, {tuple(frame.shape)}, got "
                          f"{tuple(found.shape)}{_shape_hint(found, frame)}")  # fmt: skip
    return found


def _shape_hint(found: Tensor, frame: Tensor) -> str:
    _, channels, height, width = frame.shape
    if found.shape == (1, height, width, channels):
        return ": channels are the second axis, not the last one"
    if found.shape == (1, channels, width, height):
        return ": height and width are exchanged"
    return ": the first axis, of one frame, is missing" if found.shape == frame.shape[1:] else ""


def _mask(function: Callable[[Tensor, Tensor], Tensor], flow: Tensor, back: Tensor) -> Tensor:
    found = tensor(attempt_as_described(function, flow, back))
    expected = (1, 1, *flow.shape[2:])
    hint = {
        (1, 2, *expected[2:]): ": the two channels of a flow belong to one pixel, which is visible or not",
        (1, *expected[2:]): ": an axis of one channel is missing",
        expected[2:]: ": the axes of one frame and of one channel are missing",
    }.get(tuple(found.shape), "")
    need(found.shape == expected, f"the shape must be (1, 1, H, W) = {expected}, got {tuple(found.shape)}{hint}")
    need(bool(((found == 0) | (found == 1)).all()), "a mask holds 0 and 1, and nothing else")
    return found


def _need_same(found: Tensor, right: Tensor, mistakes: Iterable[Mistake], what: str, region: object) -> None:
    at: tuple[slice, ...] = region  # type: ignore[assignment]
    if near(found[at], right[at]):
        return
    for message, wrong in mistakes:
        need(not near(found[at], wrong[at], _SAME), message)
    raise CheckFailed(f"{what}, by up to {(found - right)[at].abs().max():.2g}")
