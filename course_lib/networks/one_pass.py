"""Run a style network on a photograph: in one piece if that fits into the memory, otherwise in tiles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from course_lib import arguments, runtime
from course_lib.networks import tiles

TILE = 384  # pixels: side of the tiles if a picture does not fit into the memory
_BYTES_PER_PIXEL = 1500  # peak of a pass at full width: 800 to 1,200 measured, plus a margin


def one_pass(
    network: nn.Module,
    content: Tensor,
    *,
    width: float,
    tile: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    callback: runtime.Callback | None = None,
) -> Tensor:
    """Compute ``network(content)`` in evaluation mode.

    Args:
        network: one that `tiles.by_tiles` can compute, such as `TransformerNet` or `OneStyleNet`.
        content: (N, 3, H, W) in [0, 1].
        width: of the network: the factor on the channels of Johnson et al. 2016.
        tile: side of the tiles in pixels; None: one piece if it fits, else `TILE`.
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.
        callback: hears after each tile how much is done; in one piece, nothing.

    Returns:
        (N, 3, H, W) in [0, 1], float32 (float64 for a network in float64), on the CPU.

    Raises:
        ValueError: a tile that is not a whole number of at least 1.
        MemoryError: even in tiles the result does not fit into the memory; names the largest picture that would.

    >>> from course_lib.networks.transformer_net import TransformerNet
    >>> tuple(one_pass(TransformerNet(width=0.1), torch.rand(1, 3, 40, 30), width=0.1, tile=16).shape)
    (1, 3, 40, 30)
    """
    place = runtime.pick_device(device)
    side = None if tile is None else arguments.whole("tile", tile, 1)
    if side is None and not _fits(content, width, place):
        side = TILE
    with runtime.inference(network, device=device, precision=precision) as run:
        if side is None or max(content.shape[-2:]) <= side:
            return run(content)
        dtype = runtime.pick_precision(precision, place)
        staged: Any = network
        return tiles.by_tiles(staged, content, tile=side, precision=dtype, callback=callback)


def _fits(content: Tensor, width: float, device: torch.device) -> bool:
    free = runtime.available_memory(device)
    return free is None or _BYTES_PER_PIXEL * width * content[:, 0].numel() < free
