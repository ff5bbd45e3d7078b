"""The share of each style at each position of a photo: from weights, or from masks.

Masks have the photo's size. The features have one position for 8×8 pixels, so a region at the features' size says what
share of those pixels a mask covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments
from course_lib.masks import check_mask_values


@dataclass(frozen=True)
class Part:
    """The part of one style in the features."""

    region: Tensor | None  # (1, 1, h, w): weight of each position in the photo's statistics; None: all equal
    share: Tensor  # (1, 1, h, w) or a scalar in [0, 1]; those of all styles add up to at most 1


def parts_of(
    photos: Tensor,
    count: int,
    *,
    masks: Tensor | None = None,
    weights: Sequence[float] | None = None,
    shrink: int,
    device: torch.device,
) -> list[Part]:
    """The parts of `count` styles; without masks and weights, all are equal.

    Args:
        photos: (N, 3, H, W).
        masks: (count, 1, H, W) in [0, 1]. Where they add up to more than 1, they are divided by their sum.
        weights: a number of at least 0 for each style; they are divided by their sum.
        shrink: pixels on the side of a position.
        device: for the tensors that are returned.

    Raises:
        ValueError: masks and weights, masks of another shape or with other values, an empty mask, or invalid weights.

    >>> photo, left = torch.rand(1, 3, 8, 16), torch.zeros(1, 1, 8, 16)
    >>> left[..., :4] = 1
    >>> parts_of(photo, 1, masks=left, shrink=8, device=torch.device("cpu"))[0].share.tolist()
    [[[[0.5, 0.0]]]]
    """
    if masks is None:
        numbers = arguments.shares("weights", [1] * count if weights is None else weights, count, "styles")
        return [Part(None, torch.tensor(number / sum(numbers), device=device)) for number in numbers]
    if weights is not None:
        raise ValueError("give masks or weights, not both; mask values between 0 and 1 mix the styles of a region")
    shape = (count, 1, *photos.shape[2:])
    if not isinstance(masks, Tensor) or masks.shape != shape:
        got = f"a tensor of shape {tuple(masks.shape)}" if isinstance(masks, Tensor) else type(masks).__name__
        raise ValueError(f"masks must be a tensor of shape {shape}, one for each style at the photo's size; got {got}")
    masks = masks.detach().to(device, torch.float32)
    check_mask_values(masks)
    covered = F.avg_pool2d(to_multiples(masks, shrink), shrink)
    for number, region in enumerate(covered, start=1):
        if not bool(region.any()):
            raise ValueError(f"mask {number} of {count} is 0 everywhere; leave out its style, or give it a region")
    shares = covered / covered.sum(0, keepdim=True).clamp_min(1)
    return [Part(region, share) for region, share in zip(covered.split(1), shares.split(1), strict=True)]


def to_multiples(maps: Tensor, shrink: int) -> Tensor:
    """Maps (N, C, H, W), padded by reflection at the right and at the bottom to multiples of `shrink`."""
    height, width = maps.shape[2:]
    return F.pad(maps, (0, -width % shrink, 0, -height % shrink), mode="reflect")
