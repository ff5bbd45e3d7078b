"""Blocks that networks are made of: padded convolutions, normalizations, upsamplings, the residual block.

Everything here keeps the size of a picture where it says so, for any size: borders are reflected, because a border of
zeros is a black frame that a network sees and paints.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMS = ("instance", "batch", "none")
UPSAMPLINGS = ("resize", "transposed")


def reflected_conv(channels_in: int, channels_out: int, kernel: int, *, stride: int = 1) -> nn.Conv2d:
    """A convolution over a picture continued by its mirror image: (N, C, H, W) → (N, C', ⌈H/stride⌉, ⌈W/stride⌉)."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, padding_mode="reflect")


class InstanceNorm(nn.InstanceNorm2d):
    """Every channel of every picture to mean 0 and variance 1, then scaled and shifted (Ulyanov et al. 2016).

    The statistics are the picture's own, so a part of it gives another answer than the whole. `held_statistics`
    keeps those of one picture for all that follow: a large picture can then be computed in parts without seams.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)
        self.recording = False
        self.held: tuple[Tensor, Tensor] | None = None  # mean and variance of each channel, (C,) each

    def forward(self, x: Tensor) -> Tensor:
        if self.recording:
            wide = x.float()
            self.held = wide.mean((0, 2, 3)), wide.var((0, 2, 3), correction=0)
        elif self.held is not None:
            return F.batch_norm(x, *self.held, self.weight, self.bias, training=False, eps=self.eps)
        y: Tensor = super().forward(x)
        if len(x) == 1 and y.requires_grad:  # torch on a CPU walks back wrongly from one channels-last gradient
            y.register_hook(lambda gradient: gradient.contiguous())
        return y


@contextmanager
def held_statistics(network: nn.Module, picture: Tensor) -> Iterator[None]:
    """Normalize whatever `network` is given inside the ``with`` by the statistics of `picture` (1, 3, H, W).

    The idea of Chen et al. 2022 (thumbnail instance normalization): one small picture of the whole, then the parts.
    """
    norms = [module for module in network.modules() if isinstance(module, InstanceNorm)]
    try:
        for norm in norms:
            norm.recording = True
        with torch.no_grad():
            network(picture)
        for norm in norms:
            norm.recording = False
        yield
    finally:
        for norm in norms:
            norm.recording, norm.held = False, None


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Normalize by the batch at hand, drop out, and keep no statistics of it: how pix2pix tests its generator.

    Inside the ``with``, `network` computes as in training, but none of its buffers changes.
    """
    modes = [(module, module.training) for module in network.modules()]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = [norm.track_running_stats for norm in norms]
    try:
        network.train()
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm, tracked in zip(norms, kept, strict=True):
            norm.track_running_stats = tracked
        _restore(modes)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Inside the ``with``, `network` drops nothing and normalizes by what it collected in training."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        yield
    finally:
        _restore(modes)


def _restore(modes: list[tuple[nn.Module, bool]]) -> None:
    for module, training in modes:
        module.training = training


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Inside the ``with``, gradients go through `network` and none is kept for its weights."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def initialize(network: nn.Module, std: float) -> None:
    """Filters from N(0, std²), normalization's scales from N(1, std²), every offset 0 (Radford et al. 2016, DCGAN)."""
    for module in network.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(weight, nn.Parameter):
            nn.init.normal_(weight, 1.0 if weight.ndim == 1 else 0.0, std)
        if isinstance(bias, nn.Parameter):
            nn.init.zeros_(bias)


def receptive_field(network: nn.Module) -> tuple[int, int]:
    """How many input pixels one output of a chain of convolutions sees, and how far apart two neighbors look.

    From the last layer back: r ← (r − 1)·stride + dilation·(kernel − 1) + 1. Layers without a ``kernel_size`` see
    one place.

    Returns:
        side of the field and stride, in pixels.

    >>> receptive_field(nn.Sequential(nn.Conv2d(3, 8, 4, stride=2), nn.ReLU(), nn.Conv2d(8, 1, 4)))
    (10, 2)
    """
    field, stride = 1, 1
    chain = [module for _, module in network.named_modules(remove_duplicate=False) if hasattr(module, "kernel_size")]
    for layer in reversed(chain):
        kernel, step, dilation = (
            int(value if isinstance(value, int) else value[0])
            for value in (layer.kernel_size, layer.stride, getattr(layer, "dilation", 1))
        )
        field = (field - 1) * step + dilation * (kernel - 1) + 1
        stride *= step
    return field, stride


def norm_layer(kind: str, channels: int) -> nn.Module:
    """``"instance"`` (with scale and shift), ``"batch"``, or ``"none"``."""
    if kind not in NORMS:
        raise ValueError(f"unknown normalization {kind!r}; use one of {', '.join(NORMS)}")
    if kind == "none":
        return nn.Identity()
    return InstanceNorm(channels) if kind == "instance" else nn.BatchNorm2d(channels)


def upsampling(kind: str, channels_in: int, channels_out: int) -> nn.Module:
    """Twice the size: (N, C, H, W) → (N, C', 2H, 2W), with 9·C·C' weights either way.

    Args:
        kind: ``"resize"``, every pixel repeated to 2×2 and a 3×3 convolution over it (Odena et al. 2016), or
            ``"transposed"``, a 3×3 convolution of stride ½, which puts unequal numbers of products into
            neighboring pixels: the checkerboard.
    """
    if kind == "resize":
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), reflected_conv(channels_in, channels_out, 3))
    if kind == "transposed":
        return nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1)
    raise ValueError(f"unknown upsampling {kind!r}; use one of {', '.join(UPSAMPLINGS)}")


class ResidualBlock(nn.Module):
    """x + norm(conv(ReLU(norm(conv(x))))): no ReLU after the sum (Gross & Wilber 2016, as in Johnson et al. 2016).

    (N, C, H, W) → the same.
    """

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            reflected_conv(channels, channels, 3),
            norm_layer(norm, channels),
            nn.ReLU(inplace=True),
            reflected_conv(channels, channels, 3),
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


def with_class(x: Tensor, labels: Tensor | None, num_classes: int) -> Tensor:
    """(N, C) → (N, C + num_classes)."""
    return torch.cat((x, one_hot(labels, len(x), num_classes).to(x)), 1)


def one_hot(labels: Tensor | None, count: int, num_classes: int) -> Tensor:
    """(N,) → (N, num_classes); without classes (N, 0)."""
    if (labels is not None) != (num_classes > 0):
        came = "labels came" if num_classes == 0 else "no labels came"
        raise ValueError(f"this network knows {num_classes} classes, and {came}")
    if labels is None:
        return torch.zeros(count, 0)
    if labels.shape != (count,):
        raise ValueError(f"expected one label for each of {count}, got shape {tuple(labels.shape)}")
    return F.one_hot(labels, num_classes)
