"""The generator and the discriminator of DCGAN, for small pictures (Radford et al. 2016).

Strides in place of pooling, batch normalization, ReLU in the generator and LeakyReLU in the discriminator.

A *class* enters both networks as a further input (Mirza & Osindero 2014): a one-hot vector beside the noise, and
beside a picture one plane for each class, all ones or all zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.networks.layers import norm_layer, one_hot, with_class

SIZES = (16, 32, 64)  # sides of the pictures; 64 is the size of Radford et al.


class DCGANGenerator(nn.Module):
    """Noise (N, noise_size) → pictures (N, 3, size, size) in [0, 1] (Radford et al. 2016, Figure 1).

    The noise becomes 4×4 places, and every layer doubles the side and halves the channels down to `width`.

    >>> sum(parameter.numel() for parameter in DCGANGenerator(100, size=64, width=128).parameters())
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
        painted: Tensor = self.layers(with_class(noise, labels, self.num_classes)[:, :, None, None])
        return 0.5 + 0.5 * painted


class DCGANDiscriminator(nn.Module):
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
        planes = one_hot(labels, len(images), self.num_classes).to(images)[:, :, None, None] * places
        found: Tensor = self.layers(torch.cat((2 * images - 1, planes), 1))
        return found.flatten()


def _check_size(size: int) -> int:
    if size not in SIZES:
        raise ValueError(f"pictures are {', '.join(map(str, SIZES))} px wide, got {size}")
    return size
