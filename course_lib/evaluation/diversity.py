"""How much the pictures of a set differ: the number that falls when a generator collapses."""

from __future__ import annotations

from torch import Tensor

from course_lib.evaluation.inputs import check
from course_lib.image_checks import ImageError
from course_lib.training.collapse import spread


def diversity(images: Tensor) -> float:
    """The root mean square difference between two pictures drawn from the set.

    It is √(2 · variance), with the unbiased variance over the set of each color of each pixel, averaged over all. A
    generator that has collapsed to one picture has 0. The number says nothing about quality: noise is most diverse.

    Args:
        images: (N, 3, H, W) in [0, 1], N at least 2.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: fewer than two pictures, or not pictures in [0, 1].

    >>> import torch
    >>> black, white = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    >>> diversity(torch.cat((black, white))), diversity(torch.cat((white, white)))
    (1.0, 0.0)
    """
    check(images)
    if len(images) < 2:
        raise ImageError(f"a difference needs two pictures, got {len(images)}")
    return spread(images)
