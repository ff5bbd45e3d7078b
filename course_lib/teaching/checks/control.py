"""Checks of the style of a region: guided Gram matrices, and the loss that compares them with their targets.

As in `transforms`, the results of common mistakes are computed, too, so that a check can name the mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from course_lib import losses
from course_lib.teaching.checks.base import (
    CheckFailed,
    attempt,
    call,
    near,
    need,
    need_factor,
    need_gradient,
    number,
    random,
)
from course_lib.teaching.checks.transforms import Mistake


def check_guided_gram(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check a guided Gram matrix, Σ_k T_k² F_k F_kᵀ with Σ_k T_k² = 1 (Gatys et al. 2017, Eqs. 5 and 6).

    Args:
        function: features (1, C, h, w) and a guide (1, 1, h, w) of numbers of at least 0, on any scale → (1, C, C).

    Raises:
        CheckFailed: a property does not hold.
    """
    features = random(1, 3, 6, 8) - 0.3
    hard, soft = left_part(6, 8, 3), (random(1, 1, 6, 8, seed=1) - 0.3).clamp_min(0)
    gram = call(function, features, hard)
    need(gram.shape == (1, 3, 3), f"the shape must be (1, C, C) = (1, 3, 3), got {tuple(gram.shape)}")
    _need_matrix(gram, guided(features, hard), _wrong_grams(features, hard), "with a guide of zeros and ones")
    changed = torch.where(hard > 0, features, 7.0)
    need(
        near(call(function, changed, hard), gram),
        "features at positions where the guide is 0 change the matrix; they must have no influence",
    )
    factor = (call(function, features, 10 * hard) / gram).mean().item()
    need(
        abs(factor - 1) < 1e-3,
        f"a guide ten times as large gives {factor:.3g} times the matrix; the squares of the guide add up to 1, so its "
        "scale must not matter",
    )
    need(
        near(call(function, features, torch.full_like(hard, 0.75)), losses.gram_matrix(features, mean=True)),
        "with a constant guide, the matrix is not the mean over all positions, G / M",
    )
    gram = call(function, features, soft)
    _need_matrix(gram, guided(features, soft), _wrong_grams(features, soft), "with a guide between 0 and 1")
    features, soft = random(1, 5, 3, 7, seed=2), random(1, 1, 3, 7, seed=3)
    gram = call(function, features, soft)
    _need_matrix(gram, guided(features, soft), (), "with features of another shape, (1, 5, 3, 7)")
    print("✓ your guided Gram matrix has every property of Eqs. 5 and 6")


def check_guided_style(function: Callable[[Tensor, Sequence[Tensor], Sequence[Tensor]], Tensor]) -> None:
    """Check the style loss of several regions, 1/R Σ_r 1/(4N²) Σ (G_r − A_r)² (Gatys et al. 2017, Eq. 7).

    Args:
        function: features (1, C, h, w), a list of R guides (1, 1, h, w), and a list of R targets (1, C, C) → a number.

    Raises:
        CheckFailed: a property does not hold.
    """
    features = random(1, 3, 6, 8)
    guides = [left_part(6, 8, 3), 1 - left_part(6, 8, 6)]  # three columns are in no region
    targets = [losses.gram_matrix(random(1, 3, 5, 5, seed=k) * k, mean=True) for k in (1, 2)]

    def loss(features: Tensor, guides: list[Tensor], targets: list[Tensor]) -> Tensor:
        return number(function, features, guides, targets)

    value = loss(features, guides, targets)
    need(bool(value > 0), f"the loss must be positive when the matrices differ, got {value.item():.3g}")
    own = [guided(features, guide) for guide in guides]
    need(
        bool(loss(features, guides, own).abs() < 1e-5 * value),
        "if each region has the matrix of its target, the loss is not 0; which matrix is compared with which target?",
    )
    need_factor(
        loss(features, [torch.ones_like(guides[0])], targets[:1]),
        losses.style_loss(features, targets[0]),
        "with one region that covers everything, the plain style loss, 1/(4 N²) Σ (G / M − A)²",
    )
    for message, wrong in _wrong_styles(features, guides, targets):
        need(abs(value.item() / wrong.item() - 1) > 1e-4, message)
    need_factor(value, guided_style(features, guides, targets), "the mean over the regions of 1/(4 N²) Σ (G_r − A_r)²")
    _need_local_gradient(function, features, guides, targets)
    need_gradient(
        lambda f: attempt(function, f, [*guides], [*targets], copies=False),
        lambda f: guided_style(f, guides, targets),
        features,
    )
    guides = [left_part(4, 9, 2), random(1, 1, 4, 9, seed=6), 1 - left_part(4, 9, 6)]
    features = random(1, 5, 4, 9, seed=7)
    targets = [losses.gram_matrix(random(1, 5, 3, 3, seed=k), mean=True) for k in (8, 9, 10)]
    need_factor(
        loss(features, guides, targets),
        guided_style(features, guides, targets),
        "with three regions and five channels, the mean over the regions",
    )
    print("✓ the style loss of regions, which is the plain one if one region covers everything")


# --- the equations, and common mistakes
def guided(features: Tensor, guide: Tensor) -> Tensor:
    """The guided Gram matrix, (1, C, C)."""
    return _weighted(features, guide.square() / guide.square().sum())


def guided_style(features: Tensor, guides: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """The mean over regions of 1/(4N²) Σ (G_r − A_r)²."""
    return torch.stack([_distance(guided(features, g), a) for g, a in zip(guides, targets, strict=True)]).mean()


def left_part(height: int, width: int, columns: int) -> Tensor:
    """A mask (1, 1, H, W): 1 in the first columns, 0 in the others."""
    return (torch.arange(width) < columns).float().expand(1, 1, height, width).contiguous()


def _weighted(features: Tensor, weights: Tensor) -> Tensor:
    rows = features.flatten(2)
    return (rows * weights.flatten(2)) @ rows.transpose(1, 2)


def _distance(gram: Tensor, target: Tensor) -> Tensor:
    return (gram - target).square().sum() / (4 * gram.shape[1] ** 2)


def _wrong_grams(features: Tensor, guide: Tensor) -> list[Mistake]:
    inside = (guide > 0.5).float()
    return [
        ("the guide has no effect: this is the matrix of all positions", losses.gram_matrix(features, mean=True)),
        ("the guide has no effect: this is the matrix of all positions", losses.gram_matrix(features)),
        ("this is the matrix of the positions outside the region", guided(features, guide.max() - guide)),
        ("each product of two features is multiplied by T; with F̂ = T F in both places, by which power of T?",
         _weighted(features, guide / guide.sum())),
        ("each product of two features is multiplied by the fourth power of T; does the guide enter twice?",
         guided(features, guide.square())),
        ("a guide between 0 and 1 is treated as if it were 0 or 1", guided(features, inside)),
        ("a guide between 0 and 1 is treated as if it were 0 or 1", guided(features, (guide > 0).float())),
        ("the mean of each channel is subtracted; Eq. 6 multiplies the features themselves",
         guided(features - features.mean((2, 3), keepdim=True), guide)),
    ]  # fmt: skip


def _wrong_styles(features: Tensor, guides: Sequence[Tensor], targets: Sequence[Tensor]) -> list[Mistake]:
    """For two regions."""
    each = [_distance(guided(features, g), a) for g, a in zip(guides, targets, strict=True)]
    areas = torch.stack([guide.sum() for guide in guides])
    added = [sum(matrices, torch.zeros(())) for matrices in ([guided(features, g) for g in guides], targets)]
    everywhere = losses.gram_matrix(features, mean=True)
    return [
        ("the losses of the regions are added up; with more regions, the loss must not grow: it is their mean",
         each[0] + each[1]),
        ("each region is compared with the target of the other one", guided_style(features, guides, targets[::-1])),
        ("the second region has no effect", each[0]),
        ("the first region has no effect", each[1]),
        ("the first region counts half as much as it should, the second one not at all", each[0] / 2),
        ("the second region counts half as much as it should, the first one not at all", each[1] / 2),
        ("the guides have no effect: the matrix of all positions is compared with every target",
         torch.stack([_distance(everywhere, a) for a in targets]).mean()),
        ("larger regions count more; every region counts the same",
         (torch.stack(each) * areas).sum() / areas.sum()),
        ("the matrices of the regions are added up before they are compared; each has its own target",
         _distance(*added)),
        ("the matrices of the regions are added up before they are compared; each has its own target",
         _distance(*added) / 2),
        ("the matrices of the regions are added up before they are compared; each has its own target",
         _distance(*added) / 4),
    ]  # fmt: skip


# --- properties
def _need_matrix(gram: Tensor, expected: Tensor, wrong: Iterable[Mistake], what: str) -> None:
    """Raise `CheckFailed` unless two matrices agree; the message names a known mistake, or the factor."""
    if near(gram, expected):
        return
    for message, result in wrong:
        need(not near(gram, result), message)
    factor = (gram.sum() / expected.sum()).item()
    need(
        gram.shape != expected.shape or not near(gram, factor * expected),
        f"{what}, every entry is {factor:.3g} times what it should be; do the squares of the guide add up to 1?",
    )
    raise CheckFailed(f"{what}, the entries are not the guided sums of products, with the features of Eq. 5")


def _need_local_gradient(
    function: Callable[..., Tensor], features: Tensor, guides: list[Tensor], targets: list[Tensor]
) -> None:
    """Raise `CheckFailed` if features that are in no region get a gradient."""
    leaf = features.clone().requires_grad_(True)
    value = attempt(function, leaf * 1, [*guides], [*targets], copies=False)
    if not isinstance(value, Tensor) or not value.requires_grad:
        return  # `need_gradient` says so
    try:
        (gradient,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    except RuntimeError:  # the function has written into its input
        return
    nowhere = (guides[0] + guides[1] == 0).expand_as(features)
    need(
        gradient is None or not bool(gradient[nowhere].any()),
        "features at positions that are in no region get a gradient",
    )
