"""A 3×3 convolution with reflected borders by Winograd's tiles, for networks in training.

See `course_lib.pretrained.winograd`. There the filters never change and are transformed once; here every step changes
them, so each pass transforms them again. That is repaid where a layer has many channels and a large enough map: the
residual blocks of CycleGAN's generator at the paper's size. The gradient of the picture is computed by the same tiles,
that of the filters as PyTorch computes it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.pretrained import winograd

_BORDER = (1, 1, 1, 1)
# Measured, forward and back, on one thread: with 256 channels 1.3 times as fast at 64², 1.2 at 48², nothing gained in a
# whole block at 32²; with 128 channels 1.2 at 64², but there tiles of a picture would no longer equal the whole.
FEWEST_CHANNELS, FEWEST_TILES = 256, 100


def pays(x: Tensor, weight: Tensor, stride: tuple[int, ...]) -> bool:
    """Whether `reflected` is the faster way: float32 on a CPU, 3×3, and as many channels and tiles as it takes.

    >>> pays(torch.rand(1, 256, 64, 64), torch.rand(256, 256, 3, 3), (1, 1))
    True
    >>> pays(torch.rand(1, 128, 64, 64), torch.rand(128, 128, 3, 3), (1, 1))
    False
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or weight.dtype != torch.float32 or x.ndim != 4:
        return False
    if weight.shape[2:] != (3, 3) or stride != (1, 1) or torch.is_autocast_enabled("cpu"):
        return False
    tiles = -(-x.shape[2] // winograd.OUTPUTS) * -(-x.shape[3] // winograd.OUTPUTS)
    return min(weight.shape[:2]) >= FEWEST_CHANNELS and tiles >= FEWEST_TILES


def reflected(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias)``.

    Args:
        x: (N, C, H, W) on a CPU, H and W at least 2; float32 or float64.
        weight: (O, C, 3, 3), in the type of `x`.
        bias: (O,), or None.

    Returns:
        (N, O, H, W), channels-last; it can be differentiated any number of times.
    """
    y: Tensor = _Reflected.apply(x, weight, bias)
    return y


def _plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(F.pad(x, _BORDER, mode="reflect"), weight, bias)


class _Reflected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        filters = winograd.Filters.of(weight, bias)
        return winograd.convolve(x, filters, winograd.Workspace(x.dtype), reflect=True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        if torch.is_grad_enabled():  # this gradient will be differentiated too: leave it to autograd
            wanted = [t for t, need in zip((x, weight, bias), ctx.needs_input_grad, strict=True) if need]
            found = iter(torch.autograd.grad(_plain(x, weight, bias), wanted, gradient, create_graph=True))
            return tuple(next(found) if need else None for need in ctx.needs_input_grad)
        of_x, of_weight, of_bias = ctx.needs_input_grad
        dx = dw = db = None
        if of_x:  # of the picture with its border, which is then folded back
            filters = winograd.Filters.of(weight, turned=True)
            wide = winograd.convolve(F.pad(gradient, _BORDER), filters, winograd.Workspace(x.dtype))
            dx = torch.ops.aten.reflection_pad2d_backward(wide, x, _BORDER)
        if of_weight or of_bias:
            _, dw, db = torch.ops.aten.convolution_backward(
                gradient, F.pad(x, _BORDER, mode="reflect"), weight, [len(weight)], [1, 1], [0, 0], [1, 1], False,
                [0, 0], 1, [False, of_weight, of_bias],
            )  # fmt: skip
        return dx, dw, db
