"""The texture network of Ulyanov, Lebedev, Vedaldi & Lempitsky 2016: noise of several sizes becomes a texture.

Noise of the smallest size passes through a block of three convolutions and is enlarged twofold. There it is joined with
noise of that size, which has passed through a block of its own, and the whole passes through the next block (Figure 2
of the paper). The coarse noise decides where large shapes lie, the fine noise decides the grain.

All convolutions are circular: the right border of a feature map is the neighbor of its left one, and the bottom row of
the top row. So every texture continues across its borders, and copies of it tile the plane without a seam. Such a
network treats all positions alike: if the noise is shifted, the texture is shifted with it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import arguments
from course_lib.networks.inputs import at_least_float32, in_its_format
from course_lib.networks.layers import norm_layer

NOISE_CHANNELS = 3  # the authors' code


class CircularConv(nn.Conv2d):
    """A convolution on a torus: (N, C, H, W) → (N, C', H, W), without a bias, since a normalization follows."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        super().__init__(channels_in, channels_out, kernel, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(wrapped(x, self.kernel_size[0] // 2), self.weight)


class TextureNet(nn.Module):
    """Noise (N, 3, h, w) of several sizes → textures (N, 3, H, W), about [0, 1].

    The colors are not limited: a loss sees how far they leave [0, 1], and code that shows a texture clips them.
    (With a tanh, whole regions become white early in the training, and no gradient brings them back.)

    Args:
        num_scales: K, sizes of the noise: H × W and K − 1 halvings of it; 5 in the paper, 6 in the authors' code.
        width: channels of the block of each noise; 8 in the paper. The joined blocks have 2, 3, … K times as many.
        norm: ``"batch"`` (the paper) or ``"instance"`` (the authors' later code, Ulyanov et al. 2016b).

    Raises:
        ValueError: an unknown `norm`, or numbers below 1.

    *Differs from the paper:* the activations are leaky (slope 0.01), as in the authors' code.

    >>> network = TextureNet()
    >>> sum(parameter.numel() for parameter in network.parameters())
    71203
    >>> noise = [torch.rand(1, 3, *size) for size in noise_sizes(48, 70, 5)]
    >>> tuple(network(*noise).shape)
    (1, 3, 48, 70)
    """

    def __init__(self, *, num_scales: int = 5, width: int = 8, norm: str = "batch") -> None:
        super().__init__()
        self.num_scales = arguments.whole("num_scales", num_scales, 1)
        width = arguments.whole("width", width, 1)
        self.entries = nn.ModuleList(_block(NOISE_CHANNELS, width, norm) for _ in range(num_scales))
        joined = [k * width for k in range(2, num_scales + 1)]
        self.before = nn.ModuleList(norm_layer(norm, channels - width) for channels in joined)  # of what is enlarged
        self.beside = nn.ModuleList(norm_layer(norm, width) for _ in joined)  # of the noise that joins it
        self.blocks = nn.ModuleList(_block(channels, channels, norm) for channels in joined)
        self.paint = nn.Conv2d(num_scales * width, 3, 1)

    def forward(self, *noise: Tensor) -> Tensor:
        """Turn noise into textures.

        Args:
            noise: `num_scales` tensors (N, 3, h, w), from coarse to fine, of the sizes `noise_sizes`; the paper draws
                them from the uniform distribution on [0, 1].

        Returns:
            (N, 3, H, W), about [0, 1], of the size of the last noise.

        Raises:
            ValueError: another number of tensors, or other shapes.
        """
        first, *others = (in_its_format(z, self) for z in checked_noise(noise, self.num_scales))
        x = self.entries[0](first)
        for entry, before, beside, block, z in zip(
            self.entries[1:], self.before, self.beside, self.blocks, others, strict=True
        ):
            x = torch.cat((before(enlarged(x, z.shape[2], z.shape[3])), beside(entry(z))), 1)
            x = block(x)
        return 0.5 + 0.25 * at_least_float32(self.paint(x))  # a mean of ½ and a contrast like those of pictures


def noise_sizes(height: int, width: int, num_scales: int) -> list[tuple[int, int]]:
    """The sizes of the noise for a texture of height × width, from coarse to fine: H / 2^k, rounded up.

    >>> noise_sizes(100, 128, 3)
    [(25, 32), (50, 64), (100, 128)]
    """
    return [(-(-height // 2**k), -(-width // 2**k)) for k in reversed(range(num_scales))]


def enlarged(x: Tensor, height: int, width: int) -> Tensor:
    """Repeat every position 2×2; where the side is odd, the last row or column is repeated once.

    >>> enlarged(torch.tensor([[[[1.0, 2.0]]]]), 1, 3)
    tensor([[[[1., 1., 2.]]]])
    """
    return F.interpolate(x, scale_factor=2, mode="nearest")[..., :height, :width]


def wrapped(x: Tensor, border: int) -> Tensor:
    """Add a border on each side that continues the map on the opposite side: (N, C, H, W) → (N, C, H + 2b, W + 2b).

    >>> wrapped(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 1)[0, 0]
    tensor([[3., 1., 2., 3., 1.],
            [3., 1., 2., 3., 1.],
            [3., 1., 2., 3., 1.]])
    """
    if border == 0:
        return x
    with torch.autocast(x.device.type, enabled=False):  # on a CPU, autocast would go to float32 and back
        x = torch.cat((x[..., -border:, :], x, x[..., :border, :]), 2)
        return torch.cat((x[..., -border:], x, x[..., :border]), 3)


def checked_noise(noise: object, num_scales: int) -> list[Tensor]:
    """Noise as a network of `num_scales` takes it; anything else is refused.

    Raises:
        ValueError: another number of tensors, other shapes, or no floats; the message says which.
    """
    expected = f"expected {num_scales} float tensors of noise (N, {NOISE_CHANNELS}, h, w), from coarse to fine"
    if not isinstance(noise, list | tuple):
        raise ValueError(f"{expected}, got {type(noise).__name__}")
    if not all(isinstance(z, Tensor) and z.ndim == 4 and z.numel() and z.is_floating_point() for z in noise):
        got = [f"{z.dtype} {tuple(z.shape)}" if isinstance(z, Tensor) else type(z).__name__ for z in noise]
        raise ValueError(f"{expected}, got {', '.join(got)}")
    if len(noise) != num_scales:
        raise ValueError(f"{expected}, got {len(noise)} of them")
    count, _, height, width = noise[-1].shape
    shapes = [(count, NOISE_CHANNELS, *size) for size in noise_sizes(height, width, num_scales)]
    if [tuple(z.shape) for z in noise] != shapes:
        given = ", ".join(str(tuple(z.shape)) for z in noise)
        raise ValueError(f"noise for textures of {height}×{width} px has the shapes {shapes}, got {given}")
    return [*noise]


def _block(channels_in: int, channels: int, norm: str) -> nn.Sequential:
    """Convolutions of 3×3, 3×3 and 1×1, each with its normalization and activation (Section 3.2)."""
    layers: list[nn.Module] = []
    for kernel in (3, 3, 1):
        layers += [CircularConv(channels_in, channels, kernel), norm_layer(norm, channels), nn.LeakyReLU(0.01)]
        channels_in = channels
    return nn.Sequential(*layers)
