"""Run a network on a large picture part by part: cut overlapping tiles, compute each, keep the middles."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def by_tiles(
    function: Callable[[Tensor], Tensor], picture: Tensor, *, tile: int, halo: int, multiple: int = 1, scale: int = 1
) -> Tensor:
    """Compute ``function(picture)`` on overlapping tiles; the result is the same if no pixel sees beyond `halo`.

    Args:
        function: (N, C, h, w) → (N, C', scale·h, scale·w); each output pixel may depend on inputs at most `halo` away.
        picture: (N, C, H, W), any range.
        tile: side of the part that is kept of each tile, in input pixels.
        halo: overlap on every side, in input pixels. It ends at the border of the picture, which the function pads
            itself.
        multiple: tiles start at multiples of this, so that layers of stride 2 are aligned as in the whole picture.
        scale: factor by which the function enlarges.

    Returns:
        (N, C', scale·H, scale·W).

    Raises:
        ValueError: `tile` or `multiple` below 1, or `halo` below 0.

    >>> blur = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    >>> picture = torch.rand(1, 3, 20, 31)
    >>> bool((by_tiles(blur, picture, tile=8, halo=1) - blur(picture)).abs().max() < 1e-6)
    True
    """
    if tile < 1 or halo < 0 or multiple < 1:
        raise ValueError(f"tile and multiple must be at least 1 and halo at least 0, got {tile}, {multiple} and {halo}")
    tile, halo = -(-tile // multiple) * multiple, -(-halo // multiple) * multiple
    height, width = picture.shape[-2:]
    rows = []
    for top in range(0, height, tile):
        above, below = max(0, top - halo), min(height, top + tile + halo)
        kept_rows = slice(scale * (top - above), scale * (min(top + tile, height) - above))
        row = []
        for left in range(0, width, tile):
            before, after = max(0, left - halo), min(width, left + tile + halo)
            part = function(picture[..., above:below, before:after])
            row.append(part[..., kept_rows, scale * (left - before) : scale * (min(left + tile, width) - before)])
        rows.append(torch.cat(row, -1))
    return torch.cat(rows, -2)
