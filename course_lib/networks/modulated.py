"""Convolutions that a style controls: modulation with demodulation (Karras et al. 2020), or AdaIN (Karras et al. 2019).

A style w becomes one scale s_i for each input channel. StyleGAN2 scales the *weights*,

    w'_ijk  = s_i · w_ijk                                   Eq. 1: modulation
    w''_ijk = w'_ijk / √(Σ_ik w'_ijk² + ε)                  Eq. 3: demodulation

Each output channel j then has unit variance *if* the inputs are independent with unit variance: the scales follow from
the weights alone. Adaptive instance normalization divides by what each map actually contains. A single large value
raises its deviation, and all the rest of the map is scaled down: a network can hide a signal behind such a spike, and
StyleGAN does. These are its blob artifacts (Section 2).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.networks.equalized import EqualLinear, blurred, leaky
from course_lib.networks.layers import InstanceNorm

STYLES = ("demodulation", "instance")
EPS = 1e-8  # of Eq. 3


def modulated_conv(x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool = True, up: bool = False) -> Tensor:
    """Convolve each picture with weights of its own (Karras et al. 2020, Eqs. 1 and 3).

    Scaling the input channels equals scaling the weights (convolution is linear in both), and scaling an output channel
    equals dividing all weights that lead to it. So one convolution serves the whole batch.

    Args:
        x: (N, C, H, W).
        weight: (out, C, k, k), k odd, shared by the batch.
        style: (N, C), the scales s.
        demodulate: divide by Eq. 3.
        up: double the size: a transposed convolution of stride 2, for k = 3, and a blur.

    Returns:
        (N, out, H, W), or (N, out, 2H, 2W).

    >>> x, weight = torch.randn(2, 3, 8, 8), torch.randn(5, 3, 3, 3)
    >>> y = modulated_conv(x, weight, torch.full((2, 3), 7.0))  # a style that scales all channels alike is undone
    >>> torch.allclose(y, modulated_conv(x, weight, torch.ones(2, 3)), atol=1e-5)
    True
    """
    x = x * style[:, :, None, None].to(x.dtype)
    if up:
        y = 4 * blurred(F.conv_transpose2d(x, weight.transpose(0, 1).flip(2, 3), stride=2), 1, 1)
    else:
        y = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    if demodulate:
        y = y * demodulation(weight, style)[:, :, None, None].to(y.dtype)
    return y


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """1/√(Σ (s_i w_ijk)² + ε) for each picture and output channel (Karras et al. 2020, Eq. 3).

    Args:
        weight: (out, C, k, k).
        style: (N, C).

    Returns:
        (N, out).

    >>> demodulation(torch.tensor([[[[3.0]], [[4.0]]]]), torch.tensor([[1.0, 1.0], [2.0, 0.0]]))
    tensor([[0.2000],
            [0.1667]])
    """
    energy = weight.square().sum((2, 3))  # (out, C)
    return (F.linear(style.square(), energy) + EPS).rsqrt()


class StyledConv(nn.Module):
    """A layer of the generator: styled convolution, noise, bias, activation.

    With ``"demodulation"``, the style scales the weights and the order is that of Karras et al. 2020, Figure 2 (c).
    With ``"instance"``, it is that of Karras et al. 2019, Figure 1 (b): convolution, noise, bias, activation, and last
    AdaIN, which normalizes each map of each picture and gives it the style's scale and shift.

    Args:
        channels, out: numbers of channels.
        w_size: length of a style vector w.
        style: one of `STYLES`.
        up: double the size.
    """

    def __init__(self, channels: int, out: int, w_size: int, *, style: str = "demodulation", up: bool = False) -> None:
        super().__init__()
        self.up, self.norm = up, InstanceNorm(out, affine=False) if style == "instance" else None
        self.weight = nn.Parameter(torch.randn(out, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        if self.norm is None:
            self.affine = EqualLinear(w_size, channels, bias=1.0)
        else:
            self.affine = EqualLinear(w_size, 2 * out)  # scale − 1 and shift

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """Feature maps (N, C, H, W), styles (N, w_size) and noise (N or 1, 1, H', W') → (N, out, H', W')."""
        weight, style = self.weight / math.sqrt(self.weight[0].numel()), self.affine(w)
        if self.norm is None:
            y = modulated_conv(x, weight, style, up=self.up)
        else:
            y = modulated_conv(x, weight, x.new_ones(x.shape[:2]), demodulate=False, up=self.up)
        y = leaky(y + self.noise_strength * noise + self.bias[:, None, None])
        if self.norm is not None:
            scale, shift = style[:, :, None, None].chunk(2, 1)
            y = self.norm(y) * (1 + scale) + shift
        return y


class ToRGB(nn.Module):
    """Feature maps → colors: a 1×1 convolution that is modulated but not demodulated, (N, C, H, W) → (N, 3, H, W).

    Args:
        channels: number of channels.
        w_size: length of a style vector w.
        style: with ``"instance"``, the colors do not depend on w, as in Karras et al. 2019.
    """

    def __init__(self, channels: int, w_size: int, *, style: str = "demodulation") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.affine = EqualLinear(w_size, channels, bias=1.0) if style == "demodulation" else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = x.new_ones(x.shape[:2]) if self.affine is None else self.affine(w)
        weight = self.weight / math.sqrt(self.weight.shape[1])
        return modulated_conv(x, weight, style, demodulate=False) + self.bias[:, None, None]
