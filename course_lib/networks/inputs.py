"""What a network is given: checked for its shape, and converted to the number format of its weights.

So a network returns float64 after ``.double()``, and a float32 network accepts a float64 picture. Values are not read,
because a training step must not wait for the device.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from course_lib.image_checks import check_tensor


def entered(pictures: Tensor, network: nn.Module, *, smallest: int = 1) -> Tensor:
    """Pictures (N, 3, H, W) in the number format of the network's weights.

    Args:
        pictures: what `forward` was given.
        network: which one.
        smallest: the smallest side that it can take, in pixels.

    Raises:
        ImageError: not a tensor, another shape, whole numbers, or too small a picture; the message says which.

    >>> entered(torch.rand(1, 3, 8, 8, dtype=torch.float64), nn.Conv2d(3, 1, 1), smallest=8).dtype
    torch.float32
    """
    check_tensor(pictures, least=smallest, why="the network")
    return in_its_format(pictures, network)


def entered_rows(rows: Tensor, network: nn.Module, columns: int, what: str) -> Tensor:
    """Noise or points (N, columns) in the number format of the network's weights.

    Args:
        rows: what `forward` was given.
        network: which one.
        columns: how many numbers a row has.
        what: what the rows are, for the message: "noise".

    Raises:
        ValueError: not a tensor, another shape, or whole numbers.
    """
    if not isinstance(rows, Tensor) or rows.ndim != 2 or rows.shape[1] != columns or not rows.is_floating_point():
        got = f"{rows.dtype} of shape {tuple(rows.shape)}" if isinstance(rows, Tensor) else type(rows).__name__
        raise ValueError(f"expected {what} (N, {columns}), floats, got {got}")
    return in_its_format(rows, network)


def in_its_format(x: Tensor, network: nn.Module) -> Tensor:
    """`x` in the number format of the network's weights, or of its buffers if it has no weights."""
    return x.to(next(itertools.chain(network.parameters(), network.buffers())).dtype)


def at_least_float32(x: Tensor) -> Tensor:
    """`x` in float32, or in float64 if it already is; a network's result in 16 bits is returned in 32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
