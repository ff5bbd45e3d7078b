"""The network of Dumoulin, Shlens & Kudlur 2017: one set of convolutions for N styles.

What differs from style to style is the scale γ and the shift β after each normalization (Section 2, Eq. 5):

    z = γ_s (x − μ) / σ + β_s

μ and σ are the mean and the standard deviation of a channel of one picture. γ and β are matrices with a row for each
style. At full width, the rows of one style in all layers have 3,206 parameters, and the convolutions have 1,674,432.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from course_lib import arguments
from course_lib.networks import instance_norm
from course_lib.networks.convolutions import ReflectedConv, ResizeConv
from course_lib.networks.inputs import at_least_float32, entered, entered_rows
from course_lib.networks.layers import InstanceNorm, ResidualBlock
from course_lib.networks.tiles import Stages
from course_lib.networks.transformer_net import TransformerNet, scaled

_SMALLEST = 8  # pixels: the quarter-size feature maps must be large enough to be reflected by one pixel
_STD = 0.01  # of the first weights (Table 1)
_CLOSE = 1e-3  # largest distance of the sum of a row of weights from 1


class ConditionalInstanceNorm(nn.Module):
    """Instance normalization whose scale and shift belong to a style (Dumoulin et al. 2017, Eq. 5).

    Args:
        channels: C of the input.
        num_styles: S.

    >>> norm = ConditionalInstanceNorm(4, num_styles=3)
    >>> tuple(norm(torch.rand(2, 4, 8, 8), torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5]])).shape)
    (2, 4, 8, 8)
    """

    eps = 1e-5

    def __init__(self, channels: int, num_styles: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_styles, channels))  # γ
        self.bias = nn.Parameter(torch.zeros(num_styles, channels))  # β

    def forward(self, x: Tensor, style_weights: Tensor) -> Tensor:
        """Normalize each picture by its own statistics, and scale and shift it by Σ_s w_s γ_s and Σ_s w_s β_s.

        Args:
            x: (N, C, H, W).
            style_weights: (N, S), the weights of the styles for each picture.

        Returns:
            (N, C, H, W).
        """
        scale, shift = (_mixed(style_weights, rows) for rows in (self.weight, self.bias))  # (N, C) each
        if instance_norm.suits(x):
            return instance_norm.normalized(x, scale, shift, self.eps)
        y = instance_norm.by_torch(x, None, None, self.eps)
        return torch.addcmul(shift[..., None, None], y, scale[..., None, None]).to(x.dtype)


class OneStyleNet(nn.Module):
    """The network with a single style, (N, 3, H, W) in [0, 1] → the same shape and range, for any H and W from 8 up.

    A 9×9 convolution, two 3×3 convolutions of stride 2, residual blocks, two upsamplings with 3×3 convolutions, and a
    9×9 convolution. A normalization follows each of them, and a sigmoid ends the network. The convolutions have no
    bias: the normalization would subtract it again with the mean.

    Args:
        width: factor on the paper's 32, 64 and 128 channels.
        num_blocks: residual blocks.

    >>> sum(parameter.numel() for parameter in OneStyleNet().parameters())
    1677638
    """

    def __init__(self, *, width: float = 1.0, num_blocks: int = 5) -> None:
        super().__init__()
        self.down, self.blocks, self.up = _layers(width, num_blocks, InstanceNorm)

    def forward(self, image: Tensor) -> Tensor:
        """Stylize a batch, (N, 3, H, W) in [0, 1] → the same shape and range.

        Raises:
            ImageError: wrong shape, or a side of less than 8 px.
        """
        image = entered(image, self, smallest=_SMALLEST)
        return _colors(self.up(self.blocks(self.down(scaled(image)))), image)

    def stages(self) -> Stages:
        """The parts of `forward`, for `tiles.by_tiles`; the reach is that of `TransformerNet`."""
        return Stages(
            scaled, self.down, self.blocks, self.up, _colors,
            shrink=4, scale=1, reach_down=2, reach_up=2, smallest=_SMALLEST,
        )  # fmt: skip


class MultiStyleNet(nn.Module):
    """The network of `OneStyleNet` with a γ and a β for each of several styles.

    Args:
        num_styles: S, at least 1.
        width: factor on the paper's 32, 64 and 128 channels.
        num_blocks: residual blocks.

    Raises:
        ValueError: a number of styles below 1.

    >>> sum(parameter.numel() for parameter in MultiStyleNet(32).parameters()) == 1_674_432 + 32 * 3_206
    True
    >>> network = MultiStyleNet(3, width=0.25)
    >>> tuple(network(torch.rand(2, 3, 37, 50), torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5]])).shape)
    (2, 3, 37, 50)
    """

    def __init__(self, num_styles: int, *, width: float = 1.0, num_blocks: int = 5) -> None:
        super().__init__()
        self.width = width
        self.num_styles = arguments.whole("num_styles", num_styles, 1)
        norm = partial(ConditionalInstanceNorm, num_styles=self.num_styles)
        self.down, self.blocks, self.up = _layers(width, num_blocks, norm)

    def forward(self, image: Tensor, style_weights: Tensor) -> Tensor:
        """Stylize each picture of a batch in its own style or blend of styles.

        Args:
            image: (N, 3, H, W) in [0, 1].
            style_weights: (N or 1, S), a weight for each style; rows sum to 1. A row with a single 1 is one style.

        Returns:
            (N, 3, H, W) in [0, 1].

        Raises:
            ImageError: wrong shape, or a side of less than 8 px.
            ValueError: weights of another shape.
        """
        image = entered(image, self, smallest=_SMALLEST)
        weights = rows_for(len(image), style_weights, self, self.num_styles)
        x = _through(self.down, scaled(image), weights)
        for block in self.blocks:
            assert isinstance(block, ResidualBlock)
            x = x + _through(block.body, x, weights)
        return _colors(_through(self.up, x, weights), image)

    def blended(self, weights: Tensor) -> OneStyleNet:
        """The network of one blend of styles: its γ and β are Σ_s w_s γ_s and Σ_s w_s β_s (Section 3).

        Args:
            weights: (S,), at least 0 and with the sum 1.

        Returns:
            A new network, in evaluation mode, that `tiles.by_tiles` can also compute. It is as fast as one style.

        Raises:
            ValueError: another number of weights, a negative one, or another sum.
        """
        row = rows_for(1, weights[None] if isinstance(weights, Tensor) else weights, self, self.num_styles)
        if not (row.min() >= 0 and abs(row.sum().item() - 1) <= _CLOSE):  # true for NaN, too
            raise ValueError(f"the weights of the styles must be at least 0 and sum to 1, got {weights.tolist()}")
        with torch.device("meta"):  # draws no weights
            network = OneStyleNet(width=self.width, num_blocks=len(self.blocks))
        with torch.no_grad():
            state = {
                name: _mixed(row, value)[0] if name in self.names_of_rows() else value
                for name, value in self.state_dict().items()
            }
        network.to(row.dtype).to_empty(device=row.device).load_state_dict(state)
        return network.eval()

    @torch.no_grad()
    def take(self, network: MultiStyleNet | TransformerNet, rows: Mapping[int, int] | None = None) -> None:
        """Copy the convolutions of a trained network, and its scales and shifts: a style's own, or their mean.

        Args:
            network: of the same width and number of blocks. The biases of a `TransformerNet`'s convolutions are left
                out; they have no effect, because the normalizations subtract them. No normalization follows its last
                convolution, so the last γ and β start at 1 and 0.
            rows: number of a style here → its number there; styles without one get the mean of all.

        Raises:
            ValueError: a network of another shape.
        """
        state = network.state_dict()
        if isinstance(network, TransformerNet):
            state["up.6.weight"] = state.pop("paint.weight")
        for name, value in self.state_dict().items():
            given = state.get(name)
            if isinstance(network, TransformerNet) and name.startswith("up.7."):
                continue
            if given is not None and name in self.names_of_rows():
                given = given.reshape(-1, given.shape[-1]).mean(0).expand(len(value), -1)
            if given is None or given.shape != value.shape:
                raise ValueError(f"the network to start from has no {name} of the shape {tuple(value.shape)}")
            value.copy_(given)
            if name in self.names_of_rows():
                for here, there in (rows or {}).items():
                    value[here] = state[name][there]

    @torch.no_grad()
    def with_row(self, network: MultiStyleNet) -> MultiStyleNet:
        """A copy of this network with one more style, whose scales and shifts come from a network for one style.

        Args:
            network: of the same shape and with one style; its convolutions are not read.
        """
        with torch.device("meta"):  # draws no weights
            joined = MultiStyleNet(self.num_styles + 1, width=self.width, num_blocks=len(self.blocks))
        other, rows = network.state_dict(), self.names_of_rows()
        state = {
            name: torch.cat((value, other[name].to(value))) if name in rows else value
            for name, value in self.state_dict().items()
        }
        joined.to_empty(device="cpu").load_state_dict(state)
        return joined.train(self.training)

    def names_of_rows(self) -> frozenset[str]:
        """The names of γ and β in a state_dict."""
        norms = [name for name, module in self.named_modules() if isinstance(module, ConditionalInstanceNorm)]
        return frozenset(f"{name}.{part}" for name in norms for part in ("weight", "bias"))


def rows_for(count: int, weights: Tensor, network: nn.Module, num_styles: int) -> Tensor:
    """Style weights (N or 1, S) of `count` pictures as (N, S), in the number format of the network.

    Raises:
        ValueError: weights of another shape.
    """
    rows = entered_rows(weights, network, num_styles, "style weights")
    if len(rows) not in (1, count):
        raise ValueError(f"expected one row of style weights, or one for each of the {count} pictures, got {len(rows)}")
    return rows.to(next(network.parameters()).device).expand(count, -1)


class _Block(ResidualBlock):
    """A residual block without biases, with any normalization."""

    def __init__(self, channels: int, norm: Callable[[int], nn.Module]) -> None:
        nn.Module.__init__(self)
        self.body = nn.Sequential(
            ReflectedConv(channels, channels, 3, bias=False),
            norm(channels),
            nn.ReLU(inplace=True),
            ReflectedConv(channels, channels, 3, bias=False),
            norm(channels),
        )


def _layers(
    width: float, num_blocks: int, norm: Callable[[int], nn.Module]
) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential]:
    """What comes before the blocks, the blocks, and what comes after them."""
    c1, c2, c3 = (max(1, round(width * channels)) for channels in (32, 64, 128))

    def unit(conv: nn.Module, channels: int) -> tuple[nn.Module, ...]:
        return conv, norm(channels), nn.ReLU(inplace=True)

    down = nn.Sequential(
        *unit(ReflectedConv(3, c1, 9, bias=False), c1),
        *unit(ReflectedConv(c1, c2, 3, stride=2, bias=False), c2),
        *unit(ReflectedConv(c2, c3, 3, stride=2, bias=False), c3),
    )
    blocks = nn.Sequential(*(_Block(c3, norm) for _ in range(num_blocks)))
    up = nn.Sequential(
        *unit(ResizeConv(c3, c2, bias=False), c2),
        *unit(ResizeConv(c2, c1, bias=False), c1),
        ReflectedConv(c1, 3, 9, bias=False),
        norm(3),
    )
    for part in (down, blocks, up):
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, _STD)
    return down, blocks, up


def _through(layers: Iterable[nn.Module], x: Tensor, weights: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x, weights) if isinstance(layer, ConditionalInstanceNorm) else layer(x)
    return x


def _mixed(weights: Tensor, rows: Tensor) -> Tensor:
    """Σ_s w_s of the rows: (N, S), (S, C) → (N, C); never in 16 bits, because they are few and scale everything."""
    with torch.autocast(weights.device.type, enabled=False):
        return weights @ rows


def _colors(x: Tensor, image: Tensor) -> Tensor:
    """What the last layer returns → colors in [0, 1], of the size of `image`."""
    return torch.sigmoid(at_least_float32(x))[..., : image.shape[2], : image.shape[3]]
