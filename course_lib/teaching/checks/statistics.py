"""Checks of functions on features: rearranged positions, the closest style, channel statistics and AdaIN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from course_lib import losses
from course_lib.runtime import seeded_generator
from course_lib.teaching.checks.base import CheckFailed, attempt, call, near, need, random, tensor, whole


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
    need(still < 0.25, f"{still:.0%} of the values are still at their old positions; the arrangement must change")
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
        answer = whole(attempt(function, one, candidates))
        need(answer in range(3), f"with three candidates the index is 0, 1 or 2, got {answer}")
        need(answer == k, f"candidate {k} is the given tensor itself, but candidate {answer} was chosen")

    def need_last(wanted: Tensor, others: list[Tensor], message: str) -> None:
        need(whole(attempt(function, wanted, others)) == len(others) - 1, message)

    order = torch.randperm(64, generator=seeded_generator(9))
    rearranged = candidates[1].flatten(2)[:, :, order].view_as(candidates[1])
    imitation = rearranged * torch.tensor([1.15, 0.87, 1.1, 0.9, 1.0, 1.12]).view(1, 6, 1, 1)
    need_last(
        rearranged,
        [imitation, candidates[1]],
        "the same texture with its positions rearranged was not recognized; do you compare positions or statistics?",
    )
    large = torch.cat([candidates[2]] * 4, dim=3)  # the same statistics over four times as many positions
    unlike = candidates[2] * torch.tensor([1.0, 0.8, 1.1, 0.9, 1.0, 1.0]).view(1, 6, 1, 1)
    need_last(
        large,
        [2 * unlike, unlike / 2, candidates[1], candidates[2]],
        "a sample of the same texture, four times as large, was not recognized; does the number of positions matter?",
    )
    # Channels that are active together, and two that differ from them in one way only. The right one comes with noise.
    together = random(1, 1, 8, 8, seed=4) * torch.arange(1, 7).view(1, 6, 1, 1) + 0.2 * random(1, 6, 8, 8, seed=5)
    noisy = together.flatten(2)[:, :, order].view_as(together) * (1 + 0.04 * (random(1, 6, 8, 8, seed=6) - 0.5))
    apart = torch.stack([one.flatten().roll(11 * k).view(8, 8) for k, one in enumerate(together[0])])[None]
    need_last(
        together,
        [apart, noisy],
        "two candidates have the same values in each channel, and you chose the one whose channels are active at "
        "different positions; do you compare channels with each other, as a Gram matrix does?",
    )
    need_last(
        together,
        [together + 2, noisy],
        "a candidate with a constant added to each channel was taken for the same style; a Gram matrix changes with it",
    )
    print("✓ the closest style is found, for any arrangement and size")


def check_channel_statistics(function: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
    """Check the mean and standard deviation of each channel of each picture.

    Dividing by M or by M − 1 positions makes a difference of 1 % here; the tolerance is 2 %.

    Args:
        function: features (N, C, H, W) → two tensors (N, C, 1, 1), mean and standard deviation.

    Raises:
        CheckFailed: a property does not hold.
    """
    features = random(2, 3, 6, 8) + torch.linspace(0, 2, 6).view(1, 1, 6, 1)
    features = features * torch.tensor([[1.0, 1.5, 2.0], [4.0, 2.5, 1.2]]).view(2, 3, 1, 1)  # no two spreads alike
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
    if not isinstance(answer, tuple | list) or len(answer) != 2:
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
