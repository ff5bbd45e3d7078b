"""A measure of chapter 17: what one large value does to the rest of its feature map."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib import runtime
from course_lib.networks.layers import InstanceNorm
from course_lib.networks.modulated import modulated_conv
from course_lib.teaching.measures.measured import Measured

CHANNELS = 32


def spike(*, height: float, side: int, seed: int) -> Measured:
    """The rest of a map with a spike, after instance normalization and after a modulated, demodulated convolution.

    Instance normalization divides by what the map contains. With M = side² values of deviation 1 and one of height h,
    it divides by √(1 + h²(M − 1)/M²), whatever the network needs. Demodulation divides by what the weights and the
    style would make of *any* inputs of deviation 1, so the spike changes only the positions whose kernel reaches it.

    Args:
        height: of the spike, in one position of one channel of normal noise.
        side: of the map, in positions.
        seed: of the noise, the weights, the style, and the place of the spike.

    Returns:
        ``"rest, instance"`` and ``"rest, demodulation"``: the deviation of what the spike does not reach, divided by
        its deviation without a spike; ``"formula"``, what the first should be; and ``"deviation, demodulation"``, which
        is not divided and should be about 1.

    Source: Karras et al. 2020, Section 2 and Eqs. 1 to 3.
    """
    draw = runtime.seeded_generator(seed)
    plain = torch.randn(1, CHANNELS, side, side, generator=draw)
    row, column = torch.randint(1, side - 1, (2,), generator=draw).tolist()
    spiked = plain.clone()
    spiked[:, 0, row, column] = height
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3, generator=draw)
    style = 1 + 0.5 * torch.randn(1, CHANNELS, generator=draw)
    far = torch.ones(side, side, dtype=torch.bool)
    far[row - 1 : row + 2, column - 1 : column + 2] = False

    def rest(x: Tensor) -> Tensor:
        return x[..., far].std(-1).mean()

    norm = InstanceNorm(1, affine=False)
    normed = [rest(norm(x[:, :1])) for x in (spiked, plain)]
    demodulated = [rest(modulated_conv(x, weight, style)) for x in (spiked, plain)]
    count = side**2
    return Measured(
        {
            "rest, instance": (normed[0] / normed[1]).item(),
            "formula": 1 / math.sqrt(1 + height**2 * (count - 1) / count**2),
            "rest, demodulation": (demodulated[0] / demodulated[1]).item(),
            "deviation, demodulation": demodulated[0].item(),
        }
    )
