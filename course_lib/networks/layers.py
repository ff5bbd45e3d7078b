"""Building blocks of networks: padded convolutions, normalizations, upsamplings, the residual block.

Convolutions reflect their borders. With a border of zeros, a network sees a black frame around every picture, and it
learns to paint one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.networks import instance_norm
from course_lib.networks.convolutions import ReflectedConv, ResizeConv
from course_lib.networks.inputs import at_least_float32

NORMS = ("instance", "batch", "none")
PLAIN = "plain instance"  # instance normalization without scale and shift
UPSAMPLINGS = ("resize", "transposed")


class InstanceNorm(nn.InstanceNorm2d):
    """Normalize each channel of each picture to mean 0 and variance 1, then scale and shift (Ulyanov et al. 2016).

    The statistics come from the picture itself, so a part of it is normalized differently from the whole. While `held`
    is set, its mean and variance are used instead: `held_statistics` takes them from one picture for all that follow,
    and `tiles.by_tiles` gathers them from the tiles of a large one.
    """

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__(channels, affine=affine)
        self.recording = False
        self.held: tuple[Tensor, Tensor] | None = None  # mean and variance of each channel, (C,) each

    def forward(self, x: Tensor) -> Tensor:
        if self.recording:
            wide = at_least_float32(x)
            self.held = wide.mean((0, 2, 3)), wide.var((0, 2, 3), correction=0)
        elif self.held is not None:
            return F.batch_norm(x, *self.held, self.weight, self.bias, training=False, eps=self.eps)
        if instance_norm.suits(x):
            if not self.affine:
                one = x.new_ones(x.shape[1], dtype=torch.float32)
                return instance_norm.normalized(x, one, torch.zeros_like(one), self.eps)
            return instance_norm.normalized(x, self.weight, self.bias, self.eps)
        if x.device.type == "cuda" and x.ndim == 4 and len(x) == 1:  # the same in one kernel, in any layout
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        self._check_input_dim(x)
        return instance_norm.by_torch(x, self.weight, self.bias, self.eps)


class Dropout(nn.Dropout):
    """Dropout whose zeros, on a CPU, are drawn in the order of channels-last memory, whatever the layout of its input.

    So a seed means the same zeros in every layout.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu" or x.ndim != 4:
            return super().forward(x)
        kept = torch.empty_like(x, memory_format=torch.channels_last).bernoulli_(1 - self.p).div_(1 - self.p)
        layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
        return x * kept.contiguous(memory_format=layout)


@contextmanager
def held_statistics(network: nn.Module, picture: Tensor) -> Iterator[None]:
    """Inside the ``with``, `network` normalizes every input by the statistics of `picture` (1, 3, H, W).

    With a small copy of a large picture, this is thumbnail instance normalization (Chen et al. 2022): run the copy
    once, then the parts. A copy has other statistics than its picture, so the parts only come close to the whole;
    `tiles.by_tiles` computes parts that equal it.
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
    """Inside the ``with``, `network` computes as in training, but none of its buffers changes.

    It normalizes by the statistics of the current batch and applies dropout, which is how pix2pix runs its generator
    at test time (Isola et al. 2017, Section 3.3).
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
        for module, training in modes:
            module.training = training


def initialize(network: nn.Module, std: float) -> None:
    """Draw filters from N(0, std²) and normalization scales from N(1, std²); set biases to 0 (Radford et al. 2016)."""
    for module in network.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(weight, nn.Parameter):
            nn.init.normal_(weight, 1.0 if weight.ndim == 1 else 0.0, std)
        if isinstance(bias, nn.Parameter):
            nn.init.zeros_(bias)


def receptive_field(network: nn.Module) -> tuple[int, int]:
    """Receptive field of one output of a chain of convolutions, and the distance between those of two neighbors.

    Computed from the last layer back: r ← (r − 1)·stride + dilation·(kernel − 1) + 1. Layers without a
    ``kernel_size`` act on single positions.

    Returns:
        side of the receptive field and total stride, in input pixels.

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
    """Build a normalization layer for `channels` channels.

    Args:
        kind: ``"instance"`` (with scale and shift), ``"plain instance"`` (without), ``"batch"``, or ``"none"``, which
            passes its input through.
        channels: of the input (N, channels, H, W).

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in (*NORMS, PLAIN):
        raise ValueError(f"unknown normalization {kind!r}; use one of {', '.join((*NORMS, PLAIN))}")
    if kind == "none":
        return nn.Identity()
    return nn.BatchNorm2d(channels) if kind == "batch" else InstanceNorm(channels, affine=kind != PLAIN)


def upsampling(kind: str, channels_in: int, channels_out: int) -> nn.Module:
    """A layer that doubles the size, (N, C, H, W) → (N, C', 2H, 2W), with 9·C·C' weights in both kinds.

    Args:
        kind: ``"resize"`` repeats every pixel 2×2 and applies a 3×3 convolution (Odena et al. 2016);
            ``"transposed"`` is a 3×3 convolution of stride ½, which adds unequal numbers of products to neighboring
            pixels and so makes a checkerboard.
        channels_in: C.
        channels_out: C'.

    Raises:
        ValueError: an unknown kind.
    """
    if kind == "resize":
        return ResizeConv(channels_in, channels_out)
    if kind == "transposed":
        return nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1)
    raise ValueError(f"unknown upsampling {kind!r}; use one of {', '.join(UPSAMPLINGS)}")


class ResidualBlock(nn.Module):
    """x + norm(conv(ReLU(norm(conv(x))))), with no ReLU after the sum (Gross & Wilber 2016; Johnson et al. 2016).

    Args:
        channels: C of the input and output (N, C, H, W).
        norm: see `norm_layer`.
        bias: whether the convolutions have one.
    """

    def __init__(self, channels: int, norm: str, *, bias: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ReflectedConv(channels, channels, 3, bias=bias),
            norm_layer(norm, channels),
            nn.ReLU(inplace=True),
            ReflectedConv(channels, channels, 3, bias=bias),
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


def with_class(x: Tensor, labels: Tensor | None, num_classes: int) -> Tensor:
    """Append the one-hot class: (N, C) → (N, C + num_classes); see `one_hot`."""
    return torch.cat((x, one_hot(labels, len(x), num_classes).to(x)), 1)


def one_hot(labels: Tensor | None, count: int, num_classes: int) -> Tensor:
    """Labels (N,) → (N, num_classes), a single 1 in each row; (N, 0) without classes.

    Raises:
        ValueError: labels are missing, not expected, or not one for each of the `count` rows.
    """
    if (labels is not None) != (num_classes > 0):
        given = "labels were given" if num_classes == 0 else "no labels were given"
        raise ValueError(f"this network was built for {num_classes} classes, but {given}")
    if labels is None:
        return torch.zeros(count, 0)
    if labels.shape != (count,):
        raise ValueError(f"expected one label for each of {count}, got shape {tuple(labels.shape)}")
    return F.one_hot(labels, num_classes)
