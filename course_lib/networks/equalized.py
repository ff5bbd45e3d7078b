"""Layers with an equalized learning rate, and the filters that halve and double feature maps without aliasing.

Weights are drawn from N(0, 1), and a layer multiplies them by 1/√fan-in each time it is used (Karras et al. 2018,
Section 4.1). Adam moves every weight by about its learning rate, so that all layers then change at the same relative
speed, whatever their size. The activation `leaky` is scaled by √2, so that the signal keeps its variance.

The filter is [1, 3, 3, 1] in both directions, as in the released code of StyleGAN2. A convolution whose stride is 2
skips every other position and takes high frequencies for low ones; blurring first avoids it (Zhang 2019).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = (1.0, 3.0, 3.0, 1.0)  # (1, 1) three times: the binomial filter
_SLOPE = 0.2  # of the leaky ReLU


def leaky(x: Tensor) -> Tensor:
    """√2 · LeakyReLU(x) with slope 0.2; a standard normal x keeps its variance up to 4 %.

    >>> leaky(torch.tensor([1.0, -1.0])).tolist()
    [1.4142135381698608, -0.2828427255153656]
    """
    return F.leaky_relu(x, _SLOPE) * math.sqrt(2)


class EqualLinear(nn.Module):
    """x ↦ x·Wᵀ·c + b with c = rate/√columns, for rows (N, columns) → (N, rows).

    Args:
        columns, rows: numbers of inputs and outputs.
        bias: what every bias is at first.
        rate: the factor on the learning rate. Weights start as N(0, 1/rate²), and the biases are divided by it in the
            same way, so that the layer's first output does not depend on it: only its speed does.

    >>> layer = EqualLinear(100, 2, bias=1.0, rate=0.01)
    >>> layer(torch.zeros(1, 100)).tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, columns: int, rows: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(rows, columns) / rate)
        self.bias = nn.Parameter(torch.full((rows,), bias / rate))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * (self.rate / math.sqrt(self.weight.shape[1])), self.bias * self.rate)


class EqualConv(nn.Module):
    """A convolution of the same size, (N, C, H, W) → (N, out, H, W), with weights times 1/√(C·size²).

    Args:
        channels, out: numbers of channels.
        size: side of the kernel, odd.
        bias: with a bias, 0 at first.
        down: blur, then keep every other position: (N, out, H/2, W/2), for even H and W.
    """

    def __init__(self, channels: int, out: int, size: int, *, bias: bool = True, down: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, channels, size, size))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight.shape[-1]
        weight = self.weight / math.sqrt(self.weight[0].numel())
        if not self.down:
            return F.conv2d(x, weight, self.bias, padding=size // 2)
        if size == 1:  # the blur may skip what the convolution would skip
            return F.conv2d(halved(x), weight, self.bias)
        return F.conv2d(blurred(x, 2, 2), weight, self.bias, stride=2)


def blurred(x: Tensor, before: int, after: int) -> Tensor:
    """Filter each channel with [1, 3, 3, 1]/8 in both directions: (N, C, H, W) → (N, C, H + b + a − 3, …).

    Args:
        before, after: zeros that are added on the left and top, and on the right and bottom.
    """
    if before == after:
        return F.conv2d(x, _taps(x), padding=before, groups=x.shape[1])
    return F.conv2d(F.pad(x, (before, after, before, after)), _taps(x), groups=x.shape[1])


def halved(x: Tensor) -> Tensor:
    """Blur, then keep every other position: (N, C, H, W) → (N, C, H/2, W/2), for even H and W."""
    return F.conv2d(x, _taps(x), stride=2, padding=1, groups=x.shape[1])


def doubled(x: Tensor) -> Tensor:
    """Zeros between the positions, then a blur: (N, C, H, W) → (N, C, 2H, 2W). Constant maps stay, except at borders.

    >>> doubled(torch.ones(1, 1, 4, 4))[0, 0, 3].tolist()
    [0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75]
    """
    return F.conv_transpose2d(x, 4 * _taps(x), stride=2, padding=1, groups=x.shape[1])


def _taps(x: Tensor) -> Tensor:
    """The filter for each of the channels of `x`, (C, 1, 4, 4); it sums to 1."""
    line = torch.tensor(TAPS, device=x.device, dtype=x.dtype) / sum(TAPS)
    return (line[:, None] * line).expand(x.shape[1], 1, -1, -1)
