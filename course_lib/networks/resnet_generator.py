"""The generator of CycleGAN (Zhu, Park, Isola & Efros 2017, Section 7.2), after Johnson et al. 2016.

In the paper's notation it is c7s1-64, d128, d256, R256 six or nine times, u128, u64, c7s1-3: convolutions to a quarter
of the size, residual blocks, transposed convolutions back, and a tanh. A U-Net copies the details of its input past its
bottleneck; this network has no such path, and its residual blocks work at a quarter of the size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import arguments
from course_lib.networks.convolutions import ReflectedConv
from course_lib.networks.inputs import at_least_float32, entered
from course_lib.networks.layers import ResidualBlock, norm_layer, upsampling

SMALLEST = 8  # pixels: the quarter-size feature maps must be large enough to be reflected by one pixel


class ResnetGenerator(nn.Module):
    """Translate pictures, (N, 3, H, W) in [0, 1] → the same shape and range, for any H and W from 8 up.

    Args:
        num_blocks: residual blocks: 9 for pictures of 256 px and more, 6 for 128 px (Section 7.2).
        width: factor on the paper's 64, 128 and 256 channels.
        norm: ``"plain instance"``, without scale and shift, as in the released code; or another of
            `course_lib.networks.layers.norm_layer`.
        upsampling: ``"transposed"`` (the paper) or ``"resize"``, see `course_lib.networks.layers.upsampling`.

    Raises:
        ValueError: an unknown `norm` or `upsampling`.

    >>> [sum(p.numel() for p in ResnetGenerator(num_blocks=n).parameters()) for n in (9, 6)]
    [11378179, 7837699]
    >>> tuple(ResnetGenerator(num_blocks=1, width=0.1)(torch.rand(1, 3, 37, 50)).shape)
    (1, 3, 37, 50)
    """

    def __init__(
        self, num_blocks: int = 9, *, width: float = 1.0, norm: str = "plain instance", upsampling: str = "transposed"
    ) -> None:
        super().__init__()
        num_blocks, width = arguments.whole("num_blocks", num_blocks, 0), arguments.positive("width", width)
        c1, c2, c3 = (max(1, round(width * channels)) for channels in (64, 128, 256))
        self.layers = nn.Sequential(
            *_unit(ReflectedConv(3, c1, 7), norm, c1),
            *_unit(nn.Conv2d(c1, c2, 3, stride=2, padding=1), norm, c2),
            *_unit(nn.Conv2d(c2, c3, 3, stride=2, padding=1), norm, c3),
            *(ResidualBlock(c3, norm) for _ in range(num_blocks)),
            *_unit(_enlarging(upsampling, c3, c2), norm, c2),
            *_unit(_enlarging(upsampling, c2, c1), norm, c1),
            ReflectedConv(c1, 3, 7),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Translate a batch, (N, 3, H, W) in [0, 1] → the same shape and range.

        Raises:
            ValueError: wrong shape, or a side of less than 8 px.
        """
        image = entered(image, self, smallest=SMALLEST)
        height, width = image.shape[-2:]
        x = F.pad(image, (0, -width % 4, 0, -height % 4), mode="reflect")  # two halvings need multiples of 4
        colors = torch.tanh(at_least_float32(self.layers(2 * x - 1)))
        return (0.5 + 0.5 * colors)[..., :height, :width]


_enlarging = upsampling  # the argument of the same name hides it


def _unit(layer: nn.Module, norm: str, channels: int) -> tuple[nn.Module, ...]:
    return layer, norm_layer(norm, channels), nn.ReLU(inplace=True)
