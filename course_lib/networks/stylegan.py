"""The networks of StyleGAN2 (Karras et al. 2020, configuration F), and AdaIN in their place (Karras et al. 2019).

    z ──mapping──► w ──► a scale for each input channel of each convolution     (`networks.modulated`)
    4×4 constant ──► convolutions, doubling ──► colors at each size, summed up  ("skip" generator, Figure 7 b)
    picture ──► residual blocks, halving ──► 4×4, deviation of the batch ──► logit  ("residual" discriminator, 7 c)

The generator never sees z itself. A style reaches every layer, those of 4 and 8 px (coarse) decide what is where, those
of the last sizes (fine) its colors; one picture can get the coarse styles of one w and the fine ones of another.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from course_lib import arguments
from course_lib.networks.equalized import EqualConv, EqualLinear, doubled, leaky
from course_lib.networks.inputs import at_least_float32, entered, entered_rows, in_its_format
from course_lib.networks.modulated import STYLES, StyledConv, ToRGB

SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
_MEAN_OF = 10_000  # styles, as in the released projector
_GROUP = 4  # pictures over which the discriminator measures a deviation


def channels(size: int, width: int = 16_384, most: int = 512) -> dict[int, int]:
    """Channels of the feature maps at each size: ``min(most, 2·width/size)``.

    Args:
        size: side of the pictures, a power of two.
        width: 16,384 in configuration F ("fmap base"), 8,192 in A to E; up to 32 px, both give the same.
        most: the most channels of a layer, 512 in the papers.

    >>> channels(256)
    {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128}
    >>> channels(32, 1024, 64)
    {4: 64, 8: 64, 16: 64, 32: 64}
    """
    return {side: max(1, min(most, 2 * width // side)) for side in _sides(size)}


def _sides(size: int) -> list[int]:
    return [2**k for k in range(2, int(math.log2(arguments.choice("size", size, SIZES))) + 1)]


class Mapping(nn.Module):
    """Noise z (N, z_size) → styles w (N, w_size): z scaled to a mean square of 1, then fully connected layers.

    Args:
        z_size, w_size: lengths, 512 in the papers.
        num_layers: 8 in the papers.
        rate: factor on the learning rate, 0.01 in the papers: at full speed the deep network is unstable
            (Karras et al. 2019, Appendix C).
    """

    mean: Tensor  # (w_size,): of the styles, once `measure_mean` was called

    def __init__(self, z_size: int = 512, w_size: int = 512, *, num_layers: int = 8, rate: float = 0.01) -> None:
        super().__init__()
        self.z_size = z_size
        sizes = [z_size, *[w_size] * num_layers]
        self.layers = nn.ModuleList(
            EqualLinear(before, after, rate=rate) for before, after in itertools.pairwise(sizes)
        )
        self.register_buffer("mean", torch.zeros(w_size))

    def forward(self, z: Tensor) -> Tensor:
        """Raises ValueError for noise of another shape."""
        z = entered_rows(z, self, self.z_size, "noise")
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            w = leaky(layer(w))
        return w

    @torch.no_grad()
    def measure_mean(self, seed: int = 0) -> None:
        """Set `mean` to the average of 10,000 styles."""
        self.mean.copy_(self(self._noise(seed)).mean(0))

    @torch.no_grad()
    def spread(self, seed: int = 0) -> float:
        """Root mean square distance of styles from their mean."""
        return (self(self._noise(seed)) - self.mean).square().sum(1).mean().sqrt().item()

    def _noise(self, seed: int) -> Tensor:
        z = torch.randn(_MEAN_OF, self.z_size, generator=torch.Generator().manual_seed(seed), device="cpu")
        return z.to(self.mean.device)


class StyleGenerator(nn.Module):
    """Styles w → pictures; with its mapping network, which `forward` does not call.

    Args:
        size: side of the pictures, a power of two from 8 to 1024.
        width, most: of `channels`.
        z_size, w_size: lengths of z and w.
        num_mapping: layers of the mapping network.
        rate_mapping: factor on its learning rate.
        style: ``"demodulation"`` or ``"instance"``, see `StyledConv`.

    Raises:
        ValueError: an unknown `size` or `style`.

    >>> with torch.device("meta"):  # shapes without memory
    ...     [sum(p.numel() for p in StyleGenerator(size).parameters()) for size in (64, 256)]
    [27032600, 30034338]
    """

    noise: Tensor  # (1, numbers of all layers)

    def __init__(
        self, size: int = 256, *, width: int = 16_384, most: int = 512, z_size: int = 512, w_size: int = 512,
        num_mapping: int = 8, rate_mapping: float = 0.01, style: str = "demodulation",
    ) -> None:  # fmt: skip
        super().__init__()
        style, maps = arguments.choice("style", style, STYLES), channels(size, width, most)
        self.w_size, self.size = w_size, size
        self.mapping = Mapping(z_size, w_size, num_layers=num_mapping, rate=rate_mapping)
        self.constant = nn.Parameter(torch.randn(1, maps[4], 4, 4))
        self.convs = nn.ModuleList([StyledConv(maps[4], maps[4], w_size, style=style)])
        self.colors = nn.ModuleList([ToRGB(maps[4], w_size, style=style)])
        for side in [side for side in maps if side > 4]:
            self.convs.append(StyledConv(maps[side // 2], maps[side], w_size, style=style, up=True))
            self.convs.append(StyledConv(maps[side], maps[side], w_size, style=style))
            self.colors.append(ToRGB(maps[side], w_size, style=style))
        self.sides = [4, *(side for side in maps if side > 4 for _ in range(2))]  # of each convolution
        drawn = torch.Generator().manual_seed(0)  # on the CPU: the same on every device
        fixed = torch.randn(1, sum(side**2 for side in self.sides), generator=drawn, device="cpu")
        self.register_buffer("noise", fixed.to(self.constant.device), persistent=False)  # not stored in files

    @property
    def num_styles(self) -> int:
        """How many styles a picture takes: one for each convolution, and one for the last colors."""
        return len(self.convs) + 1

    def forward(self, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """Paint pictures.

        Args:
            w: (N, w_size), one style for all layers; or (N, num_styles, w_size), one for each.
            noise: from `random_noise`, (N, ·); None: the same fixed noise for every picture and call.

        Returns:
            (N, 3, size, size); real pictures are in [0, 1], and these are not clamped.

        Raises:
            ValueError: styles or noise of another shape.
        """
        w, noise = self.checked_styles(w), self.noise if noise is None else noise
        if noise.ndim != 2 or noise.shape[1] != self.noise.shape[1] or len(noise) not in (1, len(w)):
            raise ValueError(
                f"expected noise ({len(w)}, {self.noise.shape[1]}), got {tuple(noise.shape)}; `random_noise` makes it"
            )
        parts = noise.to(w.dtype).split([side**2 for side in self.sides], 1)
        x, rgb = self.constant.expand(len(w), -1, -1, -1), None
        for k, (conv, side, part) in enumerate(zip(self.convs, self.sides, parts, strict=True)):
            x = conv(x, w[:, k], part.view(-1, 1, side, side))
            if k % 2 == 0:  # the last convolution of a size; its colors take the style of the next one
                now = at_least_float32(self.colors[k // 2](x, w[:, k + 1]))
                rgb = now if rgb is None else doubled(rgb) + now
        assert rgb is not None
        return 0.5 + 0.5 * rgb

    def random_noise(self, count: int) -> Tensor:
        """New noise for `count` pictures, (count, numbers of all layers), from PyTorch's random state."""
        return torch.randn(count, self.noise.shape[1], device=self.constant.device)

    def random_styles(self, count: int, mixing: float) -> Tensor:
        """Styles (count, num_styles, w_size) of new noise, from PyTorch's random state.

        Args:
            count: of pictures.
            mixing: the part of them that take a second style from a random layer on, from the second to the last.
        """
        device = self.constant.device
        z = torch.randn(2, count, self.mapping.z_size, device=device)
        first, second = (self.mapping(z_k)[:, None] for z_k in z)
        change = torch.randint(1, self.num_styles, (count, 1, 1), device=device)
        single = torch.rand(count, 1, 1, device=device) >= mixing
        layer = torch.arange(self.num_styles, device=device)[:, None]
        return torch.where((layer < change) | single, first, second)

    def layers_at(self, sizes: tuple[int, int]) -> Tensor:
        """Which styles work on feature maps of the given sizes, (num_styles,), bool.

        Args:
            sizes: the smallest and the largest side in pixels.

        Raises:
            ValueError: sizes that the generator does not have.
        """
        known = sorted(set(self.sides))
        if len(sizes) != 2 or not {*sizes} <= {*known} or sizes[0] > sizes[1]:
            raise ValueError(f"expected two of the sizes {', '.join(map(str, known))}, the smaller first, got {sizes}")
        sides = torch.tensor([*self.sides, self.sides[-1]])  # the last colors have a style of their own
        return (sides >= sizes[0]) & (sides <= sizes[1])

    def checked_styles(self, w: Tensor) -> Tensor:
        """Styles (N, w_size) or (N, num_styles, w_size) → (N, num_styles, w_size), in the format of the weights.

        Raises:
            ValueError: styles of another shape.
        """
        shape = tuple(w.shape) if isinstance(w, Tensor) else type(w).__name__
        if not isinstance(w, Tensor) or w.shape[1:] not in ((self.w_size,), (self.num_styles, self.w_size)):
            raise ValueError(
                f"expected styles (N, {self.w_size}) or (N, {self.num_styles}, {self.w_size}), got {shape}; "
                "`mapping` makes them from noise"
            )
        w = in_its_format(w, self)
        return w[:, None].expand(-1, self.num_styles, -1) if w.ndim == 2 else w


class StyleDiscriminator(nn.Module):
    """Pictures (N, 3, size, size) → logits (N,).

    Args:
        size: side of the pictures, a power of two from 8 to 1024.
        width, most: of `channels`.

    Raises:
        ValueError: an unknown `size`.

    >>> with torch.device("meta"):
    ...     [sum(p.numel() for p in StyleDiscriminator(size).parameters()) for size in (64, 256)]
    [26488833, 28864129]
    """

    def __init__(self, size: int = 256, *, width: int = 16_384, most: int = 512) -> None:
        super().__init__()
        maps = channels(size, width, most)
        self.size = size
        self.from_rgb = EqualConv(3, maps[size], 1)
        self.blocks = nn.ModuleList(
            _DownBlock(maps[side], maps[side // 2]) for side in sorted(maps, reverse=True) if side > 4
        )
        self.last = EqualConv(maps[4] + 1, maps[4], 3)
        self.dense = EqualLinear(16 * maps[4], maps[4])
        self.logit = EqualLinear(maps[4], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Score a batch: (N, 3, size, size), real ones in [0, 1] → (N,) logits.

        Raises:
            ValueError: pictures of another size.
        """
        images = entered(images, self)
        if images.shape[2:] != (self.size, self.size):
            raise ValueError(f"expected (N, 3, {self.size}, {self.size}), got {tuple(images.shape)}")
        x = leaky(self.from_rgb(2 * images - 1))
        for block in self.blocks:
            x = block(x)
        x = leaky(self.last(torch.cat((x, batch_deviation(x)), 1)))
        scores: Tensor = self.logit(leaky(self.dense(x.flatten(1))))
        return at_least_float32(scores)[:, 0]


class _DownBlock(nn.Module):
    """Two convolutions, of which the second halves the size, beside a halved 1×1 convolution: their sum over √2."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.first = EqualConv(channels, channels, 3)
        self.second = EqualConv(channels, out, 3, down=True)
        self.skip = EqualConv(channels, out, 1, bias=False, down=True)

    def forward(self, x: Tensor) -> Tensor:
        y = leaky(self.second(leaky(self.first(x))))
        return (y + self.skip(x)) / math.sqrt(2)


def batch_deviation(x: Tensor, group: int = _GROUP) -> Tensor:
    """How much the pictures of a group differ: one number for each, as a map (Karras et al. 2018, Section 3).

    A discriminator that sees it can reject a generator that makes the same picture again and again.

    Args:
        x: feature maps (N, C, H, W).
        group: pictures that are compared; the largest divisor of N up to it is used.

    Returns:
        (N, 1, H, W): the deviation over the group, averaged over channels and positions.

    >>> batch_deviation(torch.tensor([0.0, 2.0]).view(2, 1, 1, 1)).flatten().tolist()
    [1.0, 1.0]
    """
    size = next(k for k in range(min(group, len(x)), 0, -1) if len(x) % k == 0)
    y = at_least_float32(x).unflatten(0, (size, len(x) // size))  # pictures k, k + N/size, … are a group
    deviation = (y.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # (N/size,)
    return deviation.repeat(size)[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x.dtype)
