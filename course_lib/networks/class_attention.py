"""Attention by a classifier: class activation maps inside a network (Zhou et al. 2016; Kim et al., ICLR 2020).

A linear classifier on the means of C feature maps asks which of two domains a picture comes from. A large weight marks
a map that tells the domains apart. The maps, each times its weight, go on through the network: so it sees what the two
domains differ in, and their sum is a heat map of where. A second classifier looks at the maxima in place of the means.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import arguments


class Attended(NamedTuple):
    """What a network with attention computes."""

    output: Tensor  # (N, C, H, W): feature maps, pictures, or logits of patches
    logits: Tensor  # (N, 2): the classifier on the means, and the one on the maxima
    heat: Tensor  # (N, 1, h, w): the sum of the attended feature maps, not scaled


class ClassAttention(nn.Module):
    """Classify feature maps, weight them, merge them: (N, C, H, W) → the same shape, logits and heat map.

    The maps are multiplied by the weights of each classifier, and a 1×1 convolution merges the 2·C maps to C. All this
    is linear, so that it is one 1×1 convolution of the maps as they are, whose filters are multiplied by the weights:
    `forward` computes that, with half the memory. It also shows that the weights alone add nothing a convolution could
    not do. The loss of the classifiers does.

    Args:
        channels: C.
        activation: after the convolution.

    *Differs from the released code:* there, a discriminator's maps are multiplied by the classifier's weights before
    spectral normalization, here by those that classify.

    >>> attention = ClassAttention(256, nn.ReLU())
    >>> sum(parameter.numel() for parameter in attention.parameters())
    131840
    >>> [tuple(part.shape) for part in attention(torch.rand(1, 256, 4, 5))]
    [(1, 256, 4, 5), (1, 2), (1, 1, 4, 5)]
    """

    def __init__(self, channels: int, activation: nn.Module) -> None:
        super().__init__()
        self.means, self.maxima = (nn.Linear(channels, 1, bias=False) for _ in range(2))
        self.merge = nn.Conv2d(2 * channels, channels, 1)
        self.activation = activation

    def forward(self, x: Tensor) -> Attended:
        by_mean, by_maximum = self.means.weight, self.maxima.weight  # read once: they may be normalized anew each time
        logits = torch.cat((F.linear(x.mean((2, 3)), by_mean), F.linear(x.amax((2, 3)), by_maximum)), 1)
        left, right = self.merge.weight.chunk(2, 1)
        filters = left * by_mean[..., None, None] + right * by_maximum[..., None, None]
        output = self.activation(F.conv2d(x, filters, self.merge.bias))
        return Attended(output, logits, output.sum(1, keepdim=True))


class Only(nn.Module):
    """One part of what a network with attention computes: its output, its logits or its heat map.

    Args:
        network: returns an `Attended`.
        part: ``"output"``, ``"logits"`` or ``"heat"``.

    Raises:
        ValueError: another part.

    >>> tuple(Only(ClassAttention(4, nn.ReLU()), "logits")(torch.rand(2, 4, 8, 8)).shape)
    (2, 2)
    """

    def __init__(self, network: nn.Module, part: str) -> None:
        super().__init__()
        self.network, self.part = network, arguments.choice("part", part, Attended._fields)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = getattr(self.network(x), self.part)
        return found
