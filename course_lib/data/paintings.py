"""Paintings by name and by number, for a network that learns several (Dumoulin, Shlens & Kudlur 2017).

A caller uses names, a training step uses numbers. The painting for a photo depends only on the seed, the epoch and the
number of the item, so a training run that is stopped and resumed draws the same paintings as a run without a stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib import arguments
from course_lib.data.augment import item_generator
from course_lib.image_checks import check_pictures


def painting_names(styles: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Check paintings, each (1, 3, h, w) in [0, 1], and return their names.

    Raises:
        ValueError: anything but a mapping from names to pictures, or an empty one.
        ImageError: a painting that is not one picture in [0, 1].

    >>> painting_names({"wave": torch.rand(1, 3, 8, 8)})
    ('wave',)
    """
    if not isinstance(styles, Mapping) or not styles or not all(isinstance(name, str) and name for name in styles):
        got = f"the names {[*styles]}" if isinstance(styles, Mapping) else type(styles).__name__
        raise ValueError(f"styles must map names to paintings, such as {{'great_wave': painting}}, got {got}")
    for name, painting in styles.items():
        check_pictures(painting, f"the painting {name}", single=True)
    return tuple(styles)


def style_weights(style: str | Mapping[str, float], names: Sequence[str]) -> Tensor:
    """The weights of a network's styles, (S,) with the sum 1, from a name or from name → weight.

    Args:
        style: one name, or name → weight.
        names: of the S styles.

    Raises:
        ValueError: a style that is not among the names, a negative weight, or only zeros.

    >>> style_weights({"poppies": 1, "wave": 3}, ["wave", "cafe", "poppies"])
    tensor([0.7500, 0.0000, 0.2500])
    """
    wanted = {style: 1.0} if isinstance(style, str) else style
    if not isinstance(wanted, Mapping) or not wanted:
        got = "none" if isinstance(wanted, Mapping) else type(style).__name__
        raise ValueError(f"style must be a name, or map names to weights, got {got}; the styles are {', '.join(names)}")
    if unknown := [name for name in wanted if name not in names]:
        raise ValueError(f"this model has no style {unknown[0]!r}; it has {', '.join(names)}")
    shares = arguments.shares("the weights", [*wanted.values()], len(wanted), "styles")
    weights = {name: share / sum(shares) for name, share in zip(wanted, shares, strict=True)}
    return torch.tensor([weights.get(name, 0.0) for name in names])


class WithStyle(Dataset[tuple[Tensor, Tensor]]):
    """Photos, each with the number of a painting, drawn anew in each epoch.

    Args:
        photos: a map-style data set of (3, H, W).
        num_styles: S; the numbers are drawn uniformly from 0 to S − 1.
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
