"""Two small pairs of players: one for points in the plane, one for small pictures.

Points are made and judged by perceptrons of a few layers, as in Goodfellow et al. 2014. Pictures are made and judged by
the convolutions of Radford et al. 2016 (DCGAN): strides in place of pooling, batch normalization, ReLU in the
generator and LeakyReLU in the discriminator.

A *class* enters both players as a further input (Mirza & Osindero 2014): a one-hot vector beside the noise or the
point, and beside a picture one plane for each class, all ones or all zeros.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.layers import norm_layer

SIZES = (16, 32, 64)  # sides of the pictures; 64 is the size of Radford et al.


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
        found: Tensor = self.layers(_with_class(noise, labels, self.num_classes))
        return found


class PointJudge(nn.Module):
    """Points (N, 2) → logits (N,): how likely each is to be real, before the sigmoid."""

    def __init__(self, *, num_classes: int = 0, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layers = _perceptron(2 + num_classes, 1, width, layers, nn.LeakyReLU(0.2))

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge each point alone."""
        found: Tensor = self.layers(_with_class(points, labels, self.num_classes))
        return found[:, 0]


class PictureGenerator(nn.Module):
    """Noise (N, noise_size) → pictures (N, 3, size, size) in [0, 1] (Radford et al. 2016, Figure 1).

    The noise becomes 4×4 places, and every layer doubles the side and halves the channels down to `width`.

    >>> sum(parameter.numel() for parameter in PictureGenerator(100, size=64, width=128).parameters())
    12658435
    """

    def __init__(self, noise_size: int, *, size: int = 32, num_classes: int = 0, width: int = 128) -> None:
        super().__init__()
        self.num_classes = num_classes
        before = width * _check_size(size) // 8
        layers: list[nn.Module] = [nn.ConvTranspose2d(noise_size + num_classes, before, 4, bias=False)]
        while before > width:
            layers += [nn.BatchNorm2d(before), nn.ReLU()]
            layers.append(nn.ConvTranspose2d(before, before // 2, 4, stride=2, padding=1, bias=False))
            before //= 2
        layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, 3, 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Paint one picture from each row of noise; `labels` (N,) where there are classes."""
        painted: Tensor = self.layers(_with_class(noise, labels, self.num_classes)[:, :, None, None])
        return 0.5 + 0.5 * painted


class PictureJudge(nn.Module):
    """Pictures (N, 3, size, size) in [0, 1] → logits (N,): the generator's layers in the other direction.

    Args:
        norm: ``"batch"`` as in the paper, after all convolutions but the first and the last; ``"none"`` judges each
            picture alone.
    """

    def __init__(self, *, size: int = 32, num_classes: int = 0, width: int = 128, norm: str = "batch") -> None:
        super().__init__()
        self.num_classes, self.size = num_classes, _check_size(size)
        layers: list[nn.Module] = [nn.Conv2d(3 + num_classes, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        before = width
        while before < width * size // 8:
            layers.append(nn.Conv2d(before, 2 * before, 4, stride=2, padding=1, bias=norm == "none"))
            layers += [norm_layer(norm, 2 * before), nn.LeakyReLU(0.2)]
            before *= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 4))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge a batch.

        Raises:
            ValueError: pictures of another size.
        """
        if images.shape[1:] != (3, self.size, self.size):
            raise ValueError(f"expected (N, 3, {self.size}, {self.size}), got {tuple(images.shape)}")
        places = images.new_ones(1, 1, self.size, self.size)
        planes = _one_hot(labels, len(images), self.num_classes).to(images)[:, :, None, None] * places
        found: Tensor = self.layers(torch.cat((2 * images - 1, planes), 1))
        return found.flatten()


def _perceptron(inputs: int, outputs: int, width: int, layers: int, rectifier: nn.Module) -> nn.Sequential:
    sides = [inputs, *[width] * layers]
    hidden = [part for a, b in pairwise(sides) for part in (nn.Linear(a, b), rectifier)]
    return nn.Sequential(*hidden, nn.Linear(sides[-1], outputs))


def _with_class(x: Tensor, labels: Tensor | None, num_classes: int) -> Tensor:
    """(N, C) → (N, C + num_classes)."""
    return torch.cat((x, _one_hot(labels, len(x), num_classes).to(x)), 1)


def _one_hot(labels: Tensor | None, count: int, num_classes: int) -> Tensor:
    """(N,) → (N, num_classes); without classes (N, 0)."""
    if (labels is not None) != (num_classes > 0):
        came = "labels came" if num_classes == 0 else "no labels came"
        raise ValueError(f"this network knows {num_classes} classes, and {came}")
    if labels is None:
        return torch.zeros(count, 0)
    if labels.shape != (count,):
        raise ValueError(f"expected one label for each of {count}, got shape {tuple(labels.shape)}")
    return F.one_hot(labels, num_classes)


def _check_size(size: int) -> int:
    if size not in SIZES:
        raise ValueError(f"pictures are {', '.join(map(str, SIZES))} px wide, got {size}")
    return size
