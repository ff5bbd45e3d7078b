"""Photographs with the number of a painting, for a network that learns several (Dumoulin, Shlens & Kudlur 2017).

Which painting goes with which photo depends on the seed, the epoch and the number of the item alone. So a training run
that is stopped and resumed gets the draws that it would have got without the stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.data.augment import item_generator


class WithStyle(Dataset[tuple[Tensor, Tensor]]):
    """Photos, each with the number of a painting, drawn anew in each epoch.

    Args:
        photos: a map-style data set of (3, H, W).
        num_styles: S; the numbers are drawn from 0 to S − 1, equally often on average.
        seed: of the draws.

    >>> [int(style) for _, style in (WithStyle([torch.rand(3, 8, 8)] * 4, 3, seed=0)[k] for k in range(4))]
    [2, 1, 0, 1]
    """

    def __init__(self, photos: Any, num_styles: int, seed: int) -> None:
        self.data, self.num_styles, self.seed = photos, num_styles, seed
        self.photos = getattr(photos, "photos", photos)
        self.fingerprint = getattr(photos, "fingerprint", None)
        self.device = getattr(photos, "device", torch.device("cpu"))
        self.changes = isinstance(photos, Dataset) and hasattr(photos, "item")  # a tensor has an `item` too

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        return self.item(0, k)

    def item(self, epoch: int, k: int) -> tuple[Tensor, Tensor]:
        """Item k of an epoch: (3, H, W) and a whole number, ()."""
        photo = self.data.item(epoch, k) if self.changes else self.data[k]
        generator = item_generator(self.seed, epoch * len(self) + k)
        return photo, torch.randint(self.num_styles, (), generator=generator)

    def batch(self, places: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Several items at once, by (epoch, k), on the device of the photos: (N, 3, H, W) and (N,)."""
        photos, styles = zip(*(self.item(epoch, k) for epoch, k in places), strict=True)
        return torch.stack(photos), torch.stack(styles).to(self.device)
