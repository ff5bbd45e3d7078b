"""Match the colors of one picture to those of another: their mean and their covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.image_checks import check_pictures

_EPS = 1e-5  # smallest variance that divides: below the square of one 8-bit level (1.5e-5)


def match_colors(picture: Tensor, target: Tensor) -> Tensor:
    """Give a picture the mean and the covariance of the target's colors.

        x → Σ(t)^½ · Σ(p)^−½ · (x − μ(p)) + μ(t)

    Args:
        picture: (1, 3, H, W) in [0, 1].
        target: (1, 3, h, w) in [0, 1].

    Returns:
        (1, 3, H, W), on the picture's device; a few colors may lie outside [0, 1].

    Raises:
        ImageError: not single pictures in [0, 1].

    >>> painting, photo = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 9, 9) / 2
    >>> bool((match_colors(painting, photo).mean((2, 3)) - photo.mean((2, 3))).abs().max() < 1e-5)
    True
    """
    check_pictures(picture, "the picture", single=True)
    check_pictures(target, "the target", single=True)
    colors, goal = (each.cpu().double().flatten(2)[0] for each in (picture, target))  # other devices may lack float64
    mean, root = _mean_and_root(colors, -0.5)
    target_mean, target_root = _mean_and_root(goal, 0.5)
    return (target_root @ root @ (colors - mean) + target_mean).view_as(picture).to(picture)


def _mean_and_root(colors: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Mean (3, 1) and a symmetric power (3, 3) of the covariance of the colors, (3, H*W)."""
    mean = colors.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh((colors - mean) @ (colors - mean).T / colors.shape[1])
    values = values.clamp_min(0 if power > 0 else _EPS)
    return mean, vectors * values.pow(power) @ vectors.T
