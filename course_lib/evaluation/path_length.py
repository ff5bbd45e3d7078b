"""Perceptual path length: how fast pictures change on the way between two styles (Karras et al. 2019, Section 4.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib import arguments, runtime
from course_lib.evaluation.metrics import lpips_each

STEP = 1e-4  # ε of the paper


def perceptual_path_length(
    paint: Callable[[Tensor], Tensor], a: Tensor, b: Tensor, *, step: float = STEP, seed: int = 0,
    distance: Callable[[Tensor, Tensor], Tensor] = lpips_each,
) -> Tensor:  # fmt: skip
    """E d(G(w_t), G(w_t+ε)) / ε² with w_t on the line from a to b, one number for each pair.

    A squared distance over the square of a step is a squared speed. On an even road between two pictures, everything
    changes a little all the time; on a bad one, something that is in neither of the two appears and vanishes.

    Args:
        paint: from styles (N, …) to pictures (N, 3, H, W) in [0, 1], for example
            ``lambda w: stylegan.paint(w, model).image``.
        a, b: (N, …), styles, or noise for another `paint`; then lines are chords, and the paper takes arcs.
        step: ε, in parts of the way.
        seed: of the places t, uniform in [0, 1].
        distance: of two batches of pictures, (N,); LPIPS on VGG-16 by default, which needs 16 px.

    Returns:
        (N,) float32; their mean is the number that papers print.

    Raises:
        ValueError: two batches of different shape, or a step that is not positive.

    >>> a, b = torch.zeros(3, 1), torch.ones(3, 1)
    >>> square = lambda x, y: (x - y).square().flatten(1).sum(1)
    >>> line = perceptual_path_length(lambda w: 5 * w, a, b, distance=square)  # a speed of 5 everywhere
    >>> line.round(decimals=1).tolist()
    [25.0, 25.0, 25.0]
    """
    step = arguments.positive("step", step)
    if a.shape != b.shape or not len(a):
        raise ValueError(f"expected two equal batches of styles, got {tuple(a.shape)} and {tuple(b.shape)}")
    t = torch.rand(len(a), generator=runtime.seeded_generator(arguments.seed(seed)))
    t = t.view(-1, *[1] * (a.ndim - 1))
    a, b = a.double(), b.double()
    here, there = (torch.lerp(a, b, place).float() for place in (t.double(), t.double() + step))
    return (distance(paint(here), paint(there)) / step**2).float()
