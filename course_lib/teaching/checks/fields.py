"""Checks of receptive fields, computed and measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from course_lib.networks import layers
from course_lib.teaching.checks.base import attempt_as_described, need, random, whole


def check_receptive_field(function: Callable[[Sequence[tuple[int, int]]], int]) -> None:
    """Check a computation of receptive fields.

    Args:
        function: list of (kernel, stride), first layer first → side of the receptive field of one output, in pixels.

    Raises:
        CheckFailed: a wrong result; the message names the chain of layers.
    """
    for chain, hint in (
        ([], "without layers, an output is the pixel itself"),
        ([(3, 1)], "one layer sees its kernel"),
        ([(3, 1), (3, 1)], "a second 3×3 layer sees three outputs of the first, whose receptive fields overlap"),
        ([(3, 2), (3, 1)], "after a stride of 2, neighboring outputs are two pixels apart"),
        ([(3, 1), (3, 2)], "the last layer's own stride moves its outputs apart, but does not widen their fields"),
        ([(4, 2), (4, 2), (3, 1)], "every stride before a layer counts, not only the last one"),
        ([(1, 1), (1, 1)], "layers with 1×1 kernels see one pixel"),
        ([(1, 2), (3, 1)], "a stride counts, whatever the kernel"),
        ([(3, 3), (2, 4), (3, 1)], "a stride other than 2 counts with its own size"),
        ([(4, 2)] * 3 + [(4, 1)] * 2, "compare with the size in the discriminator's name"),
    ):
        network = nn.Sequential(*(nn.Conv2d(1, 1, kernel, stride) for kernel, stride in chain))
        answer = whole(attempt_as_described(function, list(chain)))
        need(
            answer == layers.receptive_field(network)[0],
            f"for {chain} you get {answer}; {hint}",
        )
    print("✓ the receptive field of any chain of layers")


def check_field_by_gradient(function: Callable[[nn.Module, int], int]) -> None:
    """Check a measurement of the receptive field by gradient.

    Args:
        function: ``function(network, size)`` → side of the receptive field in pixels, measured on a picture
            (1, 1, size, size). The network has one input channel and one output channel.

    Raises:
        CheckFailed: a wrong result; the message names the layers.
    """
    for chain in ([(3, 1, 1)], [(3, 1, 1), (5, 1, 2)], [(4, 2, 1), (4, 2, 1), (3, 1, 1)], [(4, 2, 1)] * 3):
        network = nn.Sequential(*(nn.Conv2d(1, 1, *layer) for layer in chain))
        with torch.no_grad():
            for k, parameter in enumerate(network.parameters()):
                parameter.copy_(0.1 + random(*parameter.shape, seed=k))
        answer = whole(attempt_as_described(function, network, 64))
        expected = layers.receptive_field(network)[0]
        words = ", ".join(f"{kernel}×{kernel} stride {stride}" for kernel, stride, _ in chain)
        hint = "is the output far enough from the border?" if answer < expected else "how many outputs do you use?"
        need(
            answer == expected,
            f"for {words} you measure {answer}, which is too {'small' if answer < expected else 'large'}; {hint}",
        )
    print("✓ the receptive field, measured")
