"""The noise that a generator starts from: drawn for a count, or as a caller gives it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib import arguments, runtime


def normal_rows(count_or_noise: Any, size: int, seed: int) -> Tensor:
    """Noise (N, size), float32, on the CPU.

    Args:
        count_or_noise: how many rows of normal noise to draw, or the rows themselves: a tensor, an array, or lists.
        size: numbers of a row.
        seed: of the drawn rows.

    Raises:
        ValueError: rows of another length or with values that are not finite, no rows, or a count below 1.

    >>> tuple(normal_rows(3, 2, seed=0).shape), normal_rows([[1, 2]], 2, seed=0).tolist()
    ((3, 2), [[1.0, 2.0]])
    """
    given = arguments.plain(count_or_noise)
    if isinstance(given, np.ndarray | list):
        try:
            given = torch.as_tensor(np.asarray(given, dtype=np.float32))
        except (TypeError, ValueError):
            raise ValueError(f"expected noise (N, {size}) of numbers, rows of one length") from None
    if isinstance(given, Tensor):
        right = given.ndim == 2 and given.shape[1] == size and len(given) > 0
        if right and not given.is_complex() and given.isfinite().all():
            return given.detach().float()
        got = "values that are not finite" if right else f"shape {tuple(given.shape)}"
        raise ValueError(f"expected noise (N, {size}) with N of at least 1, or a count, got {got}")
    count = arguments.whole("count_or_noise", given, 1, 2**31 - 1)
    return torch.randn(count, size, generator=runtime.seeded_generator(arguments.seed(seed)))
