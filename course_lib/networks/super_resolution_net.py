"""The super-resolution network of Johnson, Alahi & Fei-Fei 2016 (Section 3.1 and supplement, Table 2).

Four residual blocks work at the size of the small picture; only the last layers enlarge it, log2(f) times by 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib import arguments
from course_lib.images import resample
from course_lib.networks import layers
from course_lib.networks.convolutions import ReflectedConv
from course_lib.networks.inputs import at_least_float32, entered
from course_lib.networks.layers import ResidualBlock, norm_layer
from course_lib.networks.tiles import Stages

FACTORS = (2, 4, 8)
_SMALL = 0.1  # scale of what is added with `skip`: at 1, the first training steps leave every ReLU dead
_SMALLEST = 5  # a 9×9 convolution reflects four pixels


class SuperResolutionNet(nn.Module):
    """Enlarge a picture f times, (N, 3, h, w) in [0, 1] → (N, 3, f·h, f·w), for any h and w from 5 up.

    The output lies in [0, 1]; with `skip` it may overshoot a little.

    Args:
        factor: f: 2, 4 or 8.
        width: factor on the paper's 64 channels.
        num_blocks: residual blocks, 4 in the paper.
        norm: ``"batch"`` (the paper), ``"instance"`` or ``"none"``.
        upsampling: ``"transposed"`` (the paper) or ``"resize"``.
        skip: add the output to the bicubically enlarged input, so that the network learns only what bicubic
            interpolation misses (Kim et al. 2016); without it, the network ends in a scaled tanh, as in the paper.

    Raises:
        ValueError: another `factor`, or an unknown `norm` or `upsampling`.

    >>> network = SuperResolutionNet(4, width=0.25, num_blocks=1)
    >>> tuple(network(torch.rand(1, 3, 12, 17)).shape)
    (1, 3, 48, 68)
    """

    def __init__(
        self,
        factor: int = 4,
        *,
        width: float = 1.0,
        num_blocks: int = 4,
        norm: str = "batch",
        upsampling: str = "transposed",
        skip: bool = False,
    ) -> None:
        super().__init__()
        factor = arguments.choice("factor", factor, FACTORS)
        self.factor, self.skip = factor, skip
        channels = max(1, round(64 * width))
        self.enter = nn.Sequential(ReflectedConv(3, channels, 9), norm_layer(norm, channels), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(*(ResidualBlock(channels, norm) for _ in range(num_blocks)))
        ups: list[nn.Module] = []
        for _ in range(factor.bit_length() - 1):
            up = layers.upsampling(upsampling, channels, channels)
            ups += [up, norm_layer(norm, channels), nn.ReLU(inplace=True)]
        self.up = nn.Sequential(*ups)
        self.leave = ReflectedConv(channels, 3, 9)
        if skip:  # so that training starts from bicubic interpolation
            nn.init.zeros_(self.leave.weight)
            assert self.leave.bias is not None
            nn.init.zeros_(self.leave.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge a batch, (N, 3, h, w) in [0, 1] → (N, 3, f·h, f·w).

        Raises:
            ValueError: wrong shape, or a side of less than 5 px.
        """
        image = entered(image, self, smallest=_SMALLEST)
        return self._colors(self.up(self.blocks(self.enter(_scaled(image)))), image)

    def stages(self) -> Stages:
        """The parts of `forward`, for `tiles.by_tiles`.

        On each side, `enter` looks at 4 pixels; `up` and `leave` look at 1 + 2 = 3 pixels of the small picture with a
        factor of 2, at fewer with the others, and bicubic interpolation at 2.
        """
        return Stages(
            _scaled,
            self.enter,
            self.blocks,
            self.up,
            self._colors,
            shrink=1,
            scale=self.factor,
            reach_down=4,
            reach_up=3,
            smallest=_SMALLEST,
        )

    def _colors(self, x: Tensor, image: Tensor) -> Tensor:
        """Feature maps of f times the size of `image` → colors."""
        x = at_least_float32(self.leave(x))
        if self.skip:
            height, width = image.shape[-2:]
            return resample(image, self.factor * height, self.factor * width) + _SMALL * x
        return 0.5 + 0.5 * torch.tanh(x)


def _scaled(image: Tensor) -> Tensor:
    """Values of about unit variance for a photo."""
    return (image - 0.5) * 4
