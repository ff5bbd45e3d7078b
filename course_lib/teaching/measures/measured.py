"""What a measure returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Measured:
    """Numbers under the names that the rules use, and the pictures (1, 3, H, W) in [0, 1] that they were read from."""

    numbers: dict[str, float]
    images: dict[str, Tensor] = field(default_factory=dict)
