"""Check of colors that are matched to those of another picture: their mean, their covariance, and a linear map.

Many matrices give the right covariance; they differ by a rotation. The check accepts all of them, and reflections too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.teaching.checks.base import CheckFailed, call, need, random

_EXACT = 0.02  # of a variance or of a standard deviation: 1e-5 on the diagonal makes a difference of at most 0.4 %
_NAMES = ("red", "green", "blue")
_MIXING = (((0.5, 0.2, 0.0), (0.15, 0.4, 0.1), (0.0, 0.2, 0.6)), ((-0.4, 0.3, 0.0), (0.0, -0.5, 0.2), (0.2, 0.0, -0.7)))
_MEANS = ((0.5, 0.3, 0.4), (0.58, 0.68, 0.63))


def check_color_match(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check A (x − μ) + μ' with A Σ Aᵀ = Σ' (Gatys et al. 2017, Section 5.2), for any such A.

    A covariance may be divided by M pixels or by M − 1, and up to 1e-5 may be added to its diagonal: either changes a
    variance by less than 1 % here, and the tolerance is 2 %.

    Args:
        function: a picture x (1, 3, H, W) and a target (1, 3, h, w), both in [0, 1] → (1, 3, H, W), not clipped. If
            one of the two is gray or has a single color, all values stay finite and the mean is right.

    Raises:
        CheckFailed: a property does not hold.
    """
    picture, target = _picture(24, 32), _picture(20, 18, seed=1)
    out = _matched(function, picture, target)
    _need_mean(out, picture, target)
    _need_covariance(out, picture, target)
    _need_linear(out, picture)
    out = _matched(function, target, picture)
    _need_mean(out, target, picture)
    _need_covariance(out, target, picture)
    gray, flat = picture[:, 1:2].expand(-1, 3, -1, -1).contiguous(), torch.full((1, 3, 9, 7), 0.25)
    for first, second, what in (
        (gray, target, "for a gray picture"),
        (flat, target, "for a picture of a single color"),
        (picture, flat, "for a target of a single color"),
        (picture, target[:, :1].expand(-1, 3, -1, -1).contiguous(), "for a gray target"),
    ):
        try:
            out = call(function, first, second)
        except CheckFailed as error:
            raise CheckFailed(f"{what}, {error}; what happens to a covariance that has no inverse?") from error
        need(out.shape == first.shape, f"{what}, the shape must stay {tuple(first.shape)}, got {tuple(out.shape)}")
        off = (_mean(out) - _mean(second)).abs().max().item()
        need(off < 0.01, f"{what}, the mean is off by {off:.2g}")
    print("✓ the target's mean and covariance, by a linear map of the picture's colors")


def _picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Colors (1, 3, H, W) in [0, 1] whose channels vary together: in a different way for each seed.

    The variances along the main axes of the colors are 0.003 and more.
    """
    colors = torch.tensor(_MIXING[seed]) @ (random(3, height * width, seed=seed).square() - 0.33)
    return (colors + torch.tensor(_MEANS[seed])[:, None]).view(1, 3, height, width)


def _matched(function: Callable[[Tensor, Tensor], Tensor], picture: Tensor, target: Tensor) -> Tensor:
    out = call(function, picture, target)
    need(
        out.shape == picture.shape,
        f"a picture of shape {tuple(picture.shape)} and a target of shape {tuple(target.shape)} must give the "
        f"picture's shape, got {tuple(out.shape)}",
    )
    need(bool((out - picture).abs().max() > 1e-4), "the picture comes back unchanged")
    need(
        bool(out.min() < 0) or bool(out.max() > 1) or int(((out == 0) | (out == 1)).sum()) < 2,
        "many values are exactly 0 or 1: colors outside [0, 1] were clipped, which changes mean and covariance",
    )
    return out


def _need_mean(out: Tensor, picture: Tensor, target: Tensor) -> None:
    """Raise `CheckFailed` unless each channel has the target's mean."""
    spread = _covariance(target).diagonal().sqrt()
    off = _mean(out) - _mean(target)
    k = int((off.abs() / spread).argmax())
    need(
        bool((off.abs() < _EXACT * spread).all()),
        f"the mean of {_NAMES[k]} is {_mean(out)[k]:.3f}, that of the target {_mean(target)[k]:.3f} (the picture's: "
        f"{_mean(picture)[k]:.3f})",
    )


def _need_covariance(out: Tensor, picture: Tensor, target: Tensor) -> None:
    """Raise `CheckFailed` unless the colors vary as much as the target's in every direction."""
    ours, wanted, before = _covariance(out), _covariance(target), _covariance(picture)
    values, vectors = torch.linalg.eigh(wanted)
    whitened = vectors / values.sqrt()  # (3, 3): the target's colors times this have the covariance 1
    ratios = torch.linalg.eigvalsh(whitened.T @ ours @ whitened)
    if bool(((ratios - 1).abs() < _EXACT).all()):
        return
    need(
        bool((ours - before).abs().max() > 1e-4),
        "the mean is the target's, but the covariance is still that of the picture",
    )
    factors = ours.diagonal() / wanted.diagonal()
    k = int((factors.log().abs()).argmax())
    need(
        bool((factors - 1).abs()[k] < _EXACT),
        f"the mean is the target's, but the variance of {_NAMES[k]} is {factors[k]:.3g} times that of the target",
    )
    a, b = max(((0, 1), (0, 2), (1, 2)), key=lambda pair: abs(_correlation(ours, *pair) - _correlation(wanted, *pair)))
    raise CheckFailed(
        f"every channel has the right mean and variance, but {_NAMES[a]} and {_NAMES[b]} vary together differently: "
        f"their correlation is {_correlation(ours, a, b):.2f}, in the target {_correlation(wanted, a, b):.2f} (in the "
        f"picture {_correlation(before, a, b):.2f})"
    )


def _need_linear(out: Tensor, picture: Tensor) -> None:
    """Raise `CheckFailed` unless the new color of a pixel is a matrix times its old color, and a constant."""
    old, new = (x.flatten(2)[0].T.double() for x in (picture, out))  # (M, 3)
    old, new = (x - x.mean(0) for x in (old, new))
    matrix = torch.linalg.lstsq(old, new).solution
    rest = ((new - old @ matrix).square().sum() / new.square().sum()).item()
    need(
        rest < 1e-3,
        f"mean and covariance are right, but {rest:.0%} of the new colors' variance does not come from one matrix for "
        "all pixels; does each pixel stay where it is?",
    )


def _mean(picture: Tensor) -> Tensor:
    return picture.double().mean((0, 2, 3))


def _covariance(picture: Tensor) -> Tensor:
    """(3, 3) float64, divided by the number of pixels."""
    colors = picture.double().flatten(2)[0]
    centered = colors - colors.mean(1, keepdim=True)
    return centered @ centered.T / centered.shape[1]


def _correlation(covariance: Tensor, a: int, b: int) -> float:
    return (covariance[a, b] / (covariance[a, a] * covariance[b, b]).sqrt().clamp_min(1e-12)).item()
