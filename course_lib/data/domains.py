"""Two or more sets of pictures without pairs, for one generator that translates between all of them (StarGAN)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib import arguments
from course_lib.data.augment import item_generator
from course_lib.data.checked import item_number
from course_lib.data.picture_sets import PictureSet


class Domains(Dataset[tuple[Tensor, Tensor]]):
    """Pictures with the number of their domain: an item is (3, size, size) in [0, 1] and a whole number, ().

    An epoch is as long as if every domain had as many pictures as the largest, so all domains are equally frequent. It
    shows every picture of the largest domain once, and each of a smaller one n or n + 1 times, in an order that is
    drawn anew for every epoch. ``domains[k]`` is ``domains.item(0, k)``.

    Args:
        domains: maps the name of each domain to a folder, pictures (1, 3, H, W) in [0, 1], or a batch of them. The
            numbers of the domains are their positions here, from 0.
        size: side of the pictures in px; each is resized to a square.
        load_size: resize to this side first, then crop to `size` at a random position, drawn anew for each item and
            epoch. None: resize to `size`.
        mirror: mirror half of the pictures; needs a `load_size`.
        seed: of order, positions and mirroring.

    Raises:
        ValueError: fewer than two domains; a folder that is missing or empty; a `load_size` below `size`, or `mirror`
            without a `load_size`.
        ImageError: a tensor that is not a picture in [0, 1]; when an item is read: a file that is not a picture.

    >>> domains = Domains({"clear": torch.rand(3, 3, 40, 40), "dusk": torch.rand(2, 3, 40, 40)}, size=32)
    >>> len(domains), domains.names
    (6, ('clear', 'dusk'))
    >>> picture, label = domains.item(epoch=4, k=3)
    >>> tuple(picture.shape), domains.names[label]
    ((3, 32, 32), 'dusk')
    """

    def __init__(
        self, domains: Mapping[str, str | Path | Iterable[Tensor]], *, size: int = 128, load_size: int | None = None,
        mirror: bool = False, seed: int = 0,
    ) -> None:  # fmt: skip
        self.names, self.seed = _names(domains), arguments.seed(seed)
        cut: dict[str, Any] = {"size": size, "load_size": load_size, "mirror": mirror}
        self.sets = [
            # another seed for each, so that sets of one length are shuffled independently
            PictureSet(pictures, name, seed=(self.seed + d) % (arguments.LARGEST_SEED + 1), **cut)
            for d, (name, pictures) in enumerate(domains.items())
        ]

    @property
    def fingerprint(self) -> list[object]:
        """Names, pictures and settings, by which a checkpoint recognizes this set."""
        first = self.sets[0]
        pictures = [(name, each.fingerprint) for name, each in zip(self.names, self.sets, strict=True)]
        return [pictures, first.size, first.load_size, first.mirror, self.seed]

    def __len__(self) -> int:
        return len(self.sets) * max(len(each) for each in self.sets)

    def item(self, epoch: int, k: int) -> tuple[Tensor, Tensor]:
        """Item k of an epoch: a picture of domain k mod D, (3, size, size), and that number; D is how many there are.

        Raises:
            IndexError: a number outside 0 to len − 1.
        """
        k = item_number(k, len(self), "item")
        turn, label = divmod(k, len(self.sets))
        chosen = self.sets[label]
        number = chosen.number(epoch, turn, len(self) // len(self.sets))
        picture = chosen.square(number, item_generator(self.seed, epoch * len(self) + k))
        return picture[0], torch.tensor(label)

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        return self.item(0, k)


def _names(domains: object) -> tuple[str, ...]:
    """The names of the domains, checked."""
    if not isinstance(domains, Mapping):
        got = type(domains).__name__
    elif len(domains) < 2 or not all(isinstance(name, str) and name for name in domains):
        got = f"the names {[*domains]}"
    else:
        return tuple(domains)
    raise ValueError(
        "expected at least two domains, a mapping from names to folders or pictures such as "
        f"{{'clear': 'photos/clear', 'dusk': 'photos/dusk'}}, got {got}"
    )
