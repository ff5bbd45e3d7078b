"""The generator and the discriminator of DCGAN, for small pictures (Radford et al. 2016).

Strided convolutions replace pooling, both networks use batch normalization, and the activations are ReLUs in the
generator and LeakyReLUs in the discriminator.

Both networks can be conditioned on a *class* (Mirza & Osindero 2014). The generator gets it as a one-hot vector beside
the noise, the discriminator as one extra plane per class beside the picture: all ones for the picture's own class, all
zeros for the others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib import arguments
from course_lib.networks.inputs import entered, entered_rows
from course_lib.networks.layers import norm_layer, one_hot, with_class

SIZES = (16, 32, 64)  # sides of the pictures; Radford et al. use 64


class DCGANGenerator(nn.Module):
    """Noise (N, noise_size) → pictures (N, 3, size, size) in [0, 1] (Radford et al. 2016, Figure 1).

    The first layer turns the noise into feature maps of 4×4 positions; each further layer doubles the side. The number
    of channels is halved until `width` is left.

    Args:
        noise_size: length of a noise vector, 100 in the paper.
        size: side of the pictures in pixels: 16, 32 or 64.
        num_classes: length of the one-hot class vector; 0 for a generator without classes.
        width: channels before the last layer, 128 in the paper.

    Raises:
        ValueError: `size` is not one of `SIZES`.

    >>> sum(parameter.numel() for parameter in DCGANGenerator(100, size=64, width=128).parameters())
    12658435
    """

    def __init__(self, noise_size: int, *, size: int = 32, num_classes: int = 0, width: int = 128) -> None:
        super().__init__()
        size = arguments.choice("size", size, SIZES)
        self.noise_size, self.num_classes = noise_size, num_classes
        before = width * size // 8
        layers: list[nn.Module] = [nn.ConvTranspose2d(noise_size + num_classes, before, 4, bias=False)]
        while before > width:
            layers += [nn.BatchNorm2d(before), nn.ReLU()]
            layers.append(nn.ConvTranspose2d(before, before // 2, 4, stride=2, padding=1, bias=False))
            before //= 2
        layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, 3, 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate one picture from each row of noise.

        Args:
            noise: (N, noise_size), any range; the paper draws it from a uniform distribution.
            labels: (N,) whole numbers below `num_classes`; None without classes.

        Returns:
            (N, 3, size, size) in [0, 1].

        Raises:
            ValueError: noise of another shape, or labels that are missing, not expected, or not one per row.
        """
        noise = entered_rows(noise, self, self.noise_size, "noise")
        painted: Tensor = self.layers(with_class(noise, labels, self.num_classes)[:, :, None, None])
        return 0.5 + 0.5 * painted


class DCGANDiscriminator(nn.Module):
    """Pictures (N, 3, size, size) in [0, 1] → logits (N,): the generator's layers in reverse (Radford et al. 2016).

    Args:
        size: side of the pictures in pixels: 16, 32 or 64.
        num_classes: number of class planes; 0 for a discriminator without classes.
        width: channels after the first layer; each further layer doubles them.
        norm: ``"batch"`` as in the paper, after every convolution except the first and the last; with ``"none"`` the
            score of a picture does not depend on the rest of the batch.

    Raises:
        ValueError: `size` is not one of `SIZES`, or `norm` is unknown.
    """

    def __init__(self, *, size: int = 32, num_classes: int = 0, width: int = 128, norm: str = "batch") -> None:
        super().__init__()
        self.num_classes, self.size = num_classes, arguments.choice("size", size, SIZES)
        size = self.size
        layers: list[nn.Module] = [nn.Conv2d(3 + num_classes, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        before = width
        while before < width * size // 8:
            layers.append(nn.Conv2d(before, 2 * before, 4, stride=2, padding=1, bias=norm == "none"))
            layers += [norm_layer(norm, 2 * before), nn.LeakyReLU(0.2)]
            before *= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 4))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score a batch.

        Args:
            images: (N, 3, size, size) in [0, 1].
            labels: (N,) whole numbers below `num_classes`; None without classes.

        Returns:
            (N,) logits: the sigmoid of one is the probability that the picture is real.

        Raises:
            ValueError: pictures of another size, or labels that are missing, not expected, or not one per picture.
        """
        images = entered(images, self)
        if images.shape[2:] != (self.size, self.size):
            raise ValueError(f"expected (N, 3, {self.size}, {self.size}), got {tuple(images.shape)}")
        plane = images.new_ones(1, 1, self.size, self.size)
        planes = one_hot(labels, len(images), self.num_classes).to(images)[:, :, None, None] * plane
        logits: Tensor = self.layers(torch.cat((2 * images - 1, planes), 1))
        return logits.flatten()
