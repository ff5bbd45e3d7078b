"""Residual blocks computed in place, a few rows at a time, for feature maps so large that memory holds only two.

A block x + norm(conv(ReLU(norm(conv(x))))) with instance normalization takes three passes over its rows: the first
gathers the statistics of the first convolution, the second those of the second, the third adds the result to x. What a
pass has computed is kept for the next one in a second map, as far as there is room for it. For rows beyond that, each
pass begins with x again, so that two convolutions of a block become five.

A 3×3 convolution needs one row more above and below than it returns. Strips that follow each other share them: the last
two rows of each are kept for the next one. So no product is computed twice within a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from course_lib.networks.convolutions import ReflectedConv
from course_lib.networks.instance_norm import Gathered
from course_lib.networks.layers import InstanceNorm, ResidualBlock

POSITIONS = 2**13  # of a strip: a few megabytes, and enough for a convolution to be as fast as on larger maps


def through(blocks: Iterable[nn.Module], x: Tensor, room: int, *, positions: int = POSITIONS) -> None:
    """Replace `x` by the output of the blocks.

    Each `InstanceNorm` in the blocks then holds the statistics of its input.

    Args:
        blocks: each a `ResidualBlock`.
        x: (1, C, H, W).
        room: bytes for the second map.
        positions: of a strip, approximately.
    """
    rows = min(x.shape[2], room // (x[:, :, 0].numel() * x.element_size()))
    beside = torch.empty_like(x[:, :, :rows], memory_format=torch.channels_last)
    for block in blocks:
        assert isinstance(block, ResidualBlock)
        _through(block, x, beside, positions)


def of(x: Tensor, positions: int = POSITIONS, top: int = 0) -> Iterator[Tensor]:
    """Views of a few rows of `x` each, from row `top` on, with about as many positions as given."""
    step = max(1, positions // x.shape[3])
    return (x[:, :, row : min(row + step, x.shape[2])] for row in range(top, x.shape[2], step))


def _through(block: ResidualBlock, x: Tensor, beside: Tensor, positions: int) -> None:
    first, norm, relu, second, last = block.body
    height, held = x.shape[2], beside.shape[2]

    def after_first(top: int) -> Iterator[Tensor]:
        """The first convolution's rows from `top` on."""
        return _convolved(of(x, positions, max(0, top - 1)), first, above=top == 0)

    def after_second(top: int) -> Iterator[Tensor]:
        """The second one's rows from `top` on."""
        return _convolved(activated(after_first(max(0, top - 1))), second, above=top == 0)

    def activated(strips: Iterable[Tensor]) -> Iterator[Tensor]:
        return (relu(norm(strip)) for strip in strips)

    _write(_gathered(after_first(0), norm), beside)
    if held < height:
        upper = _convolved(activated(of(beside, positions)), second, below=False)  # one row fewer: `held` - 1
        _write(_gathered(chain(upper, after_second(max(0, held - 1))), last), beside)
        _write(map(last, after_second(held)), x[:, :, held:], add=True)  # before the rows above change
    else:
        _write(_gathered(_convolved(activated(of(beside, positions)), second), last), beside)
    _write(map(last, of(beside, positions)), x, add=True)


def _convolved(
    strips: Iterable[Tensor], conv: nn.Module, *, above: bool = True, below: bool = True
) -> Iterator[Tensor]:
    """Strips of the 3×3 convolution of a map that comes in strips, with a reflected border `above` and `below` or none.

    It copies what it has read, so the map may be overwritten as far as the convolution has got.
    """
    assert isinstance(conv, ReflectedConv)
    seen: Tensor | None = None  # the last rows, which the next strip of the result depends on
    for strip in strips:
        seen = strip.clone() if seen is None else torch.cat((seen, strip), 2)
        if seen.shape[2] >= (2 if above else 3):
            yield conv.inside(conv.bordered(seen, above=above, below=False))
            above, seen = False, seen[:, :, -2:]
    if below and seen is not None:
        yield conv.inside(conv.bordered(seen, above=above, below=True))


def _gathered(strips: Iterable[Tensor], norm: nn.Module) -> Iterator[Tensor]:
    """The same strips; after the last one, an `InstanceNorm` holds their statistics."""
    gathered = Gathered()
    for strip in strips:
        if isinstance(norm, InstanceNorm):
            gathered.add(strip)
        yield strip
    if isinstance(norm, InstanceNorm):
        norm.held = gathered.joined()


def _write(strips: Iterable[Tensor], target: Tensor, *, add: bool = False) -> None:
    """Write strips into the rows of `target`, or add them, from the top on; what exceeds its height is dropped."""
    top = 0
    for strip in strips:
        rows = target[:, :, top : top + strip.shape[2]]
        top += strip.shape[2]
        part = strip[:, :, : rows.shape[2]]
        rows.add_(part) if add else rows.copy_(part)
