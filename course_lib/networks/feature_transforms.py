"""Four transforms that give the features of a photo the style of a painting; one decoder works with all four.

Each takes features of the photo, c (N, C, h, w), and of the painting, s (1, C, h', w') of any size, and returns
features of the photo's size. They differ in what they take from the painting: the mean and the variance of every
channel (`adain`), the covariances of the channels as well (`wct`), all of its patches (`style_swap`), or the patches
first and then the mean and the variance (`swap_adain`).

A *region* (1, 1, h, w) with values of at least 0 weights the positions in the photo's statistics; None: all weights are
equal. The result is computed at every position. A variance is divided by the number of positions, so a single position
has the variance 0. EPS is added to every variance that divides, so no channel or direction is scaled by more than
1/√EPS = 316, and a constant channel stays finite.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments

TRANSFORMS = ("adain", "wct", "swap", "swap+adain")
EPS = 1e-5  # added to a variance, as in the authors' code of AdaIN
PATCH = 3  # side of a patch, in positions
_SIMILARITIES = 2**22  # numbers in a chunk of the table of all pairs of positions: 16 MB


def transform(kind: str, content: Tensor, style: Tensor, region: Tensor | None = None) -> Tensor:
    """Apply the transform with this name in `TRANSFORMS`.

    Raises:
        ValueError: an unknown name, or a transform that refuses these features.
    """
    kind = arguments.choice("transform", kind, TRANSFORMS)
    if kind == "adain":
        return adain(content, style, region)
    if kind == "wct":
        return wct(content, style, region)
    return style_swap(content, style) if kind == "swap" else swap_adain(content, style, region)


def adain(content: Tensor, style: Tensor, region: Tensor | None = None, *, eps: float = EPS) -> Tensor:
    """Adaptive instance normalization: σ(s) · (c − μ(c)) / σ(c) + μ(s) (Huang & Belongie 2017, Eq. 8).

    Args:
        content: (N, C, h, w).
        style: (1, C, h', w'), or (N, C, h', w') with one painting for each photo.
        region: see the module.
        eps: added to the variance of the content.

    Returns:
        (N, C, h, w); its channels have the style's means and, up to `eps`, its variances.

    >>> content, style = torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[10.0, 10.0, 16.0, 16.0]]]])
    >>> adain(content, style, eps=0.0).tolist()
    [[[[10.0, 16.0]]]]
    """
    mean, std = mean_and_std(style)
    return normalize(content, region, eps=eps) * std + mean


def normalize(content: Tensor, region: Tensor | None = None, *, eps: float = EPS) -> Tensor:
    """(c − μ(c)) / √(σ²(c) + eps) for every channel, (N, C, h, w) → the same shape."""
    mean, std = mean_and_std(content, region, eps=eps)
    return (content - mean) / std


def mean_and_std(features: Tensor, region: Tensor | None = None, *, eps: float = 0.0) -> tuple[Tensor, Tensor]:
    """μ and √(σ² + eps) of every channel over its positions, both (N, C, 1, 1)."""
    if region is None:
        variance, mean = torch.var_mean(features, (2, 3), correction=0, keepdim=True)
    else:
        share = region / region.sum()
        mean = (features * share).sum((2, 3), keepdim=True)
        variance = ((features - mean).square() * share).sum((2, 3), keepdim=True)
    return mean, (variance + eps).sqrt()


def wct(content: Tensor, style: Tensor, region: Tensor | None = None, *, eps: float = EPS) -> Tensor:
    """Whitening and coloring: Σ(s)^½ · Σ(c)^−½ · (c − μ(c)) + μ(s) (Li et al. 2017, Eqs. 2 and 3).

    Args and Returns: as `adain`; the channels also have the style's covariances, in all directions in which the
    content's features vary.

    *Differs from the paper:* directions with a variance below 1e-5 are kept, and `eps` is added to all variances.

    >>> content, style = torch.rand(1, 2, 4, 4), torch.rand(1, 2, 3, 3)
    >>> painted = mean_and_covariance(wct(content, style, eps=0.0))[1]
    >>> torch.allclose(painted, mean_and_covariance(style)[1], atol=1e-5)
    True
    """
    mean, covariance = mean_and_covariance(style)
    return _mixed(_power(covariance, 0.5), whiten(content, region, eps=eps)) + mean


def whiten(content: Tensor, region: Tensor | None = None, *, eps: float = EPS) -> Tensor:
    """Σ(c)^−½ · (c − μ(c)): channels of mean 0 and variance 1 without correlations (Li et al. 2017, Eq. 2)."""
    mean, covariance = mean_and_covariance(content, region)
    return _mixed(_power(covariance, -0.5, eps), content - mean)


def mean_and_covariance(features: Tensor, region: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """μ (N, C, 1, 1), and Σ (N, C, C) in float64: the smallest variances are far below the rounding of the largest."""
    share = features.new_ones(1, 1, *features.shape[2:]) if region is None else region
    share = share / share.sum()
    mean = (features * share).sum((2, 3), keepdim=True)
    device = features.device if features.device.type in ("cpu", "cuda") else "cpu"  # others may have no float64
    rows = ((features - mean) * share.sqrt()).flatten(2)  # (N, C, h*w)
    parts = (part.to(device, torch.float64) for part in rows.split(2**14, 2))
    return mean, sum((part @ part.mT for part in parts), torch.zeros((), dtype=torch.float64, device=device))


def style_swap(content: Tensor, style: Tensor, *, patch: int = PATCH) -> Tensor:
    """Replace every patch of c by the most correlated patch of s, and average overlaps (Chen & Schmidt 2016).

    The correlation is ⟨c_p, s_q⟩ / ‖s_q‖. The norm of c_p is left out, because it is the same for all q.

    Args:
        content: (N, C, h, w).
        style: (1, C, h', w').
        patch: side of the patches in positions.

    Returns:
        (N, C, h, w).

    Raises:
        ValueError: features smaller than a patch, or of several paintings.

    >>> style = torch.tensor([[[[1.0, 0.0, 3.0]], [[0.0, 2.0, 3.0]]]])  # three positions, two channels
    >>> style_swap(torch.tensor([[[[5.0, 0.1]], [[4.0, 7.0]]]]), style, patch=1).tolist()
    [[[[3.0, 0.0]], [[3.0, 2.0]]]]
    """
    for name, features in (("content", content), ("style", style)):
        if min(features.shape[2:]) < patch:
            raise ValueError(
                f"the {name} has {features.shape[2]}×{features.shape[3]} positions, fewer than a patch of "
                f"{patch}×{patch}; use a larger picture"
            )
    if len(style) != 1:
        raise ValueError(f"the style must be the features of one painting, got {len(style)}; swap one at a time")
    height, width = content.shape[2] - patch + 1, content.shape[3] - patch + 1
    places = style[0].permute(1, 2, 0).flatten(0, 1)  # (h'*w', C)
    swapped = []
    for picture in content:
        out = content.new_zeros(*content.shape[2:], content.shape[1])  # (h, w, C)
        count = out.new_zeros(*out.shape[:2], 1)  # (h, w, 1)
        first = _nearest(picture, style[0], patch)
        for dy, dx in product(range(patch), repeat=2):
            part = places.index_select(0, (first + dy * style.shape[3] + dx).flatten())
            out[dy : dy + height, dx : dx + width].add_(part.view(height, width, -1))
            count[dy : dy + height, dx : dx + width] += 1
        swapped.append(out.div_(count))
    return torch.stack(swapped).permute(0, 3, 1, 2)


def swap_adain(content: Tensor, style: Tensor, region: Tensor | None = None, *, patch: int = PATCH) -> Tensor:
    """Swap the patches of normalized features, then `adain`: a simple style decorator (Sheng et al. 2018).

    After normalization, photo and painting have the same means and variances, so a patch is chosen by its pattern and
    not by the channels that are strong everywhere.

    Args, Returns and Raises: as `style_swap`; region as in `adain`.
    """
    return adain(style_swap(normalize(content, region), normalize(style), patch=patch), style, region)


@torch.no_grad()
def _nearest(content: Tensor, style: Tensor, patch: int) -> Tensor:
    """For every patch of the content, (C, h, w), the first position of the nearest patch of the style, row by row.

    The inner products of all pairs of positions are computed once. That of two patches is the sum of `patch`² of them.
    With patches of 3×3, this takes a ninth of the multiplications of a convolution with the patches as filters.
    """
    (_, height, width), (_, rows, columns) = content.shape, style.shape
    norms = F.avg_pool2d(style.square().sum(0, keepdim=True), patch, 1, divisor_override=1)[0].sqrt().clamp_min(EPS)
    at_once = max(1, _SIMILARITIES // (width * columns))  # pairs of a row of the content and a row of the style
    step_q = max(1, min(rows, isqrt(at_once)) - patch + 1)
    step_p = max(1, at_once // (step_q + patch - 1) - patch + 1)
    shape = (height - patch + 1, width - patch + 1)
    best, first = content.new_full(shape, -torch.inf), torch.zeros(shape, dtype=torch.long, device=content.device)
    for p, q in product(range(0, shape[0], step_p), range(0, len(norms), step_q)):
        ours, theirs = content[:, p : p + step_p + patch - 1], style[:, q : q + step_q + patch - 1]
        pairs = (ours.flatten(1).T @ theirs.flatten(1)).view(*ours.shape[1:], *theirs.shape[1:])
        pairs = _added(pairs[:, x : x + shape[1], :, x : x + norms.shape[1]] for x in range(patch))
        count_p, count_q = pairs.shape[0] - patch + 1, pairs.shape[2] - patch + 1
        pairs = _added(pairs[y : y + count_p, :, y : y + count_q] for y in range(patch))
        value, place = (pairs / norms[q : q + count_q]).flatten(2).max(2)
        place = (place // norms.shape[1] + q) * columns + place % norms.shape[1]
        better = value > best[p : p + count_p]
        best[p : p + count_p] = torch.where(better, value, best[p : p + count_p])
        first[p : p + count_p] = torch.where(better, place, first[p : p + count_p])
    return first


def _added(parts: Iterator[Tensor]) -> Tensor:
    """The sum of views of one tensor, which is not changed."""
    total = next(parts).clone()
    for part in parts:
        total += part
    return total


def _power(matrix: Tensor, exponent: float, eps: float = 0.0) -> Tensor:
    """(Σ + eps)^exponent of covariance matrices (N, C, C)."""
    values, vectors = torch.linalg.eigh(matrix)  # rounding makes some of the zeros negative
    return (vectors * (values.clamp_min(0) + eps).pow(exponent)[:, None]) @ vectors.mT


def _mixed(matrix: Tensor, features: Tensor) -> Tensor:
    """The channels (N, C, h, w) mixed by matrices (N, C, C)."""
    return (matrix.to(features) @ features.flatten(2)).view_as(features)
