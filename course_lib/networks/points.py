"""A generator and a discriminator for points in the plane: perceptrons of a few layers (Goodfellow et al. 2014).

A *class* enters both as a one-hot vector beside the noise or the point (Mirza & Osindero 2014).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from course_lib.networks.layers import with_class


class PointGenerator(nn.Module):
    """Noise (N, noise_size) → points (N, 2) of any range, by `layers` hidden layers of `width` units.

    Without a hidden layer it is an affine map: from normal noise it makes a normal distribution that can be written
    down, with the mean ``bias`` and the covariance ``weight @ weight.T``.

    >>> PointGenerator(3, layers=0)(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(self, noise_size: int, *, num_classes: int = 0, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layers = _perceptron(noise_size + num_classes, 2, width, layers, nn.ReLU())

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Make one point from each row of noise; `labels` (N,) where there are classes."""
        found: Tensor = self.layers(with_class(noise, labels, self.num_classes))
        return found


class PointDiscriminator(nn.Module):
    """Points (N, 2) → logits (N,): how likely each is to be real, before the sigmoid."""

    def __init__(self, *, num_classes: int = 0, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layers = _perceptron(2 + num_classes, 1, width, layers, nn.LeakyReLU(0.2))

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge each point alone."""
        found: Tensor = self.layers(with_class(points, labels, self.num_classes))
        return found[:, 0]


def _perceptron(inputs: int, outputs: int, width: int, layers: int, rectifier: nn.Module) -> nn.Sequential:
    sides = [inputs, *[width] * layers]
    hidden = [part for a, b in pairwise(sides) for part in (nn.Linear(a, b), rectifier)]
    return nn.Sequential(*hidden, nn.Linear(sides[-1], outputs))
