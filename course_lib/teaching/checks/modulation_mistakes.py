"""The equations of modulated convolution that `modulation` checks, and what common mistakes make of them.

Indices as in Karras et al. 2020, with the picture first: weights of each picture are (N, out, C, k, k). Several of the
mistakes can be told apart only if there are as many input as output channels; others only if there are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.networks.modulated import EPS
from course_lib.teaching.checks.transforms import Mistake

_IN, _KERNEL = (2,), (3, 4)
_ALL = (2, 3, 4)  # the axes of Eq. 3: input channels and positions of the kernel

_OUTPUTS = "the style scales the output channels; which channels does s_i belong to?"
_ONE_STYLE = "all pictures get the style of one of them; each picture has its own"
_MEAN_STYLE = "all pictures get the mean of the batch's styles; each picture has its own"
_DATA = "the outputs are divided by what they contain, not by what the weights contain; this is a normalization"


# --- the equations
def modulated(weight: Tensor, style: Tensor) -> Tensor:
    """Eq. 1, s_i w_ijk: (out, C, k, k) and (N, C) → (N, out, C, k, k)."""
    return weight * style[:, None, :, None, None]


def demodulated(weights: Tensor, axes: Sequence[int] = _ALL, eps: float = EPS) -> Tensor:
    """Eq. 3 for weights (N, out, C, k, k), by default over the right axes."""
    return weights * (weights.square().sum(tuple(axes), keepdim=True) + eps).rsqrt()


def each_by_its_own(x: Tensor, weights: Tensor, mode: str = "constant") -> Tensor:
    """Convolve (N, C, H, W) with (N, out, C, k, k), a picture at a time → (N, out, H, W)."""
    half = weights.shape[-1] // 2
    padded = F.pad(x, (half,) * 4, mode=mode)
    return torch.cat([F.conv2d(one[None], own) for one, own in zip(padded, weights, strict=True)])


def styled(x: Tensor, weight: Tensor, style: Tensor, demodulate: bool = True) -> Tensor:
    """The layer: Eqs. 1 and 3, then the convolution."""
    weights = modulated(weight, style)
    return each_by_its_own(x, demodulated(weights) if demodulate else weights)


# --- common mistakes
def wrong_modulations(weight: Tensor, style: Tensor) -> list[Mistake]:
    """For N ≥ 2, and for as many input as output channels."""
    right = modulated(weight, style)
    return [
        (_OUTPUTS, weight * style[:, :, None, None, None]),
        (_ONE_STYLE, modulated(weight, style[:1]).expand_as(right)),
        (_ONE_STYLE, modulated(weight, style[-1:]).expand_as(right)),
        (_MEAN_STYLE, modulated(weight, style.mean(0, keepdim=True)).expand_as(right)),
        ("the styles of the pictures are exchanged", modulated(weight, style.flip(0))),
        ("the style has no effect", weight.expand_as(right)),
        ("1 is added to the style; here s_i is the scale itself", modulated(weight, 1 + style)),
        ("the scales enter squared", modulated(weight, style.square())),
        ("the weights are divided by the style", weight / style[:, None, :, None, None]),
        ("the style is added to the weights; Eq. 1 is a product", weight + style[:, None, :, None, None]),
        ("the root of the scales is taken", modulated(weight, style.abs().sqrt())),
        ("without demodulation, the weights are demodulated nevertheless", demodulated(right)),
        ("each kernel is turned upside down", right.flip(3, 4)),
    ]  # fmt: skip


def wrong_demodulations(weight: Tensor, style: Tensor) -> list[Mistake]:
    """For as many input as output channels, and k > 1."""
    w = modulated(weight, style)
    energy = w.square().sum(_ALL, keepdim=True)
    plain, absolute = w.sum(_ALL, keepdim=True), w.abs().sum(_ALL, keepdim=True)
    spread = w.var(_ALL, correction=0, keepdim=True)
    no_kernel = "the positions of the kernel are left out of the sum; Eq. 3 adds up over i and k"
    no_inputs = "the input channels are left out of the sum; Eq. 3 adds up over i and k"
    outputs = "the sum runs over the output channels; j stands outside the sum of Eq. 3, so each j has a sum of its own"
    shared = "all output channels share one sum; j stands outside the sum of Eq. 3, so each j has a sum of its own"
    style_first = "the sum of Eq. 3 is that of the weights before the style; it contains w', not w"
    return [
        ("with demodulation, the weights are those without it", w),
        (no_kernel, demodulated(w, _IN)),
        (no_inputs, demodulated(w, _KERNEL)),
        (outputs, demodulated(w, (1,))), (outputs, demodulated(w, (1, 3, 4))),
        (shared, demodulated(w, (1, 2, 3, 4))), (shared, demodulated(w, (1, 2))),
        ("the sum runs over the pictures of the batch; each picture has its own weights", demodulated(w, (0, 2, 3, 4))),
        ("the weights are divided by the sum itself; Eq. 3 divides by its root", w / (energy + EPS)),
        ("the weights are divided by the square of the sum; Eq. 3 divides by its root", w / (energy + EPS).square()),
        ("the weights are multiplied by the root; Eq. 3 divides", w * (energy + EPS).sqrt()),
        ("the weights are multiplied by the sum; Eq. 3 divides by its root", w * (energy + EPS)),
        ("the weights are added up without squaring them", w / plain),
        ("the weights are added up without squaring them", w / (plain.abs() + EPS).sqrt()),
        ("the absolute values are added up; Eq. 3 has squares", w / (absolute + EPS)),
        ("the root of the sum of absolute values is taken; Eq. 3 has squares", w / (absolute + EPS).sqrt()),
        ("the mean of the squares is taken; Eq. 3 has their sum",
         w * (w.square().mean(_ALL, keepdim=True) + EPS).rsqrt()),
        ("the mean is subtracted before squaring (a variance); Eq. 3 has the squares of the weights themselves",
         w * (spread + EPS).rsqrt()),
        ("the mean is subtracted from the weights; Eq. 3 only divides",
         (w - w.mean(_ALL, keepdim=True)) * (spread + EPS).rsqrt()),
        ("the weights are divided by the largest of them", w / w.abs().amax(_ALL, keepdim=True)),
        (style_first, w * (weight.square().sum((1, 2, 3), keepdim=True) + EPS).rsqrt()),
        ("the style has no effect: the plain weights are demodulated", demodulated(weight[None]).expand_as(w)),
        *((message, demodulated(one)) for message, one in wrong_modulations(weight, style)[:4]),
    ]  # fmt: skip


def wrong_convolutions(x: Tensor, weights: Tensor) -> list[Mistake]:
    """For N ≥ 2."""
    first = weights[:1].expand_as(weights)
    right = each_by_its_own(x, weights)
    n, out = weights.shape[:2]
    mixed = right.flatten(0, 1).view(out, n, *right.shape[2:]).transpose(0, 1)
    mean = weights.mean(0, keepdim=True).expand_as(weights)
    return [
        ("all pictures are convolved with the weights of one of them", each_by_its_own(x, first)),
        ("all pictures are convolved with the weights of one of them",
         each_by_its_own(x, weights[-1:].expand_as(weights))),
        ("all pictures are convolved with the mean of the weights", each_by_its_own(x, mean)),
        ("each picture is convolved with the weights of another one", each_by_its_own(x, weights.flip(0))),
        ("the pictures and their output channels are exchanged: the channels of the grouped result lie picture by "
         "picture", mixed.contiguous()),
        ("the kernels are turned upside down", each_by_its_own(x, weights.flip(3, 4))),
        ("the border is reflected; pad with zeros", each_by_its_own(x, weights, "reflect")),
        ("the border is repeated; pad with zeros", each_by_its_own(x, weights, "replicate")),
        ("the result is the sum over all pictures", right.sum(0, keepdim=True).expand_as(right)),
    ]  # fmt: skip


def wrong_layers(x: Tensor, weight: Tensor, style: Tensor) -> list[Mistake]:
    """For as many input as output channels; with demodulation."""
    w = modulated(weight, style)
    plain, scaled = each_by_its_own(x, weight.expand_as(w)), each_by_its_own(x, w)
    over = {axes: scaled.var(axes, correction=0, keepdim=True).add(EPS).rsqrt() for axes in ((2, 3), (0, 2, 3))}
    mean = scaled.mean((2, 3), keepdim=True)
    alone = (weight.square().sum((1, 2, 3)) + EPS).rsqrt()[:, None, None]
    return [
        *((_DATA, y) for y in (scaled * over[2, 3], (scaled - mean) * over[2, 3], scaled * over[0, 2, 3],
                               F.instance_norm(scaled), plain * over[2, 3] * style[:, :, None, None])),
        ("the outputs are scaled by the style, not the inputs; which channels does s_i belong to?",
         plain * style[:, :, None, None]),
        ("the outputs are scaled by the style, not the inputs; which channels does s_i belong to?",
         demodulated_outputs(plain, weight, style) * style[:, :, None, None]),
        ("the inputs are not scaled by the style; it enters the demodulation only",
         demodulated_outputs(plain, weight, style)),
        ("the demodulation does not contain the style; the sum of Eq. 3 contains w', not w", scaled * alone),
        ("the outputs are not demodulated", scaled),
        ("the outputs are multiplied by the root; Eq. 3 divides", scaled / demodulated_outputs(
            torch.ones_like(scaled), weight, style)),
        ("the scales enter the sum without being squared", scaled * (F.linear(style, weight.square().sum((2, 3)))
            + EPS).abs().rsqrt()[:, :, None, None]),
        ("the outputs are divided by the sum itself; Eq. 3 divides by its root", scaled / (F.linear(
            style.square(), weight.square().sum((2, 3))) + EPS)[:, :, None, None]),
        *((message, each_by_its_own(x, one)) for message, one in wrong_demodulations(weight, style)),
    ]  # fmt: skip


def demodulated_outputs(y: Tensor, weight: Tensor, style: Tensor) -> Tensor:
    """Outputs (N, out, H, W) divided by the root of Eq. 3."""
    energy = F.linear(style.square(), weight.square().sum((2, 3)))  # (N, out)
    return y * (energy + EPS).rsqrt()[:, :, None, None]
