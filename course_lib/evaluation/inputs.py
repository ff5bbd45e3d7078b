"""What a measure accepts: pictures (N, 3, H, W) in [0, 1], finite, of the same shape, and large enough.

A measure that was given half a picture or another scale would still return a number, and nobody would notice. All
measures of this folder therefore call `check` first, and all refuse the same pictures with the same sentences.
"""

from __future__ import annotations

from torch import Tensor

from course_lib.image_checks import check_pictures

FAR = 10.0  # pictures that were not clipped, or got noise, overshoot [0, 1], but not this far


def check(
    *pictures: Tensor, least: int = 1, why: str = "", same_shape: bool = True, single: bool = False,
    centered: bool = False,
) -> None:  # fmt: skip
    """Refuse what is not a picture, or not two pictures that can be compared.

    Args:
        pictures: one or two tensors, expected to be (N, 3, H, W), floating point, in [0, 1]. Values may overshoot up
            to ±10, because noise and pictures that were not clipped do. A picture on the scale 0..255 goes farther; one
            that fills [-1, 1] is refused as well.
        least: the smallest side that the measure can use, in pixels.
        why: what needs that side, for the message.
        same_shape: whether two pictures must have the same shape.
        single: whether N must be 1.
        centered: whether values around 0 are allowed, too: for measures that do not depend on contrast and brightness.

    Raises:
        ImageError: not a tensor, another shape, an integer dtype, nothing in it, values that are not finite or on
            another scale, sides below `least`, or a batch where one picture is expected.
        ValueError: two different shapes.

    >>> import torch
    >>> check(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16), least=11)
    """
    for picture in pictures:
        check_pictures(picture, single=single, least=least, why=why or "the measure", overshoot=FAR, centered=centered)
    shapes = [tuple(picture.shape) for picture in pictures]
    if same_shape and len({*shapes}) > 1:
        raise ValueError(
            f"expected two pictures of the same shape (N, 3, H, W), got {' and '.join(map(str, shapes))}; "
            "use course_lib.resize on one of them"
        )
