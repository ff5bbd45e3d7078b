"""A line drawing from a photograph: input for networks that turn sketches into photographs."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import arguments
from course_lib.image_checks import check_pictures

_LUMA = (0.299, 0.587, 0.114)


def pencil(photos: Tensor, *, sigma: float = 1.0, threshold: float = 0.015, contrast: float = 40.0) -> Tensor:
    """Dark lines on white where a photograph has edges, by a difference of Gaussians (Winnemöller et al. 2006).

    The luma is blurred twice; E = G_σ − G_1.6σ is negative on the dark side of an edge. The drawing is
    1 + tanh(contrast · (E + threshold)) where E < −threshold, and 1 (white) elsewhere.

    Args:
        photos: (N, 3, H, W) in [0, 1].
        sigma: in pixels, above 0; a smaller value draws finer lines and smaller details.
        threshold: at least 0; weaker edges are not drawn.
        contrast: above 0; how quickly lines turn from gray to black as edges get stronger.

    Returns:
        (N, 3, H, W) in [0, 1], gray: three equal channels.

    Raises:
        ValueError: a sigma, threshold or contrast out of range.
        ImageError: photos of another shape or range.

    >>> step = torch.zeros(1, 3, 16, 16)
    >>> step[..., 8:] = 1.0
    >>> drawing = pencil(step)
    >>> bool(drawing[..., 7].max() < 0.2), bool(drawing[..., 0].min() == 1)  # a line at the edge, paper elsewhere
    (True, True)
    """
    check_pictures(photos, "the photos")
    sigma, contrast = arguments.positive("sigma", sigma), arguments.positive("contrast", contrast)
    threshold = arguments.nonnegative("threshold", threshold)
    photos, side = photos.to(torch.promote_types(photos.dtype, torch.float32)), max(photos.shape[2:])
    if sigma > side:
        raise ValueError(f"sigma must be at most the long side of the photos, {side} px, got {sigma}")
    luma = (photos * photos.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)  # (N, 1, H, W)
    edge = _gaussian(luma, sigma) - _gaussian(luma, 1.6 * sigma)
    paper = 1 + torch.tanh(contrast * (edge + threshold).clamp(max=0))
    return paper.expand(-1, 3, -1, -1).contiguous()


def _gaussian(x: Tensor, sigma: float) -> Tensor:
    radius = math.ceil(3 * sigma)
    line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1.0, device=x.device) / sigma) ** 2)
    line = (line / line.sum()).to(x.dtype).view(1, 1, 1, -1)
    padded = F.pad(x, [radius] * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, line), line.transpose(2, 3))
