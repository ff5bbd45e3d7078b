"""Answers to the tasks on film: a warp along a flow, the mask of what was visible, an error, and a film that keeps."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import enough, judge, parameters

from course_lib import flow as optical
from course_lib.flow import warp
from course_lib.teaching import assignments, checks
from course_lib.teaching.checks import motion_mistakes

MASTER = Path(__file__).resolve().parents[3] / "notebooks" / "assignments" / "masters" / "13_warp_and_mask.ipynb"


# --- 1. a warp
def at(flow):
    height, width = flow.shape[-2:]
    return torch.arange(width) + flow[:, 0], torch.arange(height)[:, None] + flow[:, 1]


def sampled(earlier, flow, aligned=False, scaled=None, **how):
    """By grid_sample; `scaled` is the convention of the scale, if it differs from that of the sampling."""
    x, y = at(flow)
    height, width = flow.shape[-2:]
    if aligned if scaled is None else scaled:
        grid = torch.stack((2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1), -1)
    else:
        grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), -1)
    return F.grid_sample(earlier, grid, align_corners=aligned, **{"padding_mode": "border", **how})


def four_pixels(earlier, flow):
    x, y = (place[0] for place in at(flow))
    height, width = flow.shape[-2:]
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.long(), y.long()
    right, below = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    a, b = x - left, y - top
    above = (1 - a) * earlier[..., top, left] + a * earlier[..., top, right]
    return (1 - b) * above + b * ((1 - a) * earlier[..., below, left] + a * earlier[..., below, right])


def pixel_by_pixel(earlier, flow):
    frame, w = earlier[0].numpy(), flow[0].numpy()
    _, height, width = frame.shape
    out = np.zeros_like(frame)
    for v in range(height):
        for u in range(width):
            x, y = min(max(u + w[0, v, u], 0), width - 1), min(max(v + w[1, v, u], 0), height - 1)
            i, j = min(int(y), max(height - 2, 0)), min(int(x), max(width - 2, 0))
            b, a = y - i, x - j
            patch = frame[:, i : i + 2, j : j + 2]
            out[:, v, u] = np.einsum("cij,i,j->c", patch, [1 - b, b], [1 - a, a])
    return torch.from_numpy(out)[None]


def with_a_margin(earlier, flow):
    """A wide border of copies, and zeros behind it, which nobody reads."""
    wide = F.pad(earlier, (9, 9, 9, 9), mode="replicate")
    x, y = at(flow)
    height, width = wide.shape[-2:]
    grid = torch.stack(((2 * (x + 9) + 1) / width - 1, (2 * (y + 9) + 1) / height - 1), -1)
    return F.grid_sample(wide, grid, align_corners=False)


def by_steps(earlier, flow):
    """The identity grid of PyTorch plus a flow on its scale."""
    height, width = flow.shape[-2:]
    grid = F.affine_grid(torch.eye(2, 3)[None], list(earlier.shape), align_corners=False)
    steps = torch.stack((flow[:, 0] * 2 / width, flow[:, 1] * 2 / height), -1)
    return F.grid_sample(earlier, grid + steps, mode="bilinear", padding_mode="border", align_corners=False)


class Warp(torch.nn.Module):
    def forward(self, earlier, flow):
        return sampled(earlier.double(), flow.double(), aligned=True)


def transposed_grid(earlier, flow, aligned=False):
    x, y = at(flow)
    height, width = flow.shape[-2:]
    grid = torch.stack(((2 * y + 1) / height - 1, (2 * x + 1) / width - 1), -1)
    return F.grid_sample(earlier, grid, padding_mode="border", align_corners=aligned)


def other_side(earlier, flow):
    x, y = at(flow)
    height, width = flow.shape[-2:]
    grid = torch.stack(((2 * x + 1) / height - 1, (2 * y + 1) / width - 1), -1)
    return F.grid_sample(earlier, grid, padding_mode="border", align_corners=False)


def unscaled_flow(earlier, flow, factor=1.0, aligned=True):
    height, width = flow.shape[-2:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    grid = torch.stack((x + factor * flow[:, 0], y + factor * flow[:, 1]), -1)
    return F.grid_sample(earlier, grid, padding_mode="border", align_corners=aligned)


def divided_by_sides(earlier, flow):
    return sampled(earlier, flow / 2)


def whole_places(earlier, flow, kind=torch.round):
    x, y = (kind(place[0]) for place in at(flow))
    height, width = flow.shape[-2:]
    return earlier[..., y.clamp(0, height - 1).long(), x.clamp(0, width - 1).long()]


def wrapped_around(earlier, flow):
    x, y = motion_mistakes.positions(flow)
    return motion_mistakes.read(earlier, x, y, "wrapped")


def rolled(earlier, flow):
    x, y = flow[0, :, 0, 0].round().int().tolist()
    return earlier.roll((-y, -x), (2, 3))


def pushed(earlier, flow, sign=1):
    """Every pixel is put where the flow points to, instead of read there."""
    x, y = (place[0].round().long() for place in at(sign * flow))
    height, width = flow.shape[-2:]
    out = torch.zeros_like(earlier)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    out[..., y[inside], x[inside]] = earlier[..., v[inside], u[inside]]
    return out


def without_moving_the_border(earlier, flow):
    seen = optical.inside(flow)
    return seen * warp(earlier, flow) + (1 - seen) * earlier


CHECK = checks.check_warp
SIGNS = torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
WARPS = [
    (CHECK, "edges at −1 and 1", sampled, None),
    (CHECK, "centers at −1 and 1", partial(sampled, aligned=True), None),
    (CHECK, "four pixels", four_pixels, None),
    (CHECK, "loops in NumPy", pixel_by_pixel, None),
    (CHECK, "with a margin of copies", with_a_margin, None),
    (CHECK, "PyTorch's grid plus steps", by_steps, None),
    (CHECK, "a module in float64", Warp(), None),
    (CHECK, "the library's", warp, None),
    (CHECK, "backward", lambda a, w: sampled(a, -w), "in the wrong direction"),
    (CHECK, "backward, black outside", lambda a, w: sampled(a, -w, padding_mode="zeros"), "in the wrong direction"),
    (CHECK, "pushed", pushed, "in the wrong direction"),
    (CHECK, "channels exchanged", lambda a, w: sampled(a, w.flip(1)), "two channels of the flow are exchanged"),
    (CHECK, "exchanged and backward", lambda a, w: sampled(a, -w.flip(1)), "exchanged.* And the direction is wrong"),
    (CHECK, "y upward", lambda a, w: sampled(a, SIGNS * w), "y grows downward"),
    (CHECK, "left and right only", lambda a, w: sampled(a, w * (1 + SIGNS) / 2), "what about up and down"),
    (CHECK, "up and down only", lambda a, w: sampled(a, w * (1 - SIGNS) / 2), "what about left and right"),
    (CHECK, "the grid as rows and columns", transposed_grid, "mirrored at its diagonal"),
    (CHECK, "that, with centers", partial(transposed_grid, aligned=True), "with a flow of 0"),
    (CHECK, "the other side's length", other_side, "width and height are exchanged"),
    (CHECK, "centers, sampled by edges", partial(sampled, scaled=True), "up to half a pixel"),
    (CHECK, "edges, sampled by centers", partial(sampled, aligned=True, scaled=False), "up to half a pixel"),
    (CHECK, "that, black outside", partial(sampled, scaled=True, padding_mode="zeros"), "up to half a pixel"),
    (CHECK, "not divided", unscaled_flow, "taken for a fraction of the frame"),
    (CHECK, "places in pixels", lambda a, w: F.grid_sample(a, torch.stack(at(w), -1), padding_mode="border",
                                                         align_corners=False), "positions in pixels were taken"),
    (CHECK, "half the way", divided_by_sides, "half as far"),
    (CHECK, "twice the way", lambda a, w: sampled(a, 2 * w), "twice as far"),
    (CHECK, "nearest", partial(sampled, mode="nearest"), "is rounded to whole pixels"),
    (CHECK, "rounded", whole_places, "is rounded to whole pixels"),
    (CHECK, "cut", partial(whole_places, kind=torch.floor), "is rounded to whole pixels"),
    (CHECK, "whole numbers", lambda a, w: warp(a, w.int().float()), "is rounded to whole pixels"),
    (CHECK, "bicubic", partial(sampled, mode="bicubic"), "more than four pixels"),
    (CHECK, "black outside", partial(sampled, padding_mode="zeros"), "outside of the frame you read zeros"),
    (CHECK, "mirrored outside", partial(sampled, aligned=True, padding_mode="reflection"), "its mirror image"),
    (CHECK, "wrapped around", wrapped_around, "wrapped around"),
    (CHECK, "rolled", rolled, "wrapped around"),
    (CHECK, "as it was outside", without_moving_the_border, "where the flow leaves the frame"),
    (CHECK, "one flow for all", lambda a, w: warp(a, w.mean((2, 3), keepdim=True).expand_as(w)), "the same flow"),
    (CHECK, "the first pixel's flow", lambda a, w: warp(a, w[..., :1, :1].expand_as(w)), "the same flow"),
    (CHECK, "not at all", lambda a, w: a, "where is the flow used"),
    (CHECK, "channels last", lambda a, w: warp(a, w).movedim(1, -1), "not the last one"),
    (CHECK, "without the first axis", lambda a, w: warp(a, w)[0], "the first axis"),
    (CHECK, "three channels only", lambda a, w: warp(a, w) if a.shape[1] == 3 else warp(a.expand(-1, 3, -1, -1), w),
        "could not be|stopped with|must have the shape"),
    (CHECK, "half precision", lambda a, w: warp(a, w).half(), "float16"),
    (CHECK, "nothing", lambda a, w: None, "does it end in `return`"),
]  # fmt: skip


# --- 2. a mask
def squared(w):
    return w.square().sum(1, keepdim=True)


def agrees(flow, returned, *, share=0.01, least=0.5, size=squared):
    return (size(flow + returned) <= share * (size(flow) + size(returned)) + least).float()


def seen(flow, back, *, read=warp, inside=optical.inside, **how):
    return agrees(flow, read(back, flow), **how) * inside(flow)


def by_norms(flow, back):
    returned = warp(back, flow)
    missed, there, again = (w.norm(dim=1, keepdim=True) for w in (flow + returned, flow, returned))
    x, y = (place[:, None] for place in at(flow))
    height, width = flow.shape[-2:]
    outside = (x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)
    return ~((missed**2 > 0.01 * (there**2 + again**2) + 0.5) | outside)


def without_warp(flow, back):
    """The places are read from the nearest pixels: the same for whole pixels."""
    return agrees(flow, whole_places(back, flow)) * optical.inside(flow)


def complex_numbers(flow, back):
    w, v = (torch.complex(f[:, :1], f[:, 1:]) for f in (flow, warp(back, flow)))
    good = (w + v).abs() ** 2 <= 0.01 * (w.abs() ** 2 + v.abs() ** 2) + 0.5
    return torch.where(good, optical.inside(flow), torch.zeros(()))


def black_outside(flow, back):
    """What was read outside is NaN, and nothing compares with NaN."""
    ones = sampled(torch.ones_like(back), flow, padding_mode="zeros")
    returned = torch.where(ones > 0.999, warp(back, flow), torch.nan)
    return (squared(flow + returned) <= 0.01 * (squared(flow) + squared(returned)) + 0.5).double()


def components(flow, back):
    returned = warp(back, flow)
    each = (flow + returned).square() <= 0.01 * (flow.square() + returned.square()) + 0.5
    return each.all(1, keepdim=True) * optical.inside(flow)


CHECK = checks.check_visible_mask
MASKS = [
    (CHECK, "as in the paper", seen, None),
    (CHECK, "norms and truth values", by_norms, None),
    (CHECK, "whole pixels", without_warp, None),
    (CHECK, "complex numbers", complex_numbers, None),
    (CHECK, "NaN outside", black_outside, None),
    (CHECK, "float64", lambda w, v: seen(w.double(), v.double()), None),
    (CHECK, "edges at the last pixels", partial(seen, inside=lambda w: (
        sampled(torch.ones_like(w[:, :1]), w, padding_mode="zeros") > 0.999).float()), None),
    (CHECK, "inverted", lambda w, v: 1 - seen(w, v), "the mask is inverted"),
    (CHECK, "of the earlier frame", lambda w, v: seen(v, w), "the mask of the earlier frame"),
    (CHECK, "at the same pixel", partial(seen, read=lambda v, w: v), "read at the same pixel"),
    (CHECK, "the wrong side", partial(seen, read=lambda v, w: warp(v, -w)), "on the wrong side"),
    (CHECK, "subtracted", partial(seen, read=lambda v, w: -warp(v, w)), "the two flows are subtracted"),
    (CHECK, "what moves is hidden", lambda w, v: (squared(w) < 0.5).float(), "everything that moves counts"),
    (CHECK, "what moves is visible", lambda w, v: (squared(w) > 0.5).float(), "what moves counts as visible"),
    (CHECK, "from one direction", lambda w, v: optical.inside(w), "from one direction alone"),
    (CHECK, "everything", lambda w, v: torch.ones_like(w[:, :1]), "from one direction alone"),
    (CHECK, "one direction, turned around", lambda w, v: agrees(w, -w), "one direction alone"),
    (CHECK, "nothing visible", lambda w, v: torch.zeros_like(w[:, :1]), "everything is hidden"),
    (CHECK, "no border", lambda w, v: agrees(w, warp(v, w)), "leads out of the frame"),
    (CHECK, "only right and below", partial(seen, inside=lambda w: (
        (at(w)[0] < w.shape[3]) & (at(w)[1] < w.shape[2]))[:, None].float()), "leads out of the frame"),
    (CHECK, "the wrong border", partial(seen, inside=lambda w: optical.inside(-w)), "leads out of the frame"),
    (CHECK, "too wide a border", partial(seen, inside=lambda w: F.pad(
        torch.ones_like(w[:, :1, 4:-4, 4:-4]), (4, 4, 4, 4))), "count as hidden whose flow ends in the frame"),
    (CHECK, "no tolerance for long ways", partial(seen, share=0), "the tolerance grows"),
    (CHECK, "that of one way", lambda w, v: optical.inside(w) * (
        squared(w + warp(v, w)) <= 0.01 * squared(w) + 0.5), "the length of both ways"),
    (CHECK, "no tolerance for short ways", partial(seen, least=0), "also for the shortest ways"),
    (CHECK, "not squared", partial(seen, size=lambda w: w.norm(dim=1, keepdim=True)), "tolerance grows"),
    (CHECK, "the mean of both", partial(seen, size=lambda w: w.square().mean(1, keepdim=True)), "distance is 0.72"),
    (CHECK, "each by itself", components, "distance is 0.72"),
    (CHECK, "signs", partial(seen, size=lambda w: w.sum(1, keepdim=True).square()), "distance is 0.36|do not cancel"),
    (CHECK, "x only", partial(seen, size=lambda w: w[:, :1].square()), "distance is 0.72"),
    (CHECK, "y only", partial(seen, size=lambda w: w[:, 1:].square()), "distance is 0.72"),
    (CHECK, "of both channels", lambda w, v: seen(w, v).expand(-1, 2, -1, -1), "two channels of a flow"),
    (CHECK, "without a channel", lambda w, v: seen(w, v)[:, 0], "an axis of one channel is missing"),
    (CHECK, "a plane", lambda w, v: seen(w, v)[0, 0], "the axes of one frame and of one channel"),
    (CHECK, "soft", lambda w, v: (-squared(w + warp(v, w))).exp(), "0 and 1, and nothing else"),
    (CHECK, "255", lambda w, v: 255 * seen(w, v), "0 and 1, and nothing else"),
    (CHECK, "nothing", lambda w, v: None, "does it end in `return`"),
]  # fmt: skip


# --- 3. an error
def changed(x, old, w):
    return (x - warp(old, w)).square()


def mean(difference, m):
    return (m * difference).sum() / (3 * m.sum()).clamp_min(1)


def flicker(x, old, w, m):
    return mean(changed(x, old, w), m)


def chosen(x, old, w, m):
    values = changed(x, old, w)[m.bool().expand_as(x)]
    return values.mean() if len(values) else values.sum()


def of_means(x, old, w, m):
    share = m.mean()
    return (m * changed(x, old, w)).mean() / share if share > 0 else 0 * x.sum()


def by_weights(x, old, w, m):
    each = changed(x, old, w).mean(1)
    return torch.einsum("nhw,nchw->", each, m) / max(m.sum().item(), 1)


class Flicker(torch.nn.Module):
    def forward(self, x, old, w, m):
        error = F.mse_loss(m * x, m * warp(old, w), reduction="sum")
        return error / (m.expand_as(x).sum() + 1e-12)


CHECK = checks.check_temporal_error
ERRORS = [
    (CHECK, "as in the task", flicker, None),
    (CHECK, "chosen values", chosen, None),
    (CHECK, "a mean by a share", of_means, None),
    (CHECK, "weights", by_weights, None),
    (CHECK, "a module", Flicker(), None),
    (CHECK, "float64, shape (1,)", lambda *x: flicker(*(a.double() for a in x)).view(1), None),
    (CHECK, "where", lambda x, old, w, m: torch.where(m > 0, changed(x, old, w), 0).sum() / max(3 * m.sum(), 1), None),
    (CHECK, "no mask", lambda x, old, w, m: changed(x, old, w).mean(), "the mask is not applied"),
    (CHECK, "inverted", lambda x, old, w, m: flicker(x, old, w, 1 - m), "the mask is inverted"),
    (CHECK, "all pixels", lambda x, old, w, m: (m * changed(x, old, w)).mean(), "divided by the number of all pixels"),
    (CHECK, "masked pictures", lambda x, old, w, m: F.mse_loss(m * x, m * warp(old, w)), "the number of all pixels"),
    (CHECK, "three values", lambda x, old, w, m: (m * changed(x, old, w)).sum() / m.sum(), "each of them has three"),
    (CHECK, "three values of all", lambda x, old, w, m: (m * changed(x, old, w)).sum() / m.numel(),
        "divided by all pixels, and each has three"),
    (CHECK, "a sum", lambda x, old, w, m: (m * changed(x, old, w)).sum(), "the squares are added up"),
    (CHECK, "absolute", lambda x, old, w, m: mean((x - warp(old, w)).abs(), m), "these are absolute differences"),
    (CHECK, "the root", lambda *x: flicker(*x).sqrt(), "the root of the mean square"),
    (CHECK, "signs", lambda x, old, w, m: mean(x - warp(old, w), m), "differences cancel"),
    (CHECK, "a squared mean", lambda x, old, w, m: mean(x - warp(old, w), m).square(), "differences cancel"),
    (CHECK, "not warped", lambda x, old, w, m: flicker(x, old, 0 * w, m), "the earlier frame is not warped"),
    (CHECK, "neither", lambda x, old, w, m: (x - old).square().mean(), "not warped, and the mask is not applied"),
    (CHECK, "warped backward", lambda x, old, w, m: flicker(x, old, -w, m), "in the wrong direction"),
    (CHECK, "the later one warped", lambda x, old, w, m: flicker(old, x, w, m), "the later frame is warped"),
    (CHECK, "the mask warped", lambda x, old, w, m: flicker(x, old, w, warp(m, w)), "the mask is warped, too"),
    (CHECK, "half", lambda *x: flicker(*x) / 2, "the value is 0.5 times"),
    (CHECK, "for each color", lambda x, old, w, m: (m * changed(x, old, w)).sum((0, 2, 3)) / m.sum(),
        "a single number"),
    (CHECK, "nothing visible", lambda x, old, w, m: (m * changed(x, old, w)).sum() / (3 * m.sum()), "not a number"),
    (CHECK, "one for nothing visible", lambda *x: flicker(*x) if x[3].any() else x[0].sum() * 0 + 1,
        "if nothing is visible, the error is 0"),
    (CHECK, "a constant", lambda x, *more: flicker(x.detach(), *more), "no gradient reaches"),
    (CHECK, "a number of Python", lambda *x: flicker(*x).item(), "must return a tensor, got float"),
    (CHECK, "nothing", lambda *x: None, "does it end in `return`"),
]  # fmt: skip


# --- 4. a film
def each(painted, flows, masks):
    return zip(painted.split(1), flows.split(1), masks.split(1), strict=True)


def film(painted, flows, masks, share, *, mix=None, move=warp, recursive=True):
    out, before = [], None
    for new, w, m in each(painted, flows, masks):
        if before is None:
            out.append(new)
        else:
            old = move(before, w)
            out.append(mix(new, old, m, share) if mix else (1 - share * m) * new + share * m * old)
        before = out[-1] if recursive else new
    return torch.cat(out)


def in_place(painted, flows, masks, share):
    for t in range(1, len(painted)):
        b = share * masks[t]
        painted[t] = (1 - b) * painted[t] + b * warp(painted[t - 1][None], flows[t][None])[0]
    return painted


def from_the_end(painted, flows, masks, share):
    if len(painted) == 1:
        return painted
    before = from_the_end(painted[:-1], flows[:-1], masks[:-1], share)
    old = warp(before[-1:], flows[-1:])
    return torch.cat([before, torch.where(masks[-1:] > 0, share * old + (1 - share) * painted[-1:], painted[-1:])])


def accumulated(painted, flows, masks, share):
    from itertools import accumulate

    frames = accumulate(each(painted, flows, masks), lambda z, new: (
        new[0] + share * new[2] * (warp(z[0], new[1]) - new[0]), None, None))  # fmt: skip
    return torch.cat([z[0] for z in frames])


def empty_first(painted, flows, masks, share):
    out = torch.empty_like(painted)
    out[0] = painted[0]
    for t in range(1, len(out)):
        out[t] = torch.lerp(painted[t], warp(out[t - 1 : t], flows[t : t + 1])[0], share * masks[t])
    return out


def late_warp(painted, flows, masks, share):
    out = [painted[:1]]
    for new, w, m in list(each(painted, flows, masks))[1:]:
        out.append(warp((1 - share * m) * new + share * m * out[-1], w))
    return torch.cat(out)


def from_black(painted, flows, masks, share):
    out, before = [], torch.zeros_like(painted[:1])
    for new, w, m in each(painted, flows, masks):
        before = (1 - share * m) * new + share * m * warp(before, w)
        out.append(before)
    return torch.cat(out)


def with_the_first(painted, flows, masks, share):
    return torch.cat([painted[:1], *(
        (1 - share * m) * new + share * m * warp(painted[:1], w) for new, w, m in list(each(painted, flows, masks))[1:]
    )])  # fmt: skip


CHECK = checks.check_stabilized
FILMS = [
    (CHECK, "as in the task", film, None),
    (CHECK, "in place", in_place, None),
    (CHECK, "from the end", from_the_end, None),
    (CHECK, "accumulated", accumulated, None),
    (CHECK, "filled in", empty_first, None),
    (CHECK, "float64", lambda p, w, m, b: film(p.double(), w.double(), m.double(), b), None),
    (CHECK, "other weights", partial(film, mix=lambda new, old, m, b: new + b * m * (old - new)), None),
    (CHECK, "not warped", partial(film, move=lambda old, w: old), "the old strokes stay where they were"),
    (CHECK, "exchanged", lambda p, w, m, b: film(p, w, m, 1 - b), "the share is that of the new painting"),
    (CHECK, "exchanged, with the mask", partial(film, mix=lambda new, old, m, b: b * m * new + (1 - b * m) * old),
        "the share is that of the new painting"),
    (CHECK, "no mask", lambda p, w, m, b: film(p, w, 0 * m + 1, b), "the mask is not applied"),
    (CHECK, "inverted", lambda p, w, m, b: film(p, w, 1 - m, b), "the mask is inverted"),
    (CHECK, "darker where hidden", partial(film, mix=lambda new, old, m, b: (1 - b) * new + b * m * old),
        "it is alone there"),
    (CHECK, "added", partial(film, mix=lambda new, old, m, b: new + b * m * old), "do not add up to 1"),
    (CHECK, "old only", partial(film, mix=lambda new, old, m, b: torch.where(m > 0, old, new)), "all that is left"),
    (CHECK, "two paintings", partial(film, recursive=False), "not the previous result"),
    (CHECK, "two paintings, still", partial(film, recursive=False, move=lambda old, w: old), "and it is not warped"),
    (CHECK, "warped at the end", late_warp, "blended first and warped afterwards"),
    (CHECK, "warped backward", lambda p, w, m, b: film(p, -w, m, b), "warped in the wrong direction"),
    (CHECK, "masks late", lambda p, w, m, b: film(p, w, m.roll(1, 0), b), "the masks are one frame late"),
    (CHECK, "masks early", lambda p, w, m, b: film(p, w, m.roll(-1, 0), b), "the masks are one frame early"),
    (CHECK, "flows late", lambda p, w, m, b: film(p, w.roll(1, 0), m, b), "the flows are one frame late"),
    (CHECK, "flows early", lambda p, w, m, b: film(p, w.roll(-1, 0), m, b), "the flows are one frame early"),
    (CHECK, "unchanged", lambda p, w, m, b: p, "where is the old one"),
    (CHECK, "with the first", with_the_first, "blended with the first one"),
    (CHECK, "from black", from_black, "begins with black"),
    (CHECK, "backward", lambda *x: film(*x).flip(0), "the film runs backward"),
    (CHECK, "one share", lambda p, w, m, b: film(p, w, m, 0.8), "frame 1 is not"),
    (CHECK, "half the share", lambda p, w, m, b: film(p, w, m, b / 2), "frame 1 is not"),
    (CHECK, "gray where hidden", partial(film, mix=lambda new, old, m, b: m * ((1 - b) * new + b * old) + (1 - m) / 2),
        "only the new painting must be left"),
    (CHECK, "darker first", lambda p, w, m, b: film(torch.cat((p[:1] / 2, p[1:])), w, m, b), "it stays as it is"),
    (CHECK, "without the first", lambda *x: film(*x)[1:], "the first frame is missing"),
    (CHECK, "the last one", lambda *x: film(*x)[-1:], "this is one frame"),
    (CHECK, "stacked", lambda *x: film(*x)[:, None], "an axis too many"),
    (CHECK, "three arguments", lambda p, w, m: film(p, w, m, 0.8), "could not be called as the task describes"),
    (CHECK, "nothing", lambda *x: None, "does it end in `return`"),
]  # fmt: skip

TABLE = [*WARPS, *MASKS, *ERRORS, *FILMS]


@pytest.mark.parametrize(("check", "name", "answer", "said"), parameters(TABLE))
def test_every_answer_gets_the_verdict_it_deserves(check, name, answer, said, capsys):
    judge(check, answer, said, capsys)


def test_there_are_enough_answers_of_both_kinds():
    assert not enough(TABLE)


# --- what the checks compare with
def test_the_checks_own_warp_and_mask_are_those_of_the_library():
    earlier, flow = torch.rand(1, 2, 9, 13), 6 * torch.rand(1, 2, 9, 13) - 3
    torch.testing.assert_close(motion_mistakes.moved(earlier, flow), warp(earlier, flow))
    back = -flow + torch.randn_like(flow)
    torch.testing.assert_close(motion_mistakes.mask(flow, back), seen(flow, back))


def test_what_a_sprite_uncovers_is_what_it_has_left():
    """From the geometry alone: hidden is where it was, and is no longer."""
    sprite = motion_mistakes.Sprite(9, 11, top=1, left=2, size=(4, 5), by=(2, -1))
    expected = 1 - sprite.earlier() * (1 - sprite.later())
    assert torch.equal(motion_mistakes.mask(*sprite.flows()), expected)
    assert torch.equal(motion_mistakes.wrong_masks(sprite)[1][1], 1 - sprite.later() * (1 - sprite.earlier()))


# --- the assignment's own tests
def hidden_test(grade_id, **answers):
    """Run a test of the assignment, with its hidden part, on these answers."""
    (cell,) = (one for one in assignments.read(MASTER)["cells"] if assignments.marks(one).get("grade_id") == grade_id)
    assert "HIDDEN" in assignments.source(cell)
    exec(assignments.source(cell), {"checks": checks, "torch": torch, "F": F, **answers})


TESTS = [
    ("test_warped", "warped", WARPS),
    ("test_visible_mask", "visible_mask", MASKS),
    ("test_temporal_error", "temporal_error", ERRORS),
    ("test_stabilized", "stabilized", FILMS),
]
RIGHT = [(test, name, row[1], row[2]) for test, name, table in TESTS for row in table if row[3] is None]


@pytest.mark.parametrize(
    ("test", "name", "answer"), [pytest.param(t, n, answer, id=f"{t}: {said}") for t, n, said, answer in RIGHT]
)
def test_right_answers_pass_the_hidden_tests_too(test, name, answer):
    hidden_test(test, **{name: answer})


def test_hidden_tests_find_what_the_checks_leave_open():
    """Functions that are right for the sizes of the check only."""
    with pytest.raises(AssertionError, match="the row of six pixels"):
        hidden_test("test_warped", warped=lambda a, w: warp(a.clamp(max=1), w))
    with pytest.raises(AssertionError, match="the sprite on six pixels"):
        hidden_test("test_visible_mask", visible_mask=lambda w, v: seen(w, v) if w.shape[3] > 6 else seen(v, w))
    with pytest.raises(AssertionError, match="three visible pixels of six"):
        hidden_test(
            "test_temporal_error", temporal_error=lambda x, old, w, m: flicker(x, old, w, m if w.any() else 1 - m)
        )
    with pytest.raises(AssertionError, match="the paintings 0, 8, 0"):
        hidden_test("test_stabilized", stabilized=lambda p, w, m, b: film(p.clamp(max=1), w, m, b))


# --- usual mistakes, as a student writes them, through the grader
MISTAKES = {
    "the wrong direction": ("warped", "+ flow[:, 0]", "- flow[:, 0]", "y grows downward|wrong direction"),
    "x and y": ("warped", "torch.stack((x, y), -1)",
                "torch.stack((y, x), -1)", "mirrored at its diagonal"),
    "half a pixel": ("warped", "align_corners=False", "align_corners=True", "up to half a pixel"),
    "whole pixels": ("warped", "F.grid_sample(earlier, grid,", 'F.grid_sample(earlier, grid, mode="nearest",',
                     "rounded to whole pixels"),
    "black border": ("warped", 'padding_mode="border", ', "", "you read zeros"),
    "wrapped": ("warped", "across = torch.arange(width) + flow[:, 0]", "across = (torch.arange(width) + flow[:, 0]) "
                "% width", "wrapped around|the border is wrong"),
    "not returned": ("visible_mask", "warp(back, flow)", "back", "read at the same pixel"),
    "inverted": ("visible_mask", "((missed <= 0.01 * lengths + 0.5) & inside)", "(~((missed <= 0.01 * lengths + 0.5) & "
                 "inside))", "the mask is inverted"),
    "one direction": ("visible_mask", "(missed <= 0.01 * lengths + 0.5) & inside", "inside", "one direction alone"),
    "no border": ("visible_mask", " & inside)", ")", "leads out of the frame"),
    "no mask": ("temporal_error", "mask * (frame", "(frame", "times what it should be|the mask is not applied"),
    "all pixels": ("temporal_error", "changed.sum() / (3 * mask.sum()).clamp_min(1)", "changed.mean()",
                   "divided by the number of all pixels"),
    "nothing visible": ("temporal_error", ".clamp_min(1)", "", "not a number"),
    "the wrong order": ("stabilized", "(1 - weight) * painted[t : t + 1] + weight * old", "weight * painted[t : t + 1] "
                        "+ (1 - weight) * old", "the share is that of the new painting"),
    "not warped": ("stabilized", "warp(film[-1], flows[t : t + 1])", "film[-1]", "stay where they were"),
    "not recursive": ("stabilized", "film[-1], flows", "painted[t - 1 : t], flows", "not the previous result"),
    "mask left out": ("stabilized", "share * masks[t : t + 1]", "share", "the mask is not applied"),
}  # fmt: skip


def with_mistake(submission, task, right, wrong):
    (cell,) = (one for one in submission["cells"] if one["id"] == task)
    assert right in assignments.source(cell)
    cell["source"] = assignments.source(cell).replace(right, wrong)


@pytest.mark.parametrize(("task", "right", "wrong", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_usual_mistake_costs_the_points_of_its_task(task, right, wrong, said):
    """The cells that the grader runs, in its order, in this process."""
    master, submission = assignments.read(MASTER), assignments.read(MASTER)
    with_mistake(submission, task, right, wrong)
    names, failed = {"__name__": "__main__"}, {}
    for kind, name, code in assignments.for_grading(master, submission):
        if name in ("bootstrap", "pictures", "painted") or "figures.sheet" in code:
            continue  # no test needs the pictures
        try:
            exec(compile(code, f"<{name}>", "exec"), names)
        except AssertionError as error:
            assert kind == "test"
            failed[name] = str(error)
    assert list(failed) == [f"test_{task}"]
    assert any(words in failed[f"test_{task}"] for words in said.split("|")), failed


def test_the_grader_takes_the_points_and_says_why(tmp_path):
    """The command itself, on a submission with a mistake in each of three tasks."""
    from course_lib.__main__ import main

    submission = assignments.read(MASTER)
    chosen_ones = ("half a pixel", "all pixels", "not warped")
    for name in chosen_ones:
        with_mistake(submission, *MISTAKES[name][:3])
    folder = tmp_path / "handed_in" / "ada"
    folder.mkdir(parents=True)
    (folder / MASTER.name).write_bytes(assignments.write(submission))
    masters = tmp_path / "masters"
    masters.mkdir()
    (masters / MASTER.name).write_bytes(MASTER.read_bytes())
    assert main(["grade", str(folder.parent), "--masters", str(masters), "-o", str(tmp_path / "out.csv")]) == 0
    (feedback,) = (tmp_path / "out_feedback").rglob("*.txt")
    text = feedback.read_text(encoding="utf-8")
    assert "3 of 10 points" in text
    for name in chosen_ones:
        assert MISTAKES[name][3] in text
