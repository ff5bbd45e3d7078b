"""3×3 convolutions with a quarter of the multiplications (Winograd 1980; Lavin & Gray 2016).

F(m, 3) computes m neighboring outputs of a filter g with three taps from m + 2 inputs d, with m + 2 multiplications
instead of 3m:

    y = Aᵀ [(G g) ⊙ (Bᵀ d)]

The outputs are coefficients of a product of polynomials. G and Bᵀ evaluate at m + 2 points, one of which is infinity,
the values are multiplied, and Aᵀ goes back. In two dimensions the same is done down the columns and along the rows: a
tile of m×m outputs takes (m + 2)² multiplications instead of 9m², which is 36 instead of 144 for m = 4. Over all tiles
and channels, these multiplications are (m + 2)² matrix products.

The gradient of a convolution is a convolution with the filters turned around, so the same code computes it.

Symbols: C input channels, O output channels, m outputs in a row of a tile, n = m + 2 points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod, sqrt
from pathlib import Path

import torch
from torch import Tensor

# Lavin & Gray use 0, ±1, ±2 for F(4, 3). These four lie closer to 1, so that their powers vary less, and the rounding
# error is half as large.
POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, sqrt(1 / 2), -sqrt(1 / 2), sqrt(2), -sqrt(2))}
OUTPUTS = 4
TILES = 96  # in a chunk: its intermediate results stay in the processor's cache

# Where it beats the plain convolution on one thread, by `python -m benchmarks.winograd`: the smaller number of channels
# and the fewest tiles. With few channels the transforms cost more than they save. With few tiles the time goes into
# reading the transformed filters, which are four times as large as the filters. In bfloat16 only the way back uses it:
# a gradient may be off by a percent, while Gram matrices are compared with targets that they nearly equal.
FEWEST_TILES = {
    (torch.float32, False): {64: 64, 128: 16, 256: 8},
    (torch.float32, True): {64: 64, 128: 16, 256: 8},
    (torch.bfloat16, True): {128: 64, 256: 32},
}


def pays(
    precision: torch.dtype, channels_in: int, channels_out: int, height: int, width: int, *, turned: bool = False
) -> bool:
    """Whether this is the faster way on a CPU for a layer of this shape: the measured rule in `FEWEST_TILES`.

    >>> pays(torch.float32, 256, 256, 64, 64), pays(torch.float32, 3, 64, 256, 256)
    (True, False)
    """
    tiles, channels = -(-height // OUTPUTS) * -(-width // OUTPUTS), min(channels_in, channels_out)
    fewest = [count for least, count in FEWEST_TILES.get((precision, turned), {}).items() if least <= channels]
    if not fewest or tiles < fewest[-1]:
        return False
    return precision != torch.bfloat16 or doubles_in_bfloat16()


@lru_cache(maxsize=1)
def doubles_in_bfloat16() -> bool:
    """Whether this CPU multiplies matrices about twice as fast in bfloat16 as in float32: AVX512-BF16 without AMX.

    The rule for bfloat16 was measured on such a CPU. Without units for bfloat16 the products are slower. With AMX they
    are about eight times as fast, and then the transforms alone, in float32, would take as long as the convolution.
    """
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
    return "avx512_bf16" in text and "amx_bf16" not in text


@lru_cache(maxsize=16)
def matrices(outputs: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Aᵀ, G and Bᵀ of F(m, 3), by the rule of Toom and Cook from the points in `POINTS`.

    Args:
        outputs: m, 2 or 4.

    Returns:
        Aᵀ (m, n), G (n, 3) and Bᵀ (n, n).

    >>> A, G, B = matrices(2)
    >>> d, g = torch.tensor([1.0, 2.0, 4.0, 8.0]).double(), torch.tensor([1.0, 0.0, -1.0]).double()
    >>> A @ ((G @ g) * (B @ d))  # 1 - 4 and 2 - 8
    tensor([-3., -6.], dtype=torch.float64)
    """
    points = POINTS[outputs]
    back = [[point**power for point in points] + [float(power == outputs - 1)] for power in range(outputs)]
    of_filter, of_input = [], []
    for point in points:
        others = [other for other in points if other != point]
        of_filter.append([point**power / prod(point - other for other in others) for power in range(3)])
        of_input.append([*_coefficients(others), 0.0])
    of_filter.append([0.0, 0.0, 1.0])  # the value at infinity is the leading coefficient
    of_input.append(_coefficients(points))
    a, g, b = (torch.tensor(rows, dtype=torch.float64).to(dtype) for rows in (back, of_filter, of_input))
    return a, g, b


def _coefficients(roots: Sequence[float]) -> list[float]:
    """The coefficients of Π (x - root), lowest power first."""
    found = [1.0]
    for root in roots:
        found = [above - root * own for above, own in zip([0.0, *found], [*found, 0.0], strict=True)]
    return found


@dataclass(frozen=True)
class Filters:
    """A layer's transformed filters, G g Gᵀ."""

    values: Tensor  # (n·n, C, O): for each pair of points (along the row, down the column)
    bias: Tensor | None  # (O,)
    outputs: int

    @classmethod
    def of(
        cls,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        turned: bool = False,
        outputs: int = OUTPUTS,
    ) -> Filters:
        """Transform a layer's filters, once for all its convolutions.

        Args:
            weight: (O, C, 3, 3).
            bias: (O,), or None.
            turned: turn the filters around and exchange input and output, which gives the convolution's gradient.
            outputs: m, 2 or 4.
        """
        if turned:
            weight = weight.flip(2, 3).transpose(0, 1)
        exact = torch.promote_types(weight.dtype, torch.float32)
        _, g, _ = matrices(outputs, exact)
        taps = weight.to(exact).permute(3, 2, 1, 0)  # along the row, down the column, C, O
        values = torch.kron(g, g) @ taps.reshape(9, -1)
        values = values.view(-1, *taps.shape[2:]).to(weight.dtype)
        return cls(values, None if bias is None else bias.to(exact), outputs)

    @staticmethod
    def bytes_of(weight: Tensor) -> int:
        """The memory of a layer's transformed filters."""
        return (OUTPUTS + 2) ** 2 * weight.nbytes // 9


class Workspace:
    """Two buffers for intermediate results, in turns: each step reads one and overwrites the other."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype, self._turn = dtype, 0
        self._buffers = [torch.empty(0, dtype=torch.uint8) for _ in range(2)]

    def next(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """An uninitialized tensor in the memory of the last result but one, which is lost."""
        dtype = dtype or self.dtype
        size, self._turn = prod(shape) * dtype.itemsize, 1 - self._turn
        if len(self._buffers[self._turn]) < size:
            self._buffers[self._turn] = torch.empty(size, dtype=torch.uint8)
        return self._buffers[self._turn][:size].view(dtype).view(shape)


def workspace_bytes(channels_in: int, channels_out: int, height: int, width: int) -> int:
    """Bytes of a float32 `Workspace` after a convolution of this shape: all points of one chunk, twice."""
    across, down = -(-width // OUTPUTS), -(-height // OUTPUTS)
    tiles = across * min(down, max(1, TILES // across))
    return 2 * 4 * (OUTPUTS + 2) ** 2 * tiles * max(channels_in, channels_out)


def convolve(
    x: Tensor, filters: Filters, space: Workspace, *, relu: bool = False, reflect: bool = False
) -> Tensor:  # fmt: skip
    """A 3×3 convolution with zero padding or reflection, plus the bias.

    It works through the picture in chunks of `TILES` tiles. The matrix products are computed in the number format of
    the filters, everything else in that of the workspace.

    Args:
        x: (N, C, H, W), channels-last.
        filters: the layer's.
        space: for the intermediate results; may be used for one convolution after another.
        relu: rectify the result.
        reflect: reflect the picture at its border instead of padding with zeros.

    Returns:
        (N, O, H, W), channels-last, in the number format of `x`.
    """
    height, width = x.shape[2:]
    shape = (len(x), filters.values.shape[2], height, width)
    result = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
    step = filters.outputs * max(1, TILES // -(-width // filters.outputs))  # rows of pixels
    for picture, out in zip(x.permute(0, 2, 3, 1), result.permute(0, 2, 3, 1), strict=True):  # (H, W, C)
        for top in range(0, height, step):
            chunk = out[top : top + step]
            values = _input_values(picture, top, len(chunk), filters.outputs, space, reflect)
            values = _products(values, filters, space)
            _output(values, filters, relu, space, chunk)
    return result


def _input_values(picture: Tensor, top: int, rows: int, m: int, space: Workspace, reflect: bool) -> Tensor:
    """Bᵀ d B for all tiles of a chunk.

    Args:
        picture: (H, W, C).
        top, rows: which rows of the result are computed.
        m: outputs of a tile.
        reflect: whether the border is reflected or zero.

    Returns:
        (n, n, tile rows, tiles in a row, C): points along the row first.
    """
    height, width, channels = picture.shape
    down, across = -(-rows // m), -(-width // m)
    padded = space.next(down * m + 2, across * m + 2, channels)
    first, last = max(top - 1, 0), min(top - 1 + len(padded), height)
    above, below = first - (top - 1), last - (top - 1)
    padded[:above] = padded[below:] = padded[:, :1] = padded[:, width + 1 :] = 0
    padded[above:below, 1 : width + 1] = picture[first:last]
    if reflect:
        if above:
            padded[0] = padded[2]
        if below < len(padded):  # below the picture; further rows are not used
            padded[below, 1 : width + 1] = picture[height - 2]
        padded[:, 0], padded[:, width + 1] = padded[:, 2], padded[:, width - 1]
    b, line = matrices(m, space.dtype)[2], padded[0].numel()
    columns = space.next(m + 2, down, line)
    for row in range(down):  # transform down the columns: neighboring tiles share two rows
        torch.mm(b, padded[m * row : m * row + m + 2].view(m + 2, line), out=columns[:, row])
    shape, strides = (m + 2, m + 2, down, across, channels), (channels, down * line, line, m * channels, 1)
    tiles = columns.as_strided(shape, strides, columns.storage_offset())  # neighboring tiles share two columns
    tiles = space.next(*shape).copy_(tiles)
    values = space.next(*shape)
    torch.mm(b, tiles.view(m + 2, -1), out=values.view(m + 2, -1))  # and along the rows
    return values


def _products(values: Tensor, filters: Filters, space: Workspace) -> Tensor:
    """(n, n, tile rows, tiles in a row, C) → (…, O): a matrix product for each pair of points."""
    precision = filters.values.dtype
    flat = values.flatten(0, 1).flatten(1, 2)  # (n·n, tiles, C)
    if precision != space.dtype:
        flat = space.next(*flat.shape, dtype=precision).copy_(flat)
    shape = (*flat.shape[:2], filters.values.shape[2])
    flat = torch.bmm(flat, filters.values, out=space.next(*shape, dtype=precision))
    if precision != space.dtype:
        flat = space.next(*shape).copy_(flat)
    return flat.view(*values.shape[:4], -1)


def _output(values: Tensor, filters: Filters, relu: bool, space: Workspace, out: Tensor) -> None:
    """Aᵀ M A for all tiles of a chunk, plus bias and ReLU, into the rows of the result.

    Args:
        values: (n, n, tile rows, tiles in a row, O).
        out: (rows, W, O).
    """
    m, n = filters.outputs, filters.outputs + 2
    a = matrices(m, space.dtype)[0]
    half = torch.mm(a, values.view(n, -1), out=space.next(m, values[0].numel()))
    tiles = space.next(m, m, *values.shape[2:])  # column, row in the tile, tile row, tiles in a row, O
    torch.bmm(a.expand(m, m, n), half.view(m, n, -1), out=tiles.view(m, m, -1))
    if filters.bias is not None:
        tiles += filters.bias
    if relu:
        tiles.clamp_min_(0)
    tiles = tiles.permute(2, 1, 3, 0, 4)
    for y, rows, i, height in _whole_and_cut(out.shape[0], m):
        for x, columns, j, width in _whole_and_cut(out.shape[1], m):
            target = out[y : y + rows * height, x : x + columns * width]
            target = target.unflatten(1, (columns, width)).unflatten(0, (rows, height))
            target.copy_(tiles[i : i + rows, :height, j : j + columns, :width])


def _whole_and_cut(length: int, m: int) -> Iterator[tuple[int, int, int, int]]:
    """The whole tiles of a side, and the last one if it is cut: first pixel, tiles, first tile, pixels of a tile."""
    whole, rest = divmod(length, m)
    if whole:
        yield 0, whole, 0, m
    if rest:
        yield whole * m, 1, whole, rest
