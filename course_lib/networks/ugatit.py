"""Generator and discriminator of U-GAT-IT (Kim, Kim, Kang & Lee, ICLR 2020, Figure 1 and Appendix B).

The generator is CycleGAN's with two additions: class attention behind its encoder (`networks.class_attention`), and
AdaLIN in its decoder (`networks.adalin`), whose γ and β are computed from the attended feature maps. A discriminator
is a PatchGAN with class attention and spectral normalization. Two judge each domain: the local one sees patches of 70
pixels, as in CycleGAN, the global one patches of 286, which is more than the whole picture.
"""

from __future__ import annotations

from itertools import chain, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from course_lib import arguments
from course_lib.image_checks import ImageError
from course_lib.networks.adalin import LIN, AdaLIN
from course_lib.networks.class_attention import Attended, ClassAttention
from course_lib.networks.convolutions import ReflectedConv, ResizeConv
from course_lib.networks.inputs import at_least_float32, entered
from course_lib.networks.layers import PLAIN, ResidualBlock, initialize, norm_layer, receptive_field
from course_lib.networks.patchgan import PATCHES

SMALLEST = 8  # pixels: after two halvings, feature maps must be large enough to be reflected by one pixel
GLOBAL, LOCAL = 286, 70  # receptive fields of the paper's two discriminators, in pixels


class AttentionGenerator(nn.Module):
    """Translate pictures, (N, 3, H, W) in [0, 1] → an `Attended`, whose output has the same shape and range.

    Args:
        num_blocks: residual blocks of the encoder, and as many with AdaLIN in the decoder.
        width: factor on the paper's 64, 128 and 256 channels.
        light: γ and β come from the mean of each feature map, for pictures of any size from 8 px up. False: from every
            position of every map, as in the paper, which takes 96 % of all parameters and fixes the size.
        image_size: side of the pictures, with two halvings a multiple of 4; a light generator ignores it.
        norm: ``"adalin"``; or ``"instance"`` or ``"layer"``, which hold ρ, see `course_lib.networks.adalin.AdaLIN`.
        halvings: 2 in the paper, for pictures of 256 px; fewer leave more positions of smaller pictures.

    Raises:
        ValueError: an unknown `norm`; a side that is no multiple of 4, with two halvings.

    >>> with torch.device("meta"):
    ...     [sum(p.numel() for p in AttentionGenerator(light=light).parameters()) for light in (False, True)]
    [278959808, 10589888]
    >>> [tuple(part.shape) for part in AttentionGenerator(1, width=0.1, light=True)(torch.rand(1, 3, 37, 50))]
    [(1, 3, 37, 50), (1, 2), (1, 1, 10, 13)]
    """

    def __init__(
        self, num_blocks: int = 4, *, width: float = 1.0, light: bool = False, image_size: int = 256,
        norm: str = "adalin", halvings: int = 2,
    ) -> None:  # fmt: skip
        super().__init__()
        num_blocks, width = arguments.whole("num_blocks", num_blocks, 0), arguments.positive("width", width)
        self.size = None if light else arguments.whole("image_size", image_size, SMALLEST)
        self.step = 2 ** arguments.whole("halvings", halvings, 0, 2)  # px between two positions of the feature maps
        if self.size is not None and self.size % self.step:
            raise ValueError(f"image_size must be a multiple of {self.step}, unless light=True, got {image_size!r}")
        channels = [max(1, round(width * 64 * 2**k)) for k in range(halvings + 1)]
        first, last = channels[0], channels[-1]
        down, up = pairwise(channels), pairwise(channels[::-1])
        self.encoder = nn.Sequential(
            *_unit(ReflectedConv(3, first, 7, bias=False), norm_layer(PLAIN, first)),
            *chain(*(_unit(ReflectedConv(c, d, 3, stride=2, bias=False), norm_layer(PLAIN, d)) for c, d in down)),
            *(ResidualBlock(last, PLAIN, bias=False) for _ in range(num_blocks)),
        )
        self.attention = ClassAttention(last, nn.ReLU())
        positions = 1 if self.size is None else (self.size // self.step) ** 2
        self.style = nn.Sequential(
            nn.Linear(positions * last, last, bias=False), nn.ReLU(), nn.Linear(last, last, bias=False), nn.ReLU()
        )
        self.gamma, self.beta = (nn.Linear(last, last, bias=False) for _ in range(2))
        self.blocks = nn.ModuleList(_AdaptiveBlock(last, norm) for _ in range(num_blocks))
        self.up = nn.Sequential(
            *chain(*(_unit(ResizeConv(c, d, bias=False), LIN(d, norm=norm)) for c, d in up)),
            ReflectedConv(first, 3, 7, bias=False),
        )

    def forward(self, image: Tensor) -> Attended:
        """Translate a batch, and say where the generator looked.

        Args:
            image: (N, 3, H, W) in [0, 1].

        Returns:
            The pictures, (N, 3, H, W) in [0, 1]; logits (N, 2), large for pictures of the domain that the generator
            translates *from*; the heat map, (N, 1, ⌈H/4⌉, ⌈W/4⌉) with two halvings.

        Raises:
            ImageError: wrong shape, a side of less than 8 px, or another size than a generator with a fixed size takes.
        """
        image = entered(image, self, smallest=SMALLEST)
        height, width = image.shape[-2:]
        if self.size is not None and (height, width) != (self.size, self.size):
            raise ImageError(
                f"this generator takes pictures of {self.size} × {self.size} px only, got {height} × {width}; "
                "resize them, or train one with light=True, which takes any size"
            )
        x = F.pad(image, (0, -width % self.step, 0, -height % self.step), mode="reflect")
        features, logits, heat = self.attention(self.encoder(2 * x - 1))
        style = self.style(features.mean((2, 3)) if self.size is None else features.flatten(1))
        gamma, beta = self.gamma(style), self.beta(style)
        for block in self.blocks:
            features = block(features, gamma, beta)
        colors = torch.tanh(at_least_float32(self.up(features)))
        return Attended((0.5 + 0.5 * colors)[..., :height, :width], logits, heat)


class _AdaptiveBlock(nn.Module):
    """x + AdaLIN(conv(ReLU(AdaLIN(conv(x))))), both with the same γ and β."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.convs = nn.ModuleList(ReflectedConv(channels, channels, 3, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(AdaLIN(channels, norm=norm) for _ in range(2))

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        first, second = self.convs
        y = F.relu(self.norms[0](first(x), gamma, beta))
        z: Tensor = x + self.norms[1](second(y), gamma, beta)
        return z


class AttentionDiscriminator(nn.Module):
    """How real is each patch, and is the picture real? Pictures (N, 3, H, W) in [0, 1] → an `Attended`.

    Every layer with a sum over channels is divided by its largest singular value (spectral normalization, Miyato et
    al. 2018), except for the convolution inside the attention, as in the released code.

    Args:
        patch: side of a patch in pixels: 286 (global) or 70 (local) in the paper; or 16, 34 or 142.
        width: factor on the paper's 64, 128, …, 2,048 channels, which double with each layer but the last.
        init_std: weights are drawn from N(0, init_std²), before they are normalized.

    Raises:
        ValueError: an unknown `patch`.

    >>> with torch.device("meta"):
    ...     [sum(p.numel() for p in AttentionDiscriminator(patch).parameters()) for patch in (286, 70)]
    [53130176, 3290560]
    >>> judge = AttentionDiscriminator(70, width=0.1)
    >>> judge.patch, judge.stride, tuple(judge(torch.rand(2, 3, 256, 256)).output.shape)
    (70, 8, (2, 1, 30, 30))
    """

    def __init__(self, patch: int = LOCAL, *, width: float = 1.0, init_std: float = 0.02) -> None:
        super().__init__()
        patch, width = arguments.choice("patch", patch, tuple(PATCHES)[1:]), arguments.positive("width", width)
        halvings, before = PATCHES[patch], 3
        self.layers = nn.Sequential()
        for k in range(halvings + 1):
            after = max(1, round(width * 64 * 2**k))
            self.layers.extend((_reflected(before, after, stride=2 if k < halvings else 1), nn.LeakyReLU(0.2)))
            before = after
        self.attention = ClassAttention(before, nn.LeakyReLU(0.2))
        self.last = _reflected(before, 1, bias=False)
        self.patch, self.stride = receptive_field(nn.Sequential(self.layers, self.last))
        initialize(self, init_std)
        for layer in (*self.layers[::2], self.attention.means, self.attention.maxima, self.last):
            spectral_norm(layer)  # it starts from the weights as they are: initialize first

    def forward(self, image: Tensor) -> Attended:
        """Judge a batch, and say where the discriminator looked.

        Args:
            image: (N, 3, H, W) in [0, 1].

        Returns:
            Logits of the patches, (N, 1, h, w); those of the attention's classifiers, (N, 2), large for real pictures;
            the heat map, (N, 1, h + 1, w + 1).

        Raises:
            ValueError: pictures that are too small for its patches.
            ImageError: not a tensor of this shape.
        """
        image = entered(image, self)
        if min(image.shape[-2:]) < (least := smallest_picture(self.patch)):
            raise ValueError(
                f"patches of {self.patch} px need pictures of at least {least} px, got {tuple(image.shape)}; "
                "use smaller patches"
            )
        features, logits, heat = self.attention(self.layers(2 * image - 1))
        return Attended(self.last(features), logits, heat)


def smallest_picture(patch: int) -> int:
    """The smallest side in px that a discriminator with this patch can judge: what is left must be 3 positions.

    >>> [smallest_picture(patch) for patch in (16, 70, 286)]
    [6, 24, 96]
    """
    return 3 * 2 ** PATCHES[patch]


def _reflected(channels: int, out: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """A 4×4 convolution whose input is reflected by one pixel."""
    return nn.Conv2d(channels, out, 4, stride, padding=1, padding_mode="reflect", bias=bias)


def _unit(layer: nn.Module, norm: nn.Module) -> tuple[nn.Module, ...]:
    return layer, norm, nn.ReLU(inplace=True)
