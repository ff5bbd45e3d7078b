"""A generator and a discriminator for points in the plane: small multilayer perceptrons (Goodfellow et al. 2014).

Both can be conditioned on a *class*, given as a one-hot vector beside the noise or the point (Mirza & Osindero 2014).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from course_lib.networks.inputs import entered_rows
from course_lib.networks.layers import with_class


class PointGenerator(nn.Module):
    """Noise (N, noise_size) → points (N, 2) of any range.

    Without hidden layers this is an affine map, which turns standard normal noise into a normal distribution with the
    mean ``bias`` and the covariance ``weight @ weight.T``.

    Args:
        noise_size: length of a noise vector.
        num_classes: length of the one-hot class vector; 0 for a generator without classes.
        width: units of a hidden layer.
        layers: number of hidden layers, from 0 on.

    >>> import torch
    >>> PointGenerator(3, layers=0)(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(self, noise_size: int, *, num_classes: int = 0, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.noise_size, self.num_classes = noise_size, num_classes
        self.layers = _perceptron(noise_size + num_classes, 2, width, layers, nn.ReLU())

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate one point from each row of noise.

        Args:
            noise: (N, noise_size), any range.
            labels: (N,) whole numbers below `num_classes`; None without classes.

        Returns:
            (N, 2).

        Raises:
            ValueError: noise of another shape, or labels that are missing, not expected, or not one per row.
        """
        noise = entered_rows(noise, self, self.noise_size, "noise")
        points: Tensor = self.layers(with_class(noise, labels, self.num_classes))
        return points


class PointDiscriminator(nn.Module):
    """Points (N, 2) → logits (N,): how likely each point is to be real, before the sigmoid.

    Args:
        num_classes, width, layers: as for `PointGenerator`.
    """

    def __init__(self, *, num_classes: int = 0, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layers = _perceptron(2 + num_classes, 1, width, layers, nn.LeakyReLU(0.2))

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score each point by itself.

        Args:
            points: (N, 2), any range.
            labels: (N,) whole numbers below `num_classes`; None without classes.

        Returns:
            (N,) logits.

        Raises:
            ValueError: points of another shape, or labels that are missing, not expected, or not one per point.
        """
        points = entered_rows(points, self, 2, "points")
        logits: Tensor = self.layers(with_class(points, labels, self.num_classes))
        return logits[:, 0]


def _perceptron(inputs: int, outputs: int, width: int, layers: int, rectifier: nn.Module) -> nn.Sequential:
    sides = [inputs, *[width] * layers]
    hidden = [part for a, b in pairwise(sides) for part in (nn.Linear(a, b), rectifier)]
    return nn.Sequential(*hidden, nn.Linear(sides[-1], outputs))
