"""Checks of functions on features and pictures: Gram matrices, losses, channel statistics and AdaIN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from course_lib import losses
from course_lib.runtime import seeded_generator
from course_lib.teaching.checks.base import CheckFailed, attempt, call, near, need, need_factor, random, tensor


def check_gram_matrix(function: Callable[[Tensor], Tensor]) -> None:
    """Check a Gram matrix G_ij = Σ_k F_ik F_jk (Gatys et al. 2016, Eq. 3).

    Args:
        function: features (N, C, H, W) → (N, C, C).

    Raises:
        CheckFailed: a property does not hold.
    """
    features = random(2, 3, 4, 5)
    gram = call(function, features)
    need(gram.shape == (2, 3, 3), f"the shape must be (N, C, C) = (2, 3, 3), got {tuple(gram.shape)}")
    need(
        torch.allclose(gram, gram.transpose(1, 2), atol=1e-5),
        "G_ij and G_ji differ; a Gram matrix is symmetric",
    )
    diagonal = gram.diagonal(dim1=1, dim2=2)
    need(bool((diagonal >= 0).all()), "a diagonal entry is negative; G_ii is a sum of squares")
    need(bool((diagonal > 0).all()), "a diagonal entry is 0 although its channel is not; does the result depend on F?")
    need(
        torch.allclose(call(function, features[1:]), gram[1:], rtol=1e-4, atol=1e-5),
        "the second picture's matrix changes when the first picture is removed; each picture needs its own matrix",
    )
    need(
        torch.allclose(call(function, 2 * features), 4 * gram, rtol=1e-4, atol=1e-5),
        "doubling F does not multiply G by four; each entry is a sum of products of two features",
    )
    mixed = features.flatten(2)[:, :, torch.randperm(20, generator=seeded_generator(1))].view_as(features)
    need(
        torch.allclose(call(function, mixed), gram, rtol=1e-4, atol=1e-5),
        "shuffling the positions changes G; a sum over all positions does not depend on their order",
    )
    disjoint = torch.zeros(1, 2, 2, 2)
    disjoint[0, 0, 0, 0], disjoint[0, 1, 1, 1] = 1.0, 1.0
    need(
        bool((call(function, disjoint)[0, 0, 1]).abs() < 1e-6),
        "for two channels that are never active at the same position, G_ij must be 0; do you sum over positions?",
    )
    twins = call(function, random(1, 1, 4, 5).expand(1, 2, 4, 5))
    need(
        bool((twins / twins[0, 0, 0] - 1).abs().max() < 1e-4),
        "two equal channels must give four equal entries; what happens off the diagonal?",
    )
    ours = losses.gram_matrix(features)
    factor = (gram.sum() / ours.sum()).item()
    need(torch.allclose(gram, factor * ours, rtol=1e-4, atol=1e-5), "the products are summed over the wrong axis")
    need(
        abs(factor - 1) < 1e-4,
        f"every entry is {factor:.4g} times what it should be; Eq. 3 is a plain sum, not divided by anything",
    )
    print("✓ your Gram matrix has every property of Eq. 3")


def check_content_loss(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check a content loss ½ Σ (F − P)² (Gatys et al. 2016, Eq. 1).

    Args:
        function: two features (N, C, H, W) → a scalar.

    Raises:
        CheckFailed: a property does not hold.
    """
    f, p = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
    _check_distance(function, f, p, "the two features are equal")
    apart = torch.tensor([1.0, -1.0]).view(1, 1, 1, 2)
    need(bool(call(function, apart, 0 * apart) > 0), "differences of opposite sign cancel; they must add up")
    _check_powers(function, f, p, 2)
    expected = losses.content_loss(f, p, losses.GATYS)
    need_factor(call(function, f, p), expected, "a sum over all channels and positions, times one half")
    print("✓ your content loss is Eq. 1")


def check_style_loss(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check the style loss of one layer, 1/(4N²M²) Σ (G − A)² (Gatys et al. 2016, Eq. 4).

    Args:
        function: two features (1, C, H, W) → a scalar.

    Raises:
        CheckFailed: a property does not hold.
    """
    f, a = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
    _check_distance(function, f, a, "the two Gram matrices are equal")
    mixed = f.flatten(2).flip(2).view_as(f)
    need(
        bool(call(function, f, mixed).abs() < 1e-5),
        "reversing the order of the positions changes your loss, but not the style; compare Gram matrices, not F",
    )
    _check_powers(function, f, a, 4)
    expected = losses.style_loss(f, losses.gram_matrix(a, mean=True), losses.GATYS)
    need_factor(call(function, f, a), expected, "divided by 4 N² M², with N channels and M positions")
    print("✓ your style loss is Eq. 4")


def check_total_variation(function: Callable[[Tensor], Tensor]) -> None:
    """Check a squared total variation: the mean over horizontal neighbors plus the mean over vertical ones.

    Args:
        function: (N, 3, H, W) in [0, 1] → a scalar.

    Raises:
        CheckFailed: a property does not hold.
    """
    flat = call(function, torch.full((1, 3, 4, 4), 0.7))
    need(bool(flat.abs() < 1e-7), "a flat picture must have variation 0; compare neighbors with each other")
    stripes = torch.tensor([0.0, 1.0]).repeat(2).expand(1, 1, 4, 4)
    a, b = call(function, stripes), call(function, stripes.transpose(2, 3))
    need(bool((a - b).abs() < 1e-6), "vertical and horizontal stripes differ; both directions must count equally")
    need(
        bool((a - 1).abs() < 1e-6),
        "stripes of 0 and 1 must give 1: all neighbors across the stripes differ by 1, all along them are equal",
    )
    image = random(1, 3, 5, 6)
    need_factor(call(function, image), losses.total_variation_loss(image), "a mean over pairs, not a sum")
    print("✓ your total variation is right")


def _check_distance(function: Callable[..., Tensor], a: Tensor, b: Tensor, when_zero: str) -> None:
    value = call(function, a, b)
    need(value.ndim == 0, f"a loss must be a single number, got shape {tuple(value.shape)}")
    need(bool(call(function, a, a).abs() < 1e-6), f"the loss must be 0 when {when_zero}")
    need(bool(value > 0), "the loss must be positive when they differ")
    need(torch.allclose(value, call(function, b, a), rtol=1e-4), "exchanging the two inputs changes the loss")


def _check_powers(function: Callable[..., Tensor], a: Tensor, b: Tensor, degree: int) -> None:
    factor = (call(function, 2 * a, 2 * b) / call(function, a, b)).item()
    need(
        abs(factor / 2**degree - 1) < 1e-3,
        f"doubling both features makes the loss {factor:.4g} times as large, not {2**degree} times; "
        "which powers of F occur in the equation?",
    )


def check_shuffle(function: Callable[[Tensor], Tensor]) -> None:
    """Check a rearrangement that changes the features but not their Gram matrices.

    Args:
        function: features (N, C, H, W) → the same shape.

    Raises:
        CheckFailed: a property does not hold.
    """
    features = random(2, 5, 6, 7)
    moved = call(function, features)
    need(moved.shape == features.shape, f"the shape must stay {tuple(features.shape)}, got {tuple(moved.shape)}")
    need(
        near(moved.flatten(2).sort(2).values, features.flatten(2).sort(2).values),
        "a channel holds other values than before; rearrange the existing values, and keep each in its channel",
    )
    still = (moved == features).float().mean().item()
    need(still < 0.5, f"{still:.0%} of the values are still at their old positions; the arrangement must change")
    need(
        near(losses.gram_matrix(moved), losses.gram_matrix(features)),
        "the Gram matrix changed; it multiplies channels position by position. What must be the same for all channels?",
    )
    print("✓ another picture with the same Gram matrix")


def check_closest_style(function: Callable[[Tensor, Sequence[Tensor]], int]) -> None:
    """Check a search for the candidate with the most similar style.

    Args:
        function: features (1, C, H, W) and a list of such features → the index of the closest candidate.

    Raises:
        CheckFailed: a property does not hold.
    """
    candidates = [
        random(1, 6, 8, 8, seed=seed) * (1 + torch.arange(6).roll(2 * seed)).view(1, 6, 1, 1) for seed in range(3)
    ]
    for k, one in enumerate(candidates):
        answer = attempt(function, one, candidates)
        need(
            isinstance(answer, int) and not isinstance(answer, bool),
            f"the function must return a whole number, got {type(answer).__name__}",
        )
        need(answer in range(3), f"with three candidates the index is 0, 1 or 2, got {answer}")
        need(answer == k, f"candidate {k} is the given tensor itself, but candidate {answer} was chosen")
    order = torch.randperm(64, generator=seeded_generator(9))
    rearranged = candidates[1].flatten(2)[:, :, order].view_as(candidates[1])
    imitation = rearranged * torch.tensor([1.15, 0.87, 1.1, 0.9, 1.0, 1.12]).view(1, 6, 1, 1)
    need(
        attempt(function, rearranged, [imitation, candidates[1]]) == 1,
        "the same texture with its positions rearranged was not recognized; do you compare positions or statistics?",
    )
    large = torch.cat([candidates[2]] * 4, dim=3)  # the same statistics over four times as many positions
    near_miss = 2 * candidates[2] * torch.tensor([1.0, 0.8, 1.1, 0.9, 1.0, 1.0]).view(1, 6, 1, 1)
    need(
        attempt(function, large, [near_miss, candidates[1], candidates[2]]) == 2,
        "a sample of the same texture, four times as large, was not recognized; does the number of positions matter?",
    )
    print("✓ the closest style is found, for any arrangement and size")


def check_relative_distance(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check the relative distance ‖F − P‖ / ‖P‖, which can be compared from layer to layer.

    Args:
        function: two features (1, C, H, W) → a scalar.

    Raises:
        CheckFailed: a property does not hold.
    """
    f, p = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
    value = call(function, f, p)
    need(value.ndim == 0, f"a distance must be a single number, got shape {tuple(value.shape)}")
    need(bool(call(function, p, p).abs() < 1e-6), "the distance must be 0 when the two features are equal")
    need(bool(value > 0), "the distance must be positive when they differ")
    factor = (call(function, 10 * f, 10 * p) / value).item()
    need(
        abs(factor - 1) < 1e-3,
        f"features ten times as large give {factor:.4g} times the distance; a relative distance must not change",
    )
    nothing = call(function, 0 * p, p).item()
    need(
        abs(nothing - 1) < 1e-4,
        f"F = 0 has the distance {nothing:.4g} from P instead of 1; by whose norm do you divide, and do you take the "
        "square root?",
    )
    need_factor(value, (f - p).norm() / p.norm(), "the norm of the difference divided by the norm of the target")
    print("✓ your relative distance does not depend on the layer's scale")


def check_channel_statistics(function: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
    """Check the mean and standard deviation of each channel of each picture.

    Dividing by M or by M − 1 positions makes a difference of 1 % here; the tolerance is 2 %.

    Args:
        function: features (N, C, H, W) → two tensors (N, C, 1, 1), mean and standard deviation.

    Raises:
        CheckFailed: a property does not hold.
    """
    features = random(2, 3, 6, 8) + torch.linspace(0, 2, 6).view(1, 1, 6, 1)
    mean, spread = _statistics(function, features)
    need(near(mean, features.mean((2, 3), keepdim=True)), "the first tensor is not the mean of each channel")
    need(bool((spread > 0).all()), "a channel that varies has the standard deviation 0")
    doubled = (_statistics(function, 2 * features)[1] / spread).mean().item()
    need(
        abs(doubled - 2) < 0.02,
        f"doubling the features makes their spread {doubled:.3g} times as large, not 2 times; a standard deviation has "
        "the same unit as the features",
    )
    turned = _statistics(function, features.transpose(2, 3))[1]
    need(
        near(turned, spread),
        "transposing the picture changes its spread; a standard deviation does not distinguish rows from columns",
    )
    rows = torch.tensor([0.0, 1.0]).repeat(3).view(1, 1, 6, 1).expand(1, 1, 6, 8)  # every row flat, rows differ
    for picture, kind in ((rows, "rows"), (rows.transpose(2, 3), "columns")):
        need(
            bool(_statistics(function, picture)[1].item() > 0.1),
            f"a picture of black and white {kind} has a spread of almost 0; which differences were averaged out?",
        )
    # loose enough for both corrections, M and M − 1
    error = (spread / features.std((2, 3), keepdim=True) - 1).abs().max().item()
    need(error < 0.02, f"the spread is off by {error:.0%}; the tolerance is 2 %")
    print("✓ mean and standard deviation of every channel")


def check_adain(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check adaptive instance normalization, σ(y) (x − μ(x)) / σ(x) + μ(y) (Huang & Belongie 2017, Eq. 8).

    The tolerance is 2 % of the style's standard deviation.

    Args:
        function: content features x (1, C, H, W) and style features y (1, C, H', W') → (1, C, H, W).

    Raises:
        CheckFailed: a property does not hold.
    """
    content = random(1, 3, 6, 8) * torch.tensor([1.0, 5.0, 0.3]).view(1, 3, 1, 1)
    style = 4 + 2 * random(1, 3, 10, 4, seed=1) * torch.tensor([2.0, 1.0, 3.0]).view(1, 3, 1, 1)
    moved = call(function, content, style)
    need(
        moved.shape == content.shape,
        f"the shape must be the content's, {tuple(content.shape)}, got {tuple(moved.shape)}",
    )
    spread = style.std((2, 3), keepdim=True)
    error = ((moved - style).mean((2, 3), keepdim=True) if moved.shape == style.shape else
             moved.mean((2, 3), keepdim=True) - style.mean((2, 3), keepdim=True)).abs()  # fmt: skip
    need(bool((error < 0.02 * spread).all()), "the mean of a channel is not the style's")
    factor = (moved.std((2, 3), keepdim=True) / spread).flatten()
    worst = factor[(factor - 1).abs().argmax()].item()
    need(abs(worst - 1) < 0.02, f"the spread of a channel is {worst:.3g} times the style's; the two must be equal")
    before, after = (x.flatten(2) - x.flatten(2).mean(2, keepdim=True) for x in (content, moved))
    likeness = torch.cosine_similarity(before, after, dim=2).min().item()
    need(likeness > 0.999, "what is bright in the content is not bright in the result; keep the spatial arrangement")
    print("✓ the content's arrangement with the style's statistics")


def _statistics(function: Callable[[Tensor], Any], features: Tensor) -> tuple[Tensor, Tensor]:
    answer = attempt(function, features)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise CheckFailed(f"the function must return two tensors, mean and spread; got {type(answer).__name__}")
    mean, spread = (tensor(part) for part in answer)
    expected = (*features.shape[:2], 1, 1)
    for name, part in (("mean", mean), ("spread", spread)):
        need(
            part.shape == expected,
            f"the {name} must have the shape (N, C, 1, 1) = {expected}, one number per channel of each picture, "
            f"got {tuple(part.shape)}",
        )
    return mean, spread
