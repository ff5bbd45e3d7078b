"""Pictures that code draws, drawn by all cores: a street of 286 px takes one core a tenth of a second."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import torch
from torch import Tensor

_FEW = 50  # pictures that are not worth other processes


def by_all_cores(draw: Callable[[int], Tensor], numbers: range) -> list[Tensor]:
    """``draw(k)`` in [0, 1] for each number; all results have one shape. With several cores, they have 256 levels.

    The workers are forked, so this has to happen before this process uses the GPU.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if min(len(numbers), cores) < 3 or len(numbers) < _FEW:
        return [draw(k) for k in numbers]
    shape = draw(numbers[0]).shape
    with ProcessPoolExecutor(cores, mp_context=get_context("fork")) as pool:
        # as bytes: a tensor would travel through a file of its own
        return [torch.frombuffer(bytearray(drawn), dtype=torch.uint8).view(shape).float() / 255
                for drawn in pool.map(partial(_bytes, draw=draw), numbers, chunksize=8)]  # fmt: skip


def _bytes(k: int, draw: Callable[[int], Tensor]) -> bytes:
    torch.set_num_threads(1)
    return draw(k).mul(255).round().to(torch.uint8).numpy().tobytes()
