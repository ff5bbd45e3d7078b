"""The error of a film and a blend of its frames, and what common mistakes make of them (Ruder et al. 2016).

A frame is (1, 3, H, W), its mask (1, 1, H, W). Flow and mask of frame t lead back to frame t − 1; those of frame 0 are
not used.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.teaching.checks.motion_mistakes import moved
from course_lib.teaching.checks.transforms import Mistake


# --- the equations
def error(frame: Tensor, earlier: Tensor, flow: Tensor, visible: Tensor) -> Tensor:
    """Mean square of what changed, over all values of visible pixels."""
    changed = (frame - moved(earlier, flow)).square()
    return (visible * changed).sum() / (visible.sum() * frame.shape[1])


def blended(painted: Tensor, flows: Tensor, masks: Tensor, share: float) -> Tensor:
    """z₀ = painted₀, zₜ = (1 − b mₜ) paintedₜ + b mₜ warp(zₜ₋₁)."""
    return _film(painted, flows, masks, lambda new, old, visible: new + share * visible * (old - new))


# --- common mistakes: an error
def wrong_errors(frame: Tensor, earlier: Tensor, flow: Tensor, visible: Tensor) -> list[Mistake]:
    old = moved(earlier, flow)
    changed = frame - old
    backward = moved(earlier, -flow)
    over, number = visible.sum(), frame.shape[1]
    hidden = 1 - visible

    def mean(difference: Tensor, weight: Tensor = visible) -> Tensor:
        return (weight * difference).sum() / (weight.sum() * number)

    return [
        ("the mask is not applied: what was hidden counts, too", changed.square().mean()),
        ("the mask is inverted: these are the hidden pixels", mean(changed.square(), hidden)),
        ("the sum over visible pixels is divided by the number of all pixels; an error that falls when more is hidden "
         "is none", (visible * changed.square()).mean()),
        ("the sum is divided by the number of visible pixels, but each of them has three values",
         (visible * changed.square()).sum() / over),
        ("it is divided by all pixels, and each has three values", (visible * changed.square()).mean() * number),
        ("the squares are added up; the task asks for their mean", (visible * changed.square()).sum()),
        ("these are absolute differences; the task asks for squares", mean(changed.abs())),
        ("the root of the mean square is taken; the task asks for the mean square", mean(changed.square()).sqrt()),
        ("positive and negative differences cancel", mean(changed)),
        ("positive and negative differences cancel", mean(changed).square()),
        ("the earlier frame is not warped", mean((frame - earlier).square())),
        ("the earlier frame is not warped, and the mask is not applied", (frame - earlier).square().mean()),
        ("the earlier frame is warped in the wrong direction", mean((frame - backward).square())),
        ("the later frame is warped; the flow leads from the later frame to the earlier one, so the earlier one is "
         "read along it", mean((moved(frame, flow) - earlier).square())),
        ("the mask is warped, too; it belongs to the later frame already",
         mean(changed.square(), moved(visible, flow))),
    ]  # fmt: skip


# --- common mistakes: a blend
Mix = Callable[[Tensor, Tensor, Tensor], Tensor]  # new painting, old one, mask


def wrong_films(painted: Tensor, flows: Tensor, masks: Tensor, share: float) -> list[Mistake]:
    """For more than two frames, a share other than ½, and masks that differ from frame to frame."""

    def mix(new: Tensor, old: Tensor, visible: Tensor) -> Tensor:
        return new + share * visible * (old - new)

    def exchanged(new: Tensor, old: Tensor, visible: Tensor) -> Tensor:
        return torch.where(visible > 0, share * new + (1 - share) * old, new)

    def film(how: Mix = mix, **change: Callable[[Tensor, Tensor], Tensor] | bool) -> Tensor:
        return _film(painted, flows, masks, how, **change)  # type: ignore[arg-type]

    right = film()
    unwarped = film(warp=lambda old, flow: old)
    black = (1 - share * masks[:1]) * painted[:1]
    return [
        ("the previous result is not warped: the old strokes stay where they were", unwarped),
        ("the share is that of the new painting; the task gives the share of the old one", film(exchanged)),
        ("the share is that of the new painting; the task gives the share of the old one",
         film(lambda new, old, m: old + share * m * (new - old))),
        ("the mask is not applied: what was hidden drags old strokes along",
         film(lambda new, old, m: new + share * (old - new))),
        ("the mask is inverted: the old strokes appear where they were hidden",
         film(lambda new, old, m: mix(new, old, 1 - m))),
        ("where nothing old is visible, the new painting gets only a part of its weight; it is alone there",
         film(lambda new, old, m: (1 - share) * new + share * m * old)),
        ("where something old is visible, the weights of old and new do not add up to 1",
         film(lambda new, old, m: new + share * m * old)),
        ("where something old is visible, the old strokes are all that is left",
         film(lambda new, old, m: torch.where(m > 0, old, new))),
        ("the previous painting is blended in, not the previous result: nothing older than one frame remains",
         film(recursive=False)),
        ("the previous painting is blended in, and it is not warped", film(warp=lambda old, flow: old,
                                                                           recursive=False)),
        ("it is blended first and warped afterwards: the new painting moves, too", _late_warp(painted, flows, masks,
                                                                                              mix)),
        ("the previous result is warped in the wrong direction", film(warp=lambda old, flow: moved(old, -flow))),
        ("the mask is warped; it belongs to the later frame already",
         _film(painted, flows, masks, mix, shifted=True)),
        ("the masks are one frame late", _film(painted, flows, masks.roll(1, 0), mix)),
        ("the masks are one frame early", _film(painted, flows, masks.roll(-1, 0), mix)),
        ("the flows are one frame late", _film(painted, flows.roll(1, 0), masks, mix)),
        ("the flows are one frame early", _film(painted, flows.roll(-1, 0), masks, mix)),
        ("these are the paintings as they came; where is the old one?", painted),
        ("every frame is blended with the first one", torch.cat([painted[:1], *(
            mix(painted[t : t + 1], moved(painted[:1], flows[t : t + 1]), masks[t : t + 1])
            for t in range(1, len(painted)))])),
        ("the first frame has no earlier one and stays as it is; yours begins with black",
         _film(torch.cat((black, painted[1:])), flows, masks, mix)),
        ("the first frame has no earlier one and stays as it is; yours begins with black",
         _film(torch.cat(((1 - share) * painted[:1], painted[1:])), flows, masks, mix)),
        ("the film runs backward", right.flip(0)),
    ]  # fmt: skip


def _film(
    painted: Tensor, flows: Tensor, masks: Tensor, mix: Mix, *,
    warp: Callable[[Tensor, Tensor], Tensor] = moved, recursive: bool = True, shifted: bool = False,
) -> Tensor:  # fmt: skip
    frames = [painted[:1]]
    for t in range(1, len(painted)):
        new, flow, visible = painted[t : t + 1], flows[t : t + 1], masks[t : t + 1]
        old = warp(frames[-1] if recursive else painted[t - 1 : t], flow)
        frames.append(mix(new, old, moved(visible, flow) if shifted else visible))
    return torch.cat(frames)


def _late_warp(painted: Tensor, flows: Tensor, masks: Tensor, mix: Mix) -> Tensor:
    frames = [painted[:1]]
    for t in range(1, len(painted)):
        frames.append(moved(mix(painted[t : t + 1], frames[-1], masks[t : t + 1]), flows[t : t + 1]))
    return torch.cat(frames)
