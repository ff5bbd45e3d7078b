"""Four ways to give the features of a photo the style of a painting, for one and the same decoder.

Each takes features of the photo, c, and of the painting, s, and returns features of the photo's size. They differ in
what of the painting they keep: the mean and the variance of every channel (`adain`), the covariances of the channels as
well (`wct`), all patches (`style_swap`), or the patches and then the mean and the variance (`swap_adain`).

A *region* says how much each position counts in the photo's statistics; the result is still computed everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-5  # added to a variance, as in the code of AdaIN: no channel and no direction is scaled by more than 316
TRANSFORMS = ("adain", "wct", "swap", "swap+adain")
PATCH = 3
_SIMILARITIES = 2**24  # numbers in a chunk of the similarities of all positions: 64 MB


def transform(kind: str, content: Tensor, style: Tensor, region: Tensor | None = None) -> Tensor:
    """The transform of this name in `TRANSFORMS`; see the functions."""
    if kind == "adain":
        return adain(content, style, region)
    if kind == "wct":
        return wct(content, style, region)
    return style_swap(content, style) if kind == "swap" else swap_adain(content, style, region)


def adain(content: Tensor, style: Tensor, region: Tensor | None = None, *, eps: float = EPS) -> Tensor:
    """Adaptive instance normalization: σ(s) · (c − μ(c)) / σ(c) + μ(s) (Huang & Belongie 2017, Eq. 8).

    >>> content, style = torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[10.0, 10.0, 16.0, 16.0]]]])
    >>> adain(content, style, eps=0).tolist()
    [[[[10.0, 16.0]]]]
    """
    mean, std = mean_and_std(style)
    return normalize(content, region, eps=eps) * std + mean


def normalize(content: Tensor, region: Tensor | None = None, *, eps: float = EPS) -> Tensor:
    """(c − μ(c)) / σ(c) for every channel."""
    mean, std = mean_and_std(content, region, eps=eps)
    return (content - mean) / std


def mean_and_std(features: Tensor, region: Tensor | None = None, *, eps: float = 0.0) -> tuple[Tensor, Tensor]:
    """μ and √(σ² + eps) of every channel over its positions; σ² is divided by their number."""
    share = _shares(features, region)
    mean = (features * share).sum((2, 3), keepdim=True)
    variance = ((features - mean).square() * share).sum((2, 3), keepdim=True)
    return mean, (variance + eps).sqrt()


def wct(content: Tensor, style: Tensor, region: Tensor | None = None, *, eps: float = EPS) -> Tensor:
    """Whitening and coloring: Σ(s)^½ · Σ(c)^−½ · (c − μ(c)) + μ(s) (Li et al. 2017, Eqs. 1 and 2)."""
    mean, covariance = mean_and_covariance(style)
    return _mixed(whiten(content, region, eps=eps), _power(covariance, 0.5, 0.0), mean)


def whiten(content: Tensor, region: Tensor | None = None, *, eps: float = EPS) -> Tensor:
    """Σ(c)^−½ · (c − μ(c)): channels with mean 0, variance 1 and no correlation (Li et al. 2017, Eq. 1)."""
    mean, covariance = mean_and_covariance(content, region)
    return _mixed(content - mean, _power(covariance, -0.5, eps), torch.zeros_like(mean))


def mean_and_covariance(features: Tensor, region: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """μ (N, C, 1, 1) and Σ (N, C, C) of the channels over the positions; Σ in float64."""
    share = _shares(features, region)
    mean = (features * share).sum((2, 3), keepdim=True)
    rows = ((features - mean) * share.sqrt()).flatten(2).double()
    return mean, rows @ rows.mT


def style_swap(content: Tensor, style: Tensor, *, patch: int = PATCH) -> Tensor:
    """Replace every patch of c by the patch of s that correlates most with it (Chen & Schmidt 2016, Eq. 3)."""
    height, width = content.shape[2] - patch + 1, content.shape[3] - patch + 1
    rows, columns = _nearest(content, style, patch)
    total, count = torch.zeros_like(content), torch.zeros_like(content[:1, :1])
    for dy in range(patch):
        for dx in range(patch):
            total[..., dy : dy + height, dx : dx + width] += style[0][:, rows + dy, columns + dx]
            count[..., dy : dy + height, dx : dx + width] += 1
    return total / count


def swap_adain(content: Tensor, style: Tensor, region: Tensor | None = None) -> Tensor:
    """Swap the patches of normalized features, then give them the style's mean and variance (Sheng et al. 2018)."""
    return adain(style_swap(normalize(content, region), normalize(style)), style, region)


def _nearest(content: Tensor, style: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """Row and column of the nearest patch of the style for every patch of the content."""
    norms = torch.nn.functional.avg_pool2d(style.square().sum(1, keepdim=True), patch, 1).sqrt()
    filters = torch.nn.functional.unfold(style, patch)[0].T.reshape(-1, style.shape[1], patch, patch)
    similarity = torch.nn.functional.conv2d(content, filters) / (norms.flatten().view(1, -1, 1, 1) + 1e-12)
    best = similarity.argmax(1)[0]
    width = style.shape[3] - patch + 1
    return best // width, best % width


def _shares(features: Tensor, region: Tensor | None) -> Tensor:
    if region is None:
        return features.new_full((1, 1, 1, 1), 1 / features[0, 0].numel())
    return region / region.sum()


def _power(matrix: Tensor, exponent: float, eps: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * (values.clamp_min(0) + eps).pow(exponent).unsqueeze(-2)) @ vectors.mT


def _mixed(features: Tensor, matrix: Tensor, mean: Tensor) -> Tensor:
    mixed = matrix.to(features.dtype) @ features.flatten(2)
    return mixed.view_as(features) + mean
