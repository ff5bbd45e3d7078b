"""Checks of how a label enters a network, and of what a border makes of it (Choi et al. 2018; `networks.stargan`).

As in `unpaired`, the results of common mistakes are computed, too (`labels_mistakes`), so that a check can name the
mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.teaching.checks.base import CheckFailed, attempt_as_described, near, need, random, tensor
from course_lib.teaching.checks.labels_mistakes import (
    BORDERS,
    Network,
    added,
    labeled,
    networks,
    planes,
    wrong_borders,
    wrong_labels,
    wrong_shapes,
)
from course_lib.teaching.checks.transforms import Mistake

_CASES = (  # labels, domains, height, width; the first one tells most mistakes apart
    ((2, 0, 3), 5, 6, 9),
    ((1, 1), 2, 5, 5),
    ((0, 4, 1, 1), 6, 4, 7),
    ((1,), 3, 4, 6),
)
_AT = "inside, at the upper edge and in the upper left corner"


def check_label_planes(function: Callable[[Tensor, Tensor, int], Tensor]) -> None:
    """Check pictures with a constant plane for each domain behind their colors (Choi et al. 2018, Section 4).

    Args:
        function: ``function(images, labels, num_domains)``, with pictures (N, 3, H, W) and the numbers of their
            domains, (N,) from 0 → (N, 3 + num_domains, H, W), floats: the colors as they are, then planes of 0 and 1.

    Raises:
        CheckFailed: a property does not hold.
    """
    for count, (labels, domains, height, width) in enumerate(_CASES):
        images, numbers = 2 * random(len(labels), 3, height, width, seed=count) - 1, torch.tensor(labels)
        value = attempt_as_described(function, images, numbers, domains)
        found = tensor(value)
        right = labeled(images, planes(images, numbers, domains))
        if found.shape != right.shape:
            hints = wrong_shapes(images, numbers, domains)
            hint = next((f": {message}" for message, shape in hints if found.shape == shape), "")
            raise CheckFailed(f"the shape must be (N, 3 + num_domains, H, W) = {tuple(right.shape)}, got "
                              f"{tuple(found.shape)}{hint}")  # fmt: skip
        need(value.is_floating_point(), f"the result is {_kind(value)}; a convolution takes floats")
        mistakes = wrong_labels(images, numbers, domains) if count == 0 else ()
        for message, wrong in mistakes:
            need(not near(found, wrong, 1e-3), message)
        need(near(found[:, :3], images), "the colors are not as they were; they come first, unchanged")
        flat = found[:, 3:].flatten(2)
        need(near(flat, flat[..., :1].expand_as(flat)), "a plane of the label must have the same value at every pixel")
        need(near(found, right), f"with the labels {labels} of {domains} domains, the planes are not those of the task")
    leaf = images.clone().requires_grad_()
    value = attempt_as_described(lambda x: function(x * 1, numbers, domains), leaf)
    need(
        value.requires_grad, "the values are right, but no gradient can pass to the pictures; a generator that gets "
        "its own fakes again learns through them"
    )  # fmt: skip
    print("✓ every picture has its own label, one plane for each domain")


def check_sees_label(function: Callable[[Network, Tensor, int], bool]) -> None:
    """Check a test of whether a network's output depends on the label. Small networks stand for the usual cases.

    Args:
        function: ``function(network, images, num_domains)``, with a network that takes pictures (N, 3, H, W) and the
            numbers of domains, (N,) → (N, 3, H, W), and pictures → True if some value of the output changes with the
            label by more than rounding. Changes up to 10⁻⁴ are rounding; all others here are above 10⁻³.

    Raises:
        CheckFailed: a property does not hold.
    """
    images = 2 * random(3, 3, 10, 8) - 1
    images[2] = 0.3 * images[2] - 0.6  # a dark one
    for network, domains, expected, message in networks():
        found = _truth(attempt_as_described(function, network, images, domains))
        need(network.seen > 0, "the network was not called")
        need(found == expected, f"you say {found}, but {message}")
    print("✓ you find out which networks see their label")


def check_plane_border(function: Callable[[Tensor, str], Tensor]) -> None:
    """Check what a convolution adds for a plane of ones: inside, at an edge and in a corner.

    Args:
        function: ``function(weight, padding)``, with one plane's weights (out, k, k), k odd, and ``"zeros"`` or
            ``"reflect"``, each k // 2 pixels wide → (out, 3): what is added to each output channel at a pixel inside,
            at the upper edge, and in the upper left corner, by a plane that is 1 everywhere.

    Raises:
        CheckFailed: a property does not hold.
    """
    for out, size in ((4, 5), (2, 3), (3, 1), (1, 7)):
        weight = random(out, size, size, seed=size) - 0.3
        for padding in BORDERS:
            value = attempt_as_described(function, weight, padding)
            found, right = tensor(value), added(weight, padding)
            need(
                found.shape == right.shape, f"the shape must be (out, 3) = {tuple(right.shape)}, got "
                f"{tuple(found.shape)}: for each output channel, what is added {_AT}"
            )  # fmt: skip
            mistakes: Iterable[Mistake] = wrong_borders(weight, padding) if size > 1 else ()
            _need_same(found, right, mistakes, f"with {padding} and kernels of side {size}, what is added is wrong")
    print("✓ you know where a constant plane leaves a trace")


def _need_same(found: Tensor, right: Tensor, mistakes: Iterable[Mistake], what: str) -> None:
    if near(found, right):
        return
    for message, wrong in mistakes:
        need(not near(found, wrong, 1e-3), message)
    places = [name for k, name in enumerate(("inside", "at the edge", "in the corner"))
              if not near(found[:, k], right[:, k])]  # fmt: skip
    raise CheckFailed(f"{what} {' and '.join(places)}; which of the kernel's weights lie on the plane there?")


def _truth(value: Any) -> bool:
    """A student's True or False: Python's, NumPy's, or a tensor of one element."""
    if isinstance(value, Tensor) and value.dtype == torch.bool and value.numel() == 1:
        return bool(value.item())
    if isinstance(value, bool | np.bool_):
        return bool(value)
    hint = "; does it end in `return`?" if value is None else ""
    raise CheckFailed(f"the function must return True or False, got {type(value).__name__}{hint}")


def _kind(value: Tensor) -> str:
    return str(value.dtype).rpartition(".")[2]
