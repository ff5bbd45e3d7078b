"""The generators and discriminators of AnimeGAN (Chen, Liu & Chen 2019), AnimeGANv2 (2020) and CartoonGAN (2018).

All go down to a quarter of the size, work there in residual blocks, and go up again, like CycleGAN's generator. They
differ in what a convolution costs:

    a 3×3 convolution                                      9 C C'
    a depthwise 3×3 and a pointwise 1×1 convolution        9 C + C C'            (separable; Chollet 2017)
    an inverted residual block of expansion t              t C (C + 9 + C')      (Sandler et al. 2018)

CartoonGAN has 3×3 convolutions only: 11.1 million parameters. AnimeGAN replaces them where they are many: 4.0 million;
version 2 also has fewer and narrower blocks: 2.1 million. It normalizes a whole picture at once (layer normalization)
in place of each channel for itself.

*Differs from the code:* a bilinear resize has its samples at the centers of pixels. That of TensorFlow 1 has them at
the corners, which moves the picture by half a pixel.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from course_lib import arguments
from course_lib.networks.convolutions import ReflectedConv
from course_lib.networks.inputs import at_least_float32, entered
from course_lib.networks.layers import PLAIN, ResidualBlock, norm_layer, upsampling

VERSIONS = ("v1", "v2", "cartoongan")
SMALLEST = 8  # pixels: the quarter-size feature maps must be large enough to be reflected by one pixel
_BLOCKS = {"v1": 8, "v2": 4, "cartoongan": 8}


class AnimeGenerator(nn.Module):
    """Redraw pictures, (N, 3, H, W) in [0, 1] → the same shape and range, for any H and W from 8 up.

    Args:
        version: ``"v1"`` or ``"v2"`` of AnimeGAN, or ``"cartoongan"``.
        width: factor on the papers' numbers of channels.
        num_blocks: residual blocks; None: 8, 4 and 8 in the papers.

    Raises:
        ValueError: an unknown version.

    >>> [sum(p.numel() for p in AnimeGenerator(version).parameters()) for version in VERSIONS]
    [3956096, 2143552, 11120195]
    >>> tuple(AnimeGenerator("v2", width=0.1)(torch.rand(1, 3, 37, 50)).shape)
    (1, 3, 37, 50)
    """

    def __init__(self, version: str = "v2", *, width: float = 1.0, num_blocks: int | None = None) -> None:
        super().__init__()
        version, width = arguments.choice("version", version, VERSIONS), arguments.positive("width", width)
        blocks = _BLOCKS[version] if num_blocks is None else arguments.whole("num_blocks", num_blocks, 0)
        c = [max(1, round(width * channels)) for channels in (32, 64, 128, 256)]
        self.layers = nn.Sequential(*_LAYERS[version](c, blocks))
        for module in self.layers.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                _INITIALIZE[version](module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Redraw a batch, (N, 3, H, W) in [0, 1] → the same shape and range.

        Raises:
            ValueError: wrong shape, or a side of less than 8 px.
        """
        image = entered(image, self, smallest=SMALLEST)
        height, width = image.shape[-2:]
        x = F.pad(image, (0, -width % 4, 0, -height % 4), mode="reflect")  # two halvings need multiples of 4
        colors = torch.tanh(at_least_float32(self.layers(2 * x - 1)))
        return (0.5 + 0.5 * colors)[..., :height, :width]


class AnimeDiscriminator(nn.Module):
    """How much like a cartoon is each region? Pictures (N, 3, H, W) in [0, 1] → logits (N, 1, ⌈H/4⌉, ⌈W/4⌉).

    The three papers share it. AnimeGAN divides every filter bank by its largest singular value (spectral
    normalization, Miyato et al. 2018), has no biases, and scales and shifts normalized channels.

    Args:
        version: see `AnimeGenerator`; it decides how activations are normalized.
        width: factor on 32, 64, 128 and 256 channels.

    Raises:
        ValueError: an unknown version.

    >>> [sum(p.numel() for p in AnimeDiscriminator(version).parameters()) for version in VERSIONS]
    [1128800, 1128800, 1128385]
    >>> tuple(AnimeDiscriminator("v1", width=0.1)(torch.rand(2, 3, 64, 48)).shape)
    (2, 1, 16, 12)
    """

    def __init__(self, version: str = "v2", *, width: float = 1.0) -> None:
        super().__init__()
        self.version = arguments.choice("version", version, VERSIONS)
        width = arguments.positive("width", width)
        c1, c2, c3, c4 = (max(1, round(width * channels)) for channels in (32, 64, 128, 256))
        layers: list[nn.Module] = [self._conv(3, c1), nn.LeakyReLU(0.2)]
        for before, between, after in ((c1, c2, c3), (c3, c3, c4)):
            layers += [self._conv(before, between, stride=2), nn.LeakyReLU(0.2)]
            layers += [self._conv(between, after), _norm(version, after), nn.LeakyReLU(0.2)]
        layers += [self._conv(c4, c4), _norm(version, c4), nn.LeakyReLU(0.2), self._conv(c4, 1)]
        self.layers = nn.Sequential(*layers)

    def _conv(self, channels_in: int, channels_out: int, *, stride: int = 1) -> nn.Module:
        anime = self.version != "cartoongan"
        conv = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=not anime)
        nn.init.normal_(conv.weight, 0.0, 0.02)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        return spectral_norm(conv) if anime else conv

    def forward(self, image: Tensor) -> Tensor:
        """Score a batch, (N, 3, H, W) in [0, 1] → logits (N, 1, ⌈H/4⌉, ⌈W/4⌉).

        Raises:
            ValueError: wrong shape, or a side of less than 8 px.
        """
        logits: Tensor = self.layers(2 * entered(image, self, smallest=SMALLEST) - 1)
        return logits


class InvertedBlock(nn.Module):
    """Widen by 1×1, filter each channel by 3×3, narrow by 1×1 without activation (Sandler et al. 2018, MobileNetV2).

    Args:
        version: decides how activations are normalized.
        channels_in, channels_out: C and C'; if they are equal, the input is added.
    """

    def __init__(self, version: str, channels_in: int, channels_out: int) -> None:
        super().__init__()
        wide = 2 * channels_in  # expansion 2 in both versions
        self.body = nn.Sequential(
            *_unit(version, channels_in, wide, 1),
            _depthwise(wide, bias=version == "v2"), _norm(version, wide), nn.LeakyReLU(0.2),
            nn.Conv2d(wide, channels_out, 1, bias=False), _norm(version, channels_out),
        )  # fmt: skip
        self.residual = channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.residual else y


class _Halved(nn.Module):
    """A convolution of stride 2 after a border of one pixel, reflected, on the right and below."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(F.pad(x, (0, 1, 0, 1), mode="reflect"))
        return y


class _Down(nn.Module):
    """Half the size in two ways, added: a separable convolution of stride 2, and one of the picture made smaller."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.strided = nn.Sequential(*_separable(channels_in, channels_out, halved=True))
        self.resized = nn.Sequential(nn.AvgPool2d(2), *_separable(channels_in, channels_out))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.strided(x) + self.resized(x)
        return y


def _norm(version: str, channels: int) -> nn.Module:
    if version == "v2":
        return nn.GroupNorm(1, channels)  # one group: mean and variance of the whole picture
    return norm_layer("instance" if version == "v1" else PLAIN, channels)


def _unit(version: str, channels_in: int, channels_out: int, kernel: int = 3) -> tuple[nn.Module, ...]:
    """A convolution, a normalization, and a rectifier."""
    bias = version == "cartoongan"
    conv = ReflectedConv(channels_in, channels_out, kernel, bias=bias)
    return conv, _norm(version, channels_out), nn.ReLU(inplace=True) if bias else nn.LeakyReLU(0.2)


def _depthwise(channels: int, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", groups=channels, bias=bias)


def _separable(channels_in: int, channels_out: int, *, halved: bool = False) -> tuple[nn.Module, ...]:
    """A 3×3 convolution of each channel, then a 1×1 convolution across channels, as in version 1."""
    strided = nn.Conv2d(channels_in, channels_in, 3, stride=2, groups=channels_in, bias=False)
    first = _Halved(strided) if halved else _depthwise(channels_in)
    across = nn.Conv2d(channels_in, channels_out, 1, bias=False)
    return first, across, _norm("v1", channels_out), nn.LeakyReLU(0.2)


def _doubled() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


def _v1(c: list[int], blocks: int) -> list[nn.Module]:
    _, c1, c2, c3 = c
    return [
        *_unit("v1", 3, c1), *_unit("v1", c1, c1), _Down(c1, c2),
        *_unit("v1", c2, c2), *_separable(c2, c2), _Down(c2, c3),
        *_unit("v1", c3, c3), *(InvertedBlock("v1", c3, c3) for _ in range(blocks)), *_unit("v1", c3, c3),
        _doubled(), *_separable(c3, c2), *_separable(c2, c2), *_unit("v1", c2, c2),
        _doubled(), *_separable(c2, c2), *_unit("v1", c2, c1), *_unit("v1", c1, c1),
        nn.Conv2d(c1, 3, 1, bias=False),
    ]  # fmt: skip


def _v2(c: list[int], blocks: int) -> list[nn.Module]:
    c0, c1, c2, c3 = c
    inner = [c2, *[c3] * blocks]  # the first block widens, so it has no sum
    return [
        *_unit("v2", 3, c0, 7), *_halving("v2", c0, c1), *_unit("v2", c1, c1),
        *_halving("v2", c1, c2), *_unit("v2", c2, c2),
        *_unit("v2", c2, c2), *(InvertedBlock("v2", *ends) for ends in pairwise(inner)), *_unit("v2", inner[-1], c2),
        _doubled(), *_unit("v2", c2, c2), *_unit("v2", c2, c2),
        _doubled(), *_unit("v2", c2, c1), *_unit("v2", c1, c1), *_unit("v2", c1, c0, 7),
        nn.Conv2d(c0, 3, 1, bias=False),
    ]  # fmt: skip


def _cartoongan(c: list[int], blocks: int) -> list[nn.Module]:
    _, c1, c2, c3 = c
    kind = "cartoongan"
    up = [upsampling("transposed", *ends) for ends in ((c3, c2), (c2, c1))]
    return [
        *_unit(kind, 3, c1, 7),
        *(nn.Conv2d(c1, c2, 3, 2, 1), *_unit(kind, c2, c2)),
        *(nn.Conv2d(c2, c3, 3, 2, 1), *_unit(kind, c3, c3)),
        *(ResidualBlock(c3, PLAIN) for _ in range(blocks)),
        *(up[0], *_unit(kind, c2, c2)),
        *(up[1], *_unit(kind, c1, c1)),
        ReflectedConv(c1, 3, 7),
    ]


def _halving(version: str, channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    conv = _Halved(nn.Conv2d(channels_in, channels_out, 3, stride=2, bias=False))
    return conv, _norm(version, channels_out), nn.LeakyReLU(0.2)


_LAYERS = {"v1": _v1, "v2": _v2, "cartoongan": _cartoongan}
_INITIALIZE = {
    "v1": nn.init.xavier_uniform_,
    "v2": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "cartoongan": lambda weight: nn.init.normal_(weight, 0.0, 0.02),
}
