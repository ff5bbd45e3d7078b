"""What a measure accepts: pictures (N, 3, H, W) in [0, 1], finite, of the same shape, and large enough.

A measure that was given half a picture or another scale would still return a number, and nobody would notice. All
measures of this folder therefore call `check` first, and all refuse the same pictures with the same sentences.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FAR = 10.0  # pictures that were not clipped, or got noise, overshoot [0, 1], but not this far


def check(*pictures: Tensor, least: int = 1, why: str = "", same_shape: bool = True, single: bool = False) -> None:
    """Refuse what is not a picture, or not two pictures that can be compared.

    Args:
        pictures: one or two tensors, expected to be (N, 3, H, W), floating point, in [0, 1]. Values may overshoot up
            to ±10, because noise and pictures that were not clipped do; a picture on the scale 0..255 goes farther.
        least: the smallest side that the measure can use, in pixels.
        why: what needs that side, for the message.
        same_shape: whether two pictures must have the same shape.
        single: whether N must be 1.

    Raises:
        TypeError: not a tensor.
        ValueError: another shape, an integer dtype, nothing in it, values that are not finite or far outside [0, 1],
            sides below `least`, two different shapes, or a batch where one picture is expected.

    >>> check(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16), least=11)
    """
    for picture in pictures:
        _check_tensor(picture)
        _check_values(picture)
    shapes = [tuple(picture.shape) for picture in pictures]
    if single and any(shape[0] != 1 for shape in shapes):
        raise ValueError(
            f"expected one picture at a time, (1, 3, H, W), got {' and '.join(map(str, shapes))}; "
            "use a loop: image[k : k + 1] is the k-th picture"
        )
    if same_shape and len({*shapes}) > 1:
        raise ValueError(
            f"expected two pictures of the same shape (N, 3, H, W), got {' and '.join(map(str, shapes))}; "
            "use course_lib.resize on one of them"
        )
    if small := [shape for shape in shapes if min(shape[2:]) < least]:
        raise ValueError(
            f"sides of at least {least} px are needed{f' by {why}' if why else ''}, got {small[0]}; "
            "measure a larger picture"
        )


def _check_tensor(picture: Tensor) -> None:
    if not isinstance(picture, Tensor):
        raise TypeError(
            f"expected a tensor (N, 3, H, W), got {type(picture).__name__}; course_lib.load_image reads a file, "
            "course_lib.images.from_pil converts a PIL picture"
        )
    shape = tuple(picture.shape)
    if len(shape) != 4 or shape[1] != 3 or not picture.numel():
        if len(shape) == 3:
            remedy = "image[None] adds the batch dimension"
        elif len(shape) == 4 and shape[1] == 1:
            remedy = "image.expand(-1, 3, -1, -1) makes three equal colors of one gray channel"
        elif len(shape) == 4 and shape[3] == 3:
            remedy = "image.permute(0, 3, 1, 2) puts the colors before height and width"
        else:
            remedy = "course_lib.load_image returns that shape"
        raise ValueError(f"expected a picture (N, 3, H, W), got {shape}; {remedy}")
    if not picture.is_floating_point():
        raise ValueError(f"expected floats in [0, 1], got {picture.dtype}; for 0..255 use image.float() / 255")


def _check_values(picture: Tensor) -> None:
    values = picture.detach()
    finite = torch.isfinite(values)
    if not finite.all():
        count = values.numel() - int(finite.sum())
        raise ValueError(
            f"{count} of {values.numel()} values are NaN or infinite, expected [0, 1]; the run that made the picture "
            "diverged, so measure the last picture before that"
        )
    low, high = (value.item() for value in values.aminmax())
    if max(-low, high) > _FAR:
        raise ValueError(
            f"values run from {low:.3g} to {high:.3g}, far outside [0, 1]; if pictures are on the scale 0..255, "
            "divide them by 255 first"
        )
