"""The temporal term: a frame should look like the earlier frames, brought into its position (Ruder et al. 2016).

    L_temporal(x, ω, c) = 1/D Σ_k c_k (x_k − ω_k)²        (Eq. 7)

x is the picture, ω an earlier one warped by the optical flow, c a mask that is 0 where the earlier frame did not show
the same thing, and D the number of values, 3·H·W: a masked value counts as one without an error. With several earlier
frames, the terms are added, and each pixel belongs to the nearest frame that showed it:

    c_long(t − j) = max(c(t − j) − Σ_{k<j} c(t − k), 0)        (Eq. 8)

`flow.warp` makes ω, and `flow.Motion.visible` is c. Pictures are in [0, 1]; the paper's are on the scale 0 to 255,
where the same term is 255² times as large.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from course_lib import arguments
from course_lib.image_checks import check_tensor
from course_lib.optimize.objective import Term


def long_term_masks(masks: Sequence[Tensor]) -> list[Tensor]:
    """Give each pixel to the nearest earlier frame that showed it (Ruder et al. 2016, Eq. 8).

    Args:
        masks: c of each earlier frame, the nearest first, (N, 1, H, W) in [0, 1] each.

    Returns:
        c_long, in the same order; their sum is at most 1 wherever the masks are 0 or 1.

    Raises:
        ValueError: masks of several shapes.

    >>> import torch
    >>> near, far = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 0.0])
    >>> [mask.flatten().tolist() for mask in long_term_masks([near.view(1, 1, 1, 3), far.view(1, 1, 1, 3)])]
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    if not isinstance(masks, list | tuple) or not all(isinstance(mask, Tensor) for mask in masks):
        raise ValueError(f"expected a list of masks, one for each earlier frame, got {type(masks).__name__}")
    shapes = {tuple(mask.shape) for mask in masks}
    if len(shapes) > 1 or any(len(shape) != 4 or shape[1] != 1 for shape in shapes):
        raise ValueError(f"expected masks (N, 1, H, W) of one shape, got {', '.join(map(str, sorted(shapes)))}")
    left: list[Tensor] = []
    for k, mask in enumerate(masks):
        nearer = sum(masks[:k])  # not of what was left: this is the paper's sum
        left.append((mask - nearer).clamp_min(0))
    return left


def temporal_loss(image: Tensor, warped: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    """Σ_j 1/D Σ_k c_k (x_k − ω_k)² over the earlier frames j (Ruder et al. 2016, Eqs. 7 and 9).

    Args:
        image: x, (N, 3, H, W) in [0, 1].
        warped: ω of each earlier frame, like `image`.
        masks: c of each, (N, 1, H, W) in [0, 1], for example from `long_term_masks`.

    Returns:
        A scalar, differentiable with respect to `image`; 0 without earlier frames.

    Raises:
        ValueError: shapes that do not fit together, or another number of masks than of pictures.

    >>> import torch
    >>> black, white = torch.zeros(1, 3, 1, 4), torch.ones(1, 3, 1, 4)
    >>> temporal_loss(white, [black], [torch.tensor([1.0, 0.5, 0.0, 0.0]).view(1, 1, 1, 4)]).item()  # 1.5 / 4
    0.375
    """
    _check(image, warped, masks)
    terms = [((image - target).square() * mask).mean() for target, mask in zip(warped, masks, strict=True)]
    return sum(terms, start=image.new_zeros(()))


def temporal_gradient(image: Tensor, warped: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    """∂`temporal_loss`/∂image = 2/D Σ_j c (x − ω), (N, 3, H, W).

    Args:
        image, warped, masks: as for `temporal_loss`.

    Raises:
        ValueError: as for `temporal_loss`.
    """
    _check(image, warped, masks)
    slopes = [(image - target) * mask for target, mask in zip(warped, masks, strict=True)]
    return 2 / image.numel() * sum(slopes, start=image.new_zeros(image.shape))


def temporal_term(weight: float, warped: Sequence[Tensor], masks: Sequence[Tensor], name: str = "temporal") -> Term:
    """The term of an objective, with its gradient in closed form; the earlier frames are kept.

    Args:
        weight: of `temporal_loss`.
        warped, masks: of each earlier frame, (1, 3, H, W) and (1, 1, H, W), on the device of the run.
        name: in the history.

    Raises:
        ValueError: a negative weight; when it is evaluated, shapes that do not fit together.
    """
    weight = arguments.nonnegative("temporal_weight", weight)
    targets, parts = [one.detach() for one in warped], [one.detach() for one in masks]
    return Term(
        name, weight, lambda image: temporal_loss(image, targets, parts),
        lambda image: temporal_gradient(image, targets, parts),
    )  # fmt: skip


def _check(image: Tensor, warped: Sequence[Tensor], masks: Sequence[Tensor]) -> None:
    check_tensor(image, "the picture")
    for each, what in ((warped, "warped pictures"), (masks, "masks")):
        if not isinstance(each, list | tuple) or not all(isinstance(one, Tensor) for one in each):
            raise ValueError(f"expected a list of {what}, one for each earlier frame, got {type(each).__name__}")
    if len(warped) != len(masks):
        raise ValueError(f"expected a mask for each warped picture, got {len(masks)} for {len(warped)}")
    one_channel = (len(image), 1, *image.shape[2:])
    for target, mask in zip(warped, masks, strict=True):
        if target.shape != image.shape or tuple(mask.shape) != one_channel:
            raise ValueError(
                f"the picture has shape {tuple(image.shape)}; expected warped pictures of that shape and masks "
                f"{one_channel}, got {tuple(target.shape)} and {tuple(mask.shape)}"
            )
