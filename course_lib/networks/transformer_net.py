"""The image transformation network of Johnson, Alahi & Fei-Fei 2016 (Section 3.1 and supplement, Table 1).

A 9×9 convolution and two of stride 2 reduce the picture to a quarter of its size, five residual blocks work there, two
upsamplings and a 9×9 convolution lead back to three colors, and a scaled tanh keeps the output in [0, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.networks import layers
from course_lib.networks.convolutions import ReflectedConv
from course_lib.networks.inputs import at_least_float32, entered
from course_lib.networks.layers import ResidualBlock, norm_layer
from course_lib.networks.tiles import Stages

_SMALLEST = 8  # pixels: the quarter-size feature maps must be large enough to be reflected by one pixel


class TransformerNet(nn.Module):
    """Turn a photo into a painting, (N, 3, H, W) in [0, 1] → the same shape and range, for any H and W from 8 up.

    Args:
        width: factor on the paper's 32, 64 and 128 channels; 1.0 has 1,679,235 parameters with instance norm.
        num_blocks: residual blocks.
        norm: ``"instance"`` (Ulyanov et al. 2016; the authors' released code) or ``"batch"`` (the paper).
        upsampling: ``"resize"`` or ``"transposed"`` (the paper), see `course_lib.networks.layers.upsampling`.

    Raises:
        ValueError: an unknown `norm` or `upsampling`.

    *Differs from the paper:* every convolution reflects its borders. The paper pads the input once, by 40 reflected
    pixels, and the feature maps shrink in the residual blocks.

    >>> network = TransformerNet()
    >>> sum(parameter.numel() for parameter in network.parameters())
    1679235
    >>> tuple(TransformerNet(width=0.25)(torch.rand(1, 3, 37, 50)).shape)
    (1, 3, 37, 50)
    """

    def __init__(
        self, *, width: float = 1.0, num_blocks: int = 5, norm: str = "instance", upsampling: str = "resize"
    ) -> None:
        super().__init__()
        c1, c2, c3 = (max(1, round(width * channels)) for channels in (32, 64, 128))
        self.down = nn.Sequential(
            *_unit(ReflectedConv(3, c1, 9), norm, c1),
            *_unit(ReflectedConv(c1, c2, 3, stride=2), norm, c2),
            *_unit(ReflectedConv(c2, c3, 3, stride=2), norm, c3),
        )
        self.blocks = nn.Sequential(*(ResidualBlock(c3, norm) for _ in range(num_blocks)))
        self.up = nn.Sequential(
            *_unit(layers.upsampling(upsampling, c3, c2), norm, c2),
            *_unit(layers.upsampling(upsampling, c2, c1), norm, c1),
        )
        self.paint = ReflectedConv(c1, 3, 9)

    def forward(self, image: Tensor) -> Tensor:
        """Stylize a batch, (N, 3, H, W) in [0, 1] → the same shape and range.

        Raises:
            ValueError: wrong shape, or a side of less than 8 px.
        """
        image = entered(image, self, smallest=_SMALLEST)
        return self._colors(self.up(self.blocks(self.down(scaled(image)))), image)

    def stages(self) -> Stages:
        """The parts of `forward`, for `tiles.by_tiles`.

        `down` looks at 4 + 1 + 2 = 7 pixels on each side, at most two positions of the blocks' feature maps. `up` and
        `paint` look at 2 + 1 + 4 = 7 pixels as well, and at whole positions: two.
        """
        return Stages(
            scaled,
            self.down,
            self.blocks,
            self.up,
            self._colors,
            shrink=4,
            scale=1,
            reach_down=2,
            reach_up=2,
            smallest=_SMALLEST,
        )

    def _colors(self, x: Tensor, image: Tensor) -> Tensor:
        """Feature maps of the size of `image`, or up to 3 px larger → colors in [0, 1] of its size."""
        x = at_least_float32(self.paint(x))
        return (0.5 + 0.5 * torch.tanh(x))[..., : image.shape[2], : image.shape[3]]


def scaled(image: Tensor) -> Tensor:
    """Values of about unit variance for a photo; sides padded to multiples of 4, for two halvings."""
    height, width = image.shape[-2:]
    return (F.pad(image, (0, -width % 4, 0, -height % 4), mode="reflect") - 0.5) * 4


def _unit(layer: nn.Module, norm: str, channels: int) -> tuple[nn.Module, ...]:
    return layer, norm_layer(norm, channels), nn.ReLU(inplace=True)
