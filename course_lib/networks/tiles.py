"""Compute a network on a large picture tile by tile, with the same result as on the whole picture.

An output pixel depends on other places in two ways. A convolution looks at its neighborhood, so tiles overlap by a
few pixels and only their middles are kept. Instance normalization needs the mean and the variance of a whole feature
map, and the second normalization's map exists only once the first one's statistics are known. So there is one pass
for each normalization: it computes the layers before it tile by tile and joins the statistics of the tiles (Chan,
Golub & LeVeque 1983). The statistics are then held, and the next pass goes one normalization farther.

Most layers are in the residual blocks, and those work on small feature maps. One of these is held whole, with a second
one beside it, and both are rewritten in place (`strips`). Only the few layers before and after the blocks, at the sizes
where nothing whole would fit, are computed again in each pass.

What it costs, with the painters of this package on one thread: in tiles of 384 px, a photo of 2048 × 1364 px takes as
long as in one piece in float32 and 1.4 times as long in bfloat16; a photo of 512 × 341 px takes 1.5 and 1.6 times as
long. Tiles of 64 px take 1.7 to 3.3 times as long. A photo of 10,000 × 8,000 px needs 3.9 GB in float32 and 3.2 GB in
bfloat16, with Python, PyTorch, the photo and the painting (`benchmarks.tiles`). What it changes: in float32, less than
a hundredth of one of the 255 levels. In bfloat16 every feature map is rounded to 8 bits, and a statistic that differs
in its last bit changes the rounding of some numbers: results in tiles and in one piece differ by 0.1 levels on average
and by at most 5, while both differ from float32 by 0.2 to 0.6 levels on average and by up to 54 in a single pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from course_lib import arguments
from course_lib.image_checks import check_tensor
from course_lib.networks import instance_norm, strips
from course_lib.networks.layers import InstanceNorm
from course_lib.networks.tile_work import Work, products
from course_lib.optimize.start import check_memory
from course_lib.runtime import Callback

_ROOM = 2**28  # bytes for a second map of the blocks; those of the result, written afterwards, if it is larger


@dataclass(frozen=True)
class Stages:
    """A network taken apart: `prepare`, `down`, `blocks`, `up` and `finish`, one after the other, are the network."""

    prepare: Callable[[Tensor], Tensor]  # pictures (N, 3, H, W) → the input of `down`, sides multiples of `shrink`
    down: nn.Sequential  # to feature maps of 1/shrink of the size
    blocks: Iterable[nn.Module]  # `ResidualBlock`s
    up: nn.Sequential
    finish: Callable[[Tensor, Tensor], Tensor]  # output of `up`, pictures → (N, 3, scale·H, scale·W)
    shrink: int
    scale: int
    reach_down: int  # how far, in positions of the blocks' feature maps, `prepare` and `down` look
    reach_up: int  # the same for `up` and `finish`
    smallest: int  # side of a picture, in pixels


class Staged(Protocol):
    """A network that `by_tiles` can compute."""

    def stages(self) -> Stages: ...
    def parameters(self) -> Iterable[nn.Parameter]: ...
    def modules(self) -> Iterable[nn.Module]: ...


def by_tiles(
    network: Staged, pictures: Tensor, *, tile: int, precision: torch.dtype = torch.float32,
    callback: Callback | None = None,
) -> Tensor:  # fmt: skip
    """Compute ``network(pictures)``, in evaluation mode, tile by tile.

    Args:
        network: a `Staged` network, for example a `TransformerNet`.
        pictures: (N, 3, H, W) in [0, 1]; tiles move to the network's device one at a time.
        tile: side of the tiles in pixels, rounded up to a multiple of the network's strides. It sets the memory that
            is needed in addition to two feature maps of the blocks and the result.
        precision: of the convolutions.
        callback: hears after each tile how much is done (`tile_work.Work`).

    Returns:
        (N, 3, scale·H, scale·W), on the CPU, equal to ``network(pictures)`` up to rounding.

    Raises:
        ValueError: `tile` is not a whole number of at least 1, or the pictures have a wrong shape or are too small.
        MemoryError: the result does not fit into the memory; names the largest picture that would.

    >>> from course_lib.networks.transformer_net import TransformerNet
    >>> network, picture = TransformerNet(width=0.1).eval(), torch.rand(1, 3, 40, 61)
    >>> with torch.no_grad():
    ...     bool((by_tiles(network, picture, tile=16) - network(picture)).abs().max() < 1e-4)
    True
    """
    tile = arguments.whole("tile", tile, 1)
    stages, weight = network.stages(), next(iter(network.parameters()))
    check_tensor(pictures, least=stages.smallest, why="the network")
    count, _, height, width = pictures.shape
    check_memory(partial(_memory_needed, stages, weight, count), height, width, torch.device("cpu"))
    result = torch.empty(count, 3, stages.scale * height, stages.scale * width, dtype=weight.dtype)
    side = -(-tile // stages.shrink)
    place, half = weight.device.type, precision != torch.float32
    work = Work(count * _work_of(network, stages) * -(-height // stages.shrink) * -(-width // stages.shrink), callback)
    try:
        with torch.no_grad(), torch.autocast(place, precision, enabled=half):
            for picture, painted in zip(pictures.split(1), result.split(1), strict=True):
                middle = _go_down(stages, picture, side, weight, work)
                blocks = work.watched(stages.blocks, middle[0, 0].numel())
                strips.through(blocks, middle, max(painted.nbytes, _ROOM))
                _go_up(stages, middle, picture, side, weight, painted, work, _last_work(network, stages))
    finally:
        for module in network.modules():
            if isinstance(module, InstanceNorm):
                module.held = None
    return result


def _work_of(network: Staged, stages: Stages) -> float:
    """The products of all passes for each position of the blocks' feature maps."""
    down = sum(products(stages.down[:end], stages.shrink)[0] for end in _ends(stages.down))
    up = sum(products(stages.up[:k])[0] for k, _ in _norms(stages.up))
    return down + sum(products(block)[0] for block in stages.blocks) + up + _last_work(network, stages)


def _last_work(network: Staged, stages: Stages) -> float:
    """The products of the last pass: those of `up`, and of `finish`, whose layers are in no other part."""
    known = {id(part) for whole in (stages.down, stages.up, *stages.blocks) for part in whole.modules()}
    count, scale = products(stages.up)
    return count + sum(
        layer.weight.numel() * scale**2
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d) and id(layer) not in known
    )


def _memory_needed(stages: Stages, weight: Tensor, count: int, height: int, width: int) -> int:
    """Bytes in the CPU's memory: the result, and on a CPU the blocks' output from which it is made."""
    channels = next(layer.out_channels for layer in reversed(stages.down) if isinstance(layer, nn.Conv2d))
    middle = channels * height * width // stages.shrink**2 if weight.device.type == "cpu" else 0
    return weight.itemsize * (3 * count * stages.scale**2 * height * width + middle)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a feature map, and the larger one that is computed to get it right.

    The methods take maps of `scale` times the size. Where such a map ends early, at the lower and the right border,
    they take what is there.
    """

    rows: tuple[int, int]  # kept: first and last + 1
    columns: tuple[int, int]
    rows_read: tuple[int, int]  # kept ones and their neighborhood
    columns_read: tuple[int, int]

    @property
    def size(self) -> int:
        """The positions that it fills."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])

    @property
    def width_read(self) -> int:
        return self.columns_read[1] - self.columns_read[0]

    def read(self, whole: Tensor, scale: int = 1) -> Tensor:
        """The part of `whole` that is to be computed."""
        (top, bottom), (left, right) = self.rows_read, self.columns_read
        return whole[..., scale * top : scale * bottom, scale * left : scale * right]

    def kept(self, whole: Tensor, scale: int = 1) -> Tensor:
        """The part of `whole` that this tile fills."""
        (top, bottom), (left, right) = self.rows, self.columns
        return whole[..., scale * top : scale * bottom, scale * left : scale * right]

    def inner(self, part: Tensor, scale: int = 1) -> Tensor:
        """The kept part of what was computed from `read`."""
        (above, _), (before, _) = self.rows_read, self.columns_read
        (top, bottom), (left, right) = self.rows, self.columns
        return part[
            ..., scale * (top - above) : scale * (bottom - above), scale * (left - before) : scale * (right - before)
        ]


def cut(height: int, width: int, *, side: int, reach: int) -> list[Tile]:
    """Tiles that together fill (height, width), row by row; each reads `reach` more on every side, up to the border.

    >>> [tile.rows_read for tile in cut(25, 10, side=10, reach=3)]
    [(0, 13), (7, 23), (17, 25)]
    """

    def spans(length: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        ends = [(start, min(start + side, length)) for start in range(0, length, side)]
        return [(kept, (max(0, kept[0] - reach), min(length, kept[1] + reach))) for kept in ends]

    return [
        Tile(rows, columns, rows_read, columns_read)
        for rows, rows_read in spans(height)
        for columns, columns_read in spans(width)
    ]


def piecewise(
    function: Callable[[Tensor], Tensor], whole: Tensor, *, side: int, reach: int, shrink: int = 1, scale: int = 1,
    told: Callable[[float], None] | None = None,
) -> Tensor:  # fmt: skip
    """Compute ``function(whole)`` tile by tile, if every output depends only on its neighborhood.

    Args:
        function: (N, C, H, W) → (N, C', scale·H/shrink, scale·W/shrink), without statistics of the whole map.
        whole: H and W are multiples of `shrink`.
        side: of the tiles, in blocks of `shrink` × `shrink` inputs.
        reach: how many blocks beyond its own an output depends on.
        shrink, scale: inputs and outputs on the side of a block.
        told: hears after each tile the share of the map that it fills.

    Returns:
        What ``function(whole)`` returns, up to rounding.

    >>> smooth, whole = nn.AvgPool2d(3, stride=1, padding=1), torch.rand(1, 2, 25, 10)
    >>> torch.allclose(piecewise(smooth, whole, side=10, reach=1), smooth(whole))
    True
    """
    height, width = (length // shrink for length in whole.shape[-2:])
    result: Tensor | None = None
    for tile in cut(height, width, side=side, reach=reach):
        part = tile.inner(function(tile.read(whole, shrink)), scale)
        if result is None:
            result = torch.empty(*part.shape[:2], scale * height, scale * width, dtype=part.dtype, device=part.device)
        tile.kept(result, scale).copy_(part)
        if told is not None:
            told(tile.size / (height * width))
    assert result is not None
    return result


def _norms(layers: nn.Sequential) -> list[tuple[int, InstanceNorm]]:
    return [(k, layer) for k, layer in enumerate(layers) if isinstance(layer, InstanceNorm)]


def _ends(layers: nn.Sequential) -> list[int]:
    """Where each pass over the first layers ends: the map is held as the last normalization takes it."""
    return [k for k, _ in _norms(layers)] or [len(layers)]


def _go_down(stages: Stages, picture: Tensor, side: int, weight: Tensor, work: Work) -> Tensor:
    """The blocks' input, (1, C, H/shrink, W/shrink)."""
    height, width = (-(-length // stages.shrink) for length in picture.shape[-2:])
    tiles = cut(height, width, side=side, reach=stages.reach_down)
    norms, ends = dict(_norms(stages.down)), _ends(stages.down)
    middle: Tensor | None = None
    for end in ends:
        layers, gathered = stages.down[:end], instance_norm.Gathered()
        each = products(layers, stages.shrink)[0]
        for tile in tiles:
            y = layers(stages.prepare(_moved(tile.read(picture, stages.shrink), weight)))
            part = tile.inner(y, y.shape[-1] // tile.width_read)
            if end in norms:
                gathered.add(part)
            if end == ends[-1]:
                middle = _like(part, height, width) if middle is None else middle
                tile.kept(middle).copy_(part)
            work.add(each * tile.size)
        if end in norms:
            norms[end].held = gathered.joined()
    assert middle is not None
    for strip in strips.of(middle):
        strip.copy_(stages.down[ends[-1] :](strip))
    return middle


def _go_up(
    stages: Stages, middle: Tensor, picture: Tensor, side: int, weight: Tensor, painted: Tensor, work: Work, last: float
) -> None:
    """Write what follows the blocks' output `middle` into `painted`; the last pass has `last` products a position."""
    tiles = cut(*middle.shape[-2:], side=side, reach=stages.reach_up)
    for k, norm in _norms(stages.up):
        layers, gathered = stages.up[:k], instance_norm.Gathered()
        each = products(layers)[0]
        for tile in tiles:
            y = layers(tile.read(middle))
            gathered.add(tile.inner(y, y.shape[-1] // tile.width_read))
            work.add(each * tile.size)
        norm.held = gathered.joined()
    for tile in tiles:
        seen = _moved(tile.read(picture, stages.shrink), weight)
        part = stages.finish(stages.up(tile.read(middle)), seen)
        tile.kept(painted, stages.shrink * stages.scale).copy_(tile.inner(part, stages.shrink * stages.scale))
        work.add(last * tile.size)


def _moved(part: Tensor, weight: Tensor) -> Tensor:
    return part.to(weight.device, weight.dtype).contiguous(memory_format=torch.channels_last)


def _like(part: Tensor, height: int, width: int) -> Tensor:
    """An empty map of another size, whose rows lie together in memory."""
    shape = (1, part.shape[1], height, width)
    return torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=torch.channels_last)
