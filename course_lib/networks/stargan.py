"""The networks of StarGAN (Choi et al. 2018, Appendix 7.2): a generator that is told where to go, and its judge.

Each is a chain of convolutions::

    picture and label ──► 7×7 ──► halved twice ──► residual blocks ──► doubled twice ──► 7×7, tanh
    picture ──► halved six times ──► is it real? (each patch), and of which domain is it? (the whole picture)

A label enters as one constant plane for each domain, beside the three colors. **Its border must be zeros.** A
convolution adds to each channel the same number wherever it sees only the plane; with a reflected border, that is
everywhere, and instance normalization subtracts it again with the mean: the generator cannot know the label, whatever
its weights are. With a border of zeros, the sum is smaller along the edge, and so the label remains.
"""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import arguments
from course_lib.networks.inputs import at_least_float32, entered, entered_rows
from course_lib.networks.layers import norm_layer

PADDINGS = ("zeros", "reflect")
SMALLEST = 8  # pixels: the quarter-size feature maps must be large enough to be reflected by one pixel


class StarGenerator(nn.Module):
    """Translate pictures to the domains asked for, (N, 3, H, W) in [0, 1] → the same shape and range, H and W from 8.

    As in the released code, no convolution has a bias; all but the last are normalized, which would take it away again.

    Args:
        num_domains: planes of the label: 5 for the paper's faces of CelebA, 8 for the expressions of RaFD.
        num_blocks: residual blocks, 6 in the paper.
        width: factor on the paper's 64, 128 and 256 channels.
        halvings: 2 in the paper, for pictures of 128 px; 1 leaves as many positions of pictures half as large.
        padding: ``"zeros"``, or ``"reflect"``, with which the label is lost: see the head of this module.

    Raises:
        ValueError: an unknown padding, a number out of range.

    >>> [sum(p.numel() for p in StarGenerator(count).parameters()) for count in (5, 8)]
    [8430528, 8439936]
    >>> network, dusk = StarGenerator(3, num_blocks=1, width=0.1), torch.tensor([[0.0, 0.0, 1.0]])
    >>> tuple(network(torch.rand(1, 3, 37, 50), dusk).shape)
    (1, 3, 37, 50)
    """

    def __init__(
        self, num_domains: int, *, num_blocks: int = 6, width: float = 1.0, halvings: int = 2, padding: str = "zeros"
    ) -> None:
        super().__init__()
        self.num_domains = arguments.whole("num_domains", num_domains, 2)
        num_blocks, width = arguments.whole("num_blocks", num_blocks, 0), arguments.positive("width", width)
        padding = arguments.choice("padding", padding, PADDINGS)
        self.halvings = arguments.whole("halvings", halvings, 0, 2)
        channels = [max(1, round(width * 64 * 2**k)) for k in range(self.halvings + 1)]
        down, up = [*pairwise(channels)], [*pairwise(channels[::-1])]
        self.layers = nn.Sequential(
            *_unit(_conv(3 + self.num_domains, channels[0], 7, padding), channels[0]),
            *chain(*(_unit(_conv(c, d, 4, padding, stride=2), d) for c, d in down)),
            *(_Residual(channels[-1], padding) for _ in range(num_blocks)),
            *chain(*(_unit(nn.ConvTranspose2d(c, d, 4, stride=2, padding=1, bias=False), d) for c, d in up)),
            _conv(channels[0], 3, 7, padding),
        )

    def forward(self, image: Tensor, domains: Tensor) -> Tensor:
        """Translate each picture of a batch to its own domain.

        Args:
            image: (N, 3, H, W) in [0, 1].
            domains: (N, num_domains), floats: a row with a single 1 is one domain.

        Returns:
            (N, 3, H, W) in [0, 1].

        Raises:
            ImageError: wrong shape, or a side of less than 8 px.
            ValueError: not one row for each picture.
        """
        image = entered(image, self, smallest=SMALLEST)
        rows = entered_rows(domains, self, self.num_domains, "domains")
        if len(rows) != len(image):
            raise ValueError(f"expected a row of domains for each of {len(image)} pictures, got {len(rows)}")
        height, width = image.shape[-2:]
        step = 2**self.halvings  # height and width must be multiples of it
        x = F.pad(image, (0, -width % step, 0, -height % step), mode="reflect")
        planes = rows[:, :, None, None].expand(-1, -1, *x.shape[-2:])
        colors = torch.tanh(at_least_float32(self.layers(torch.cat((2 * x - 1, planes), 1))))
        return (0.5 + 0.5 * colors)[..., :height, :width]


class StarDiscriminator(nn.Module):
    """Judge pictures (N, 3, S, S) in [0, 1]: how real is each patch, and which domain is it?

    It has no normalization, so each picture is judged alone, as the gradient penalty needs.

    Args:
        num_domains: of the classification.
        size: S, side of the pictures in px.
        num_layers: halvings, 6 in the paper: 128 px become 2×2 patches.
        width: factor on the paper's 64, 128, … 2048 channels, which double with each halving.

    Raises:
        ValueError: a size that cannot be halved so often, a number out of range.

    >>> [sum(p.numel() for p in StarDiscriminator(count).parameters()) for count in (5, 8)]
    [44762048, 44786624]
    >>> network = StarDiscriminator(3, size=32, num_layers=4, width=0.1)
    >>> [tuple(answer.shape) for answer in network(torch.rand(2, 3, 32, 32))]
    [(2, 1, 2, 2), (2, 3)]
    """

    def __init__(self, num_domains: int, *, size: int = 128, num_layers: int = 6, width: float = 1.0) -> None:
        super().__init__()
        num_domains, width = arguments.whole("num_domains", num_domains, 2), arguments.positive("width", width)
        self.size, num_layers = arguments.whole("size", size, 1), arguments.whole("num_layers", num_layers, 1)
        if self.size % 2 ** min(num_layers, 64):
            raise ValueError(
                "size must be a multiple of 2 to the power of num_layers, its number of halvings; "
                f"got {size} and {num_layers}"
            )
        self.layers, before = nn.Sequential(), 3
        for k in range(num_layers):
            after = max(1, round(width * 64 * 2**k))
            self.layers.extend((nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.01)))
            before = after
        self.patches = nn.Conv2d(before, 1, 3, padding=1, bias=False)
        self.classes = nn.Conv2d(before, num_domains, self.size // 2**num_layers, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Judge a batch (N, 3, S, S) in [0, 1].

        Returns:
            The critic's values (N, 1, h, w), higher for real patches, and the logits of the domains (N, num_domains).

        Raises:
            ImageError: not pictures.
            ValueError: pictures of another size.
        """
        image = entered(image, self)
        if image.shape[2:] != (self.size, self.size):
            raise ValueError(f"this discriminator takes pictures (N, 3, {self.size}, {self.size}), "
                             f"got {tuple(image.shape)}")  # fmt: skip
        x = self.layers(2 * image - 1)
        return at_least_float32(self.patches(x)), at_least_float32(self.classes(x).flatten(1))


class _Residual(nn.Module):
    """x + norm(conv(ReLU(norm(conv(x))))), like `course_lib.networks.layers.ResidualBlock`, with any padding."""

    def __init__(self, channels: int, padding: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_unit(_conv(channels, channels, 3, padding), channels),
            _conv(channels, channels, 3, padding),
            norm_layer("instance", channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


def _conv(channels_in: int, channels_out: int, kernel: int, padding: str, *, stride: int = 1) -> nn.Conv2d:
    border = (kernel - 1) // 2  # a kernel of 4 has 1, so that a stride of 2 halves
    mode: Any = padding  # one of `PADDINGS`
    return nn.Conv2d(channels_in, channels_out, kernel, stride, border, bias=False, padding_mode=mode)


def _unit(layer: nn.Module, channels: int) -> tuple[nn.Module, ...]:
    return layer, norm_layer("instance", channels), nn.ReLU(inplace=True)
