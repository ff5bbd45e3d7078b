"""Convolutions that give the same result with less work: few outputs, a picture just enlarged, a map of few positions.

All are linear in the picture and in the filters. Rearranging the filters therefore changes nothing but the rounding,
and autograd differentiates the rearrangement. The modules have the parameters, and the names, of PyTorch's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.networks import reflected_winograd

_BLOCK = 4  # neighboring output pixels that are computed together as channels


class ReflectedConv(nn.Conv2d):
    """A convolution whose borders are reflected: (N, C, H, W) → (N, C', ⌈H/stride⌉, ⌈W/stride⌉).

    A CPU computes 16 output channels at a time, so a convolution with three of them leaves most of its work unused.
    Channels-last, four neighboring pixels are one pixel of 4·C channels, without moving any data. `forward` then
    computes 4·C' channels of every fourth pixel: a third more products for 9×9 filters, in less than half the time.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, bias: bool = True) -> None:
        super().__init__(
            channels_in, channels_out, kernel, stride, padding=kernel // 2, padding_mode="reflect", bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        if reflected_winograd.pays(x, self.weight, self.stride):
            return reflected_winograd.reflected(x, self.weight, self.bias)
        return self.inside(self.bordered(x))

    def bordered(self, x: Tensor, *, above: bool = True, below: bool = True) -> Tensor:
        """Add the reflected border: on the left and on the right, and above and below if asked."""
        pad = self.kernel_size[0] // 2
        return _padded(x, (pad, pad, above * pad, below * pad), "reflect")

    def inside(self, x: Tensor) -> Tensor:
        """Convolve without adding a border: kernel − 1 rows and columns fewer, at stride 1."""
        pad = self.kernel_size[0] // 2
        blocked = self.out_channels <= _BLOCK and pad > 1 and self.in_channels >= _BLOCK and self.stride == (1, 1)
        if blocked and x.device.type == "cpu" and x.shape[-1] % _BLOCK == 0:
            return _in_blocks(x, self.weight, self.bias)
        return F.conv2d(x, self.weight, self.bias, self.stride)


class ResizeConv(nn.Sequential):
    """Repeat every pixel 2×2 and apply a 3×3 convolution: (N, C, H, W) → (N, C', 2H, 2W).

    A 3×3 filter sees only 2×2 different pixels of the enlarged picture. Adding up the weights that meet the same pixel
    leaves 4 products of 9: a transposed convolution of stride 2 with 4×4 filters, which never computes the enlarged
    picture. Its filters are the given ones, convolved with the 2×2 square that the repetition is. (A transposed
    convolution with *free* filters makes a checkerboard; this one cannot.)
    """

    def __init__(self, channels_in: int, channels_out: int, *, bias: bool = True) -> None:
        super().__init__(
            nn.Upsample(scale_factor=2, mode="nearest"), ReflectedConv(channels_in, channels_out, 3, bias=bias)
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            y: Tensor = super().forward(x)
            return y
        conv = self[1]
        assert isinstance(conv, ReflectedConv)
        x = _padded(x, (1, 1, 1, 1), "replicate")  # an enlarged picture reflected by one pixel repeats its border
        return F.conv_transpose2d(x, _squared(conv.weight), conv.bias, stride=2, padding=3)


class HalvingConv(nn.Conv2d):
    """A 4×4 convolution of stride 2 without offsets: (N, C, H, W) → (N, C', H/2, W/2).

    Near the bottleneck of a U-Net there are thousands of weights for each position, and reordering them takes a
    convolution longer than the products. There, a CPU computes one matrix product with the weights as they lie. (The
    positions are its rows, in memory too: with few of them, the transposed product takes up to ten times as long.)
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        positions = count * (height // 2) * (width // 2)
        if not _as_product(x, self.weight, positions) or height % 2 or width % 2:
            return super().forward(x)
        rows = F.unfold(x, 4, padding=1, stride=2).transpose(1, 2).reshape(positions, -1)  # (N·h·w, 16·C)
        y = F.linear(rows.contiguous(), self.weight.flatten(1))
        return y.view(count, height // 2, width // 2, -1).permute(0, 3, 1, 2).contiguous()


class DoublingConv(nn.ConvTranspose2d):
    """A transposed 4×4 convolution of stride 2 without offsets, (N, C, H, W) → (N, C', 2H, 2W); see `HalvingConv`."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, H, W) → (N, C', 2H, 2W); another `output_size` goes to PyTorch's own convolution."""
        count, channels, height, width = x.shape
        if output_size is not None or not _as_product(x, self.weight, count * height * width):
            return super().forward(x, output_size)
        rows = x.permute(0, 2, 3, 1).reshape(-1, channels).contiguous()
        columns = (rows @ self.weight.flatten(1)).view(count, height * width, -1)  # (N, H·W, 16·C')
        return F.fold(columns.transpose(1, 2), (2 * height, 2 * width), 4, padding=1, stride=2)


def _padded(x: Tensor, border: tuple[int, int, int, int], mode: str) -> Tensor:
    """`F.pad` in the type of `x`: on a CPU, autocast would go to float32 and back."""
    with torch.autocast(x.device.type, enabled=False):
        return F.pad(x, border, mode=mode)


def _in_blocks(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.conv2d(x, weight, bias)`` for `x` (N, C, H, W) with W a multiple of `_BLOCK`, and as wide an output."""
    count, channels, height, width = x.shape
    outputs, _, kernel, _ = weight.shape
    wide = x.permute(0, 2, 3, 1).reshape(count, height, width // _BLOCK, _BLOCK * channels)  # a view if channels-last
    taps = -(-(kernel + _BLOCK - 1) // _BLOCK)  # blocks that the pixels of one block see
    # pixel j of a block: the filter moved by j pixels, cut into blocks as well
    moved = torch.stack([F.pad(weight, (j, taps * _BLOCK - kernel - j)) for j in range(_BLOCK)])
    moved = moved.view(_BLOCK, outputs, channels, kernel, taps, _BLOCK).permute(0, 1, 5, 2, 3, 4)
    filters = moved.reshape(_BLOCK * outputs, _BLOCK * channels, kernel, taps)
    filters = filters.contiguous(memory_format=torch.channels_last)
    y = F.conv2d(wide.permute(0, 3, 1, 2), filters, None if bias is None else bias.repeat(_BLOCK))
    y = y[..., : (width - kernel + 1) // _BLOCK].permute(0, 2, 3, 1)  # (N, h, w / 4, 4·C')
    return y.reshape(count, height - kernel + 1, width - kernel + 1, outputs).permute(0, 3, 1, 2)


def _squared(weight: Tensor) -> Tensor:
    """Filters (C', C, 3, 3) convolved with a 2×2 square, as `F.conv_transpose2d` wants them: (C, C', 4, 4)."""
    weight = F.pad(weight.flip(2, 3), (1, 1, 1, 1))
    weight = weight[..., 1:, :] + weight[..., :-1, :]
    weight = weight[..., 1:] + weight[..., :-1]
    return weight.transpose(0, 1).contiguous(memory_format=torch.channels_last)


def _as_product(x: Tensor, weight: Tensor, positions: int) -> bool:
    few, many = positions <= 256, weight.numel() >= 2**20  # measured; with fewer weights the reordering is cheap
    return few and many and x.device.type == "cpu" and weight.is_contiguous()
