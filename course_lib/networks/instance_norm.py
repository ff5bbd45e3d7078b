"""Instance normalization of channels-last feature maps on a CPU, without leaving their memory layout.

PyTorch computes instance normalization as batch normalization of (1, N·C, H, W). Only contiguous tensors have that
view, so a channels-last one is copied there and back, which takes longer than the arithmetic. Here the H rows of a
picture are summed into one row of W·C partial results, the W results of each channel are joined (Chan, Golub & LeVeque
1983), and one multiplication and addition per entry does the rest.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.networks.inputs import at_least_float32

# Numbers in a picture's map below which the dozen small operations here take longer than PyTorch's two copies. Measured
# forward and back, on one thread: 2.7 times as long for 64 × 8², 1.3 times for 64 × 16², .6 times for 32 × 32².
FEWEST = 20_000


def suits(x: Tensor) -> bool:
    """Whether `normalized` takes `x`, a channels-last CPU tensor (N, C, H, W), and is faster for maps of its size."""
    return _has_rows(x) and x.numel() >= FEWEST * len(x)


def _has_rows(x: Tensor) -> bool:
    """Whether `_as_rows` is a view of each picture of `x`: a channels-last CPU tensor (N, C, H, W) with H · W > 1."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64, torch.bfloat16)
        and x.ndim == 4
        and x.shape[2] * x.shape[3] > 1
        and x.is_contiguous(memory_format=torch.channels_last)
        and not x.is_contiguous()
    )


def normalized(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """weight · (x − mean) / sqrt(variance + eps) + bias, with the mean and variance of each channel of each picture.

    Args:
        x: (N, C, H, W), channels-last, on a CPU, with H · W > 1; see `suits`.
        weight, bias: (C,), or (N, C) with a row for each picture.
        eps: added to the variance.

    Returns:
        (N, C, H, W), channels-last, in the type of `x`; it can be differentiated any number of times.
    """
    wide = torch.promote_types(x.dtype, torch.float32)  # the kernels of bfloat16 take float32
    rows = (each.to(wide).expand(x.shape[:2]) for each in (weight, bias))  # autograd sums the gradients of the rows
    y: Tensor = _InstanceNorm.apply(x, *rows, eps)
    return y


def by_torch(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """`torch.nn.functional.instance_norm` with a right gradient; its result is contiguous.

    Args:
        x: (N, C, H, W), in any layout.
        weight, bias: (C,), or None.
        eps: added to the variance.
    """
    y = F.instance_norm(x.contiguous(), weight=weight, bias=bias, eps=eps)
    if len(x) == 1 and y.requires_grad:  # on a CPU, its backward is wrong for one channels-last gradient
        y.register_hook(lambda gradient: gradient.contiguous())
    return y


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (not corrected for small samples) of each channel of each picture.

    Args:
        x: (N, C, H, W), in any layout and on any device.

    Returns:
        (N, C) each; float32 for types of 16 bits, otherwise in the type of `x`.
    """
    if x.device.type == "cpu" and x.shape[2] * x.shape[3] > 1:
        x = x.contiguous(memory_format=torch.channels_last)
    if _has_rows(x):
        return _statistics(x)
    variance, mean = torch.var_mean(at_least_float32(x), (2, 3), correction=0)
    return mean, variance


class Gathered:
    """The mean and the variance of a feature map's channels, joined from those of its parts.

    To n positions with mean m and sum of squared deviations s, k positions with mean m' and variance v' are joined by
    m ← m + k / (n + k) · (m' − m) and s ← s + k v' + n k / (n + k) · (m' − m)², both in float64 (Chan, Golub & LeVeque
    1983). No large sums are subtracted from each other, so nothing cancels.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sums: tuple[Tensor, Tensor] | None = None  # m and s, (C,) each, on the CPU
        self.like: Tensor | None = None  # what the parts' statistics are: their type and their device

    def add(self, part: Tensor) -> None:
        """Add a part (1, C, h, w); each position may be added only once."""
        mean, variance = statistics(part)
        self.like = mean
        new_mean, new_variance = mean[0].cpu().double(), variance[0].cpu().double()
        if self.sums is None:
            self.sums = torch.zeros_like(new_mean), torch.zeros_like(new_mean)
        new, before = part.shape[2] * part.shape[3], self.count
        self.count += new
        difference = new_mean.sub_(self.sums[0])
        self.sums[0].add_(difference, alpha=new / self.count)
        self.sums[1].add_(new_variance, alpha=new).addcmul_(difference, difference, value=before * new / self.count)

    def joined(self) -> tuple[Tensor, Tensor]:
        """The mean and the variance of all that was added, (C,) each, in the type and on the device of the parts."""
        assert self.sums is not None
        assert self.like is not None
        return self.sums[0].to(self.like), (self.sums[1] / self.count).to(self.like)


class _InstanceNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        mean, variance = _statistics(x)
        ctx.save_for_backward(x, weight, bias, mean, (variance + eps).rsqrt_())
        ctx.eps = eps
        y = torch.empty_like(x)
        _normalize(x, weight, bias, mean, variance, eps, out=y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, scale = ctx.saved_tensors
        if torch.is_grad_enabled():  # this gradient will be differentiated too: leave it to autograd
            y = F.instance_norm(x.contiguous(), eps=ctx.eps) * _as_maps(weight) + _as_maps(bias)
            y = y.to(x.dtype)
            needed = ctx.needs_input_grad[:3]
            wanted = [tensor for tensor, need in zip((x, weight, bias), needed, strict=True) if need]
            found = iter(torch.autograd.grad(y, wanted, gradient.contiguous(), create_graph=True))
            return *(next(found) if need else None for need in needed), None
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        if x.dtype == torch.bfloat16:
            dx, slope, offset = _backward_in_half(gradient, x, weight, mean, scale)
            return dx, slope, offset, None
        # dx = weight · scale · (g − Σg / M − x̂ · Σ(g · x̂) / M), with x̂ = scale · (x − mean)
        offset, slope = _gradient_sums(gradient, x, mean)  # Σ g and Σ g · (x − mean), (N, C) each
        slope = slope * scale
        positions, of_gradient = x.shape[2] * x.shape[3], weight * scale
        of_x = -of_gradient * scale * slope / positions
        rest = -of_gradient * offset / positions - of_x * mean
        dx = torch.addcmul(_as_maps(rest), x, _as_maps(of_x)).addcmul_(gradient, _as_maps(of_gradient))
        return dx, slope, offset, None


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of each picture, (N, C) each; float32 for bfloat16."""
    width, channels = x.shape[3], x.shape[1]
    wide = torch.promote_types(x.dtype, torch.float32)
    zero, one = x.new_zeros(width * channels, dtype=wide), x.new_ones(width * channels, dtype=wide)  # set the type only
    each = [torch.batch_norm_update_stats(_as_rows(picture), zero, one, 0.0) for picture in x.split(1)]
    means, variances = (torch.stack(part).view(-1, width, channels) for part in zip(*each, strict=True))
    mean = means.mean(1)
    return mean, variances.mean(1) + (means - mean[:, None]).square_().mean(1)


def _normalize(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float, *, out: Tensor
) -> None:
    if x.dtype != torch.bfloat16:
        scale = weight * (variance + eps).rsqrt()
        torch.addcmul(_as_maps(bias - mean * scale), x, _as_maps(scale), out=out)
        return
    unused = torch.empty(0)
    for k in range(len(x)):  # this kernel computes in float32 and rounds once
        torch.ops.aten.native_batch_norm.out(
            x[k : k + 1], weight[k], bias[k], mean[k], variance[k], False, 0.0, eps,
            out=out[k : k + 1], save_mean=unused, save_invstd=unused,
        )  # fmt: skip


def _gradient_sums(gradient: Tensor, x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    width, channels = x.shape[3], x.shape[1]
    one, sums = x.new_ones(width * channels), []
    for k in range(len(x)):
        rows, center = _as_rows(x[k : k + 1]), mean[k].repeat(width)
        _, slope, offset = torch.ops.aten.native_batch_norm_backward(
            _as_rows(gradient[k : k + 1]), rows, None, None, None, center, one, True, 0.0, [False, True, True]
        )
        sums.append((offset.view(width, channels).sum(0), slope.view(width, channels).sum(0)))
    offset, slope = (torch.stack(part) for part in zip(*sums, strict=True))
    return offset, slope


def _backward_in_half(
    gradient: Tensor, x: Tensor, weight: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    each = [
        torch.ops.aten.native_batch_norm_backward(
            gradient[k : k + 1], x[k : k + 1], weight[k], None, None, mean[k], scale[k], True, 0.0, [True, True, True]
        )
        for k in range(len(x))
    ]
    dx, slope, offset = zip(*each, strict=True)
    return torch.cat(dx), torch.stack(slope), torch.stack(offset)


def _as_rows(picture: Tensor) -> Tensor:
    """(1, C, H, W), channels-last → (H, W·C, 1, 1), a view: H examples of W·C channels."""
    _, channels, height, width = picture.shape
    return picture.permute(0, 2, 3, 1).view(height, width * channels, 1, 1)


def _as_maps(numbers: Tensor) -> Tensor:
    """(N, C) → (N, C, 1, 1), channels-last."""
    return numbers[..., None, None]
