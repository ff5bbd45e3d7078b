"""Two sets of pictures without pairs, as CycleGAN learns from: horses and zebras, photographs and paintings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib import arguments
from course_lib.data.augment import item_generator
from course_lib.data.checked import item_number
from course_lib.data.picture_sets import PictureSet


class UnpairedImages(Dataset[Tensor]):
    """Pictures of two domains, A and B, with no correspondence: an item is one of each, (2, 3, size, size) in [0, 1].

    There are as many items as the larger domain has pictures, and ``item(epoch, k)`` holds its k-th. The other domain
    is shuffled anew for every epoch and repeated as often as needed. So an epoch shows every picture of the larger
    domain once, and each of the smaller n or n + 1 times. ``unpaired[k]`` is ``item(0, k)``.

    Args:
        a, b: folders, pictures (1, 3, H, W) in [0, 1], or a batch of them. `from_folder` reads CycleGAN's own sets.
        size: side of the pictures in px; each is resized to a square.
        load_size: resize to this side first, then crop to `size` at a random position, drawn anew for each picture
            and epoch (CycleGAN: 286, then 256). None: resize to `size`.
        mirror: mirror half of the pictures; needs a `load_size`.
        seed: of order, positions and mirroring.

    Raises:
        ValueError: no folder, no picture in it, a `load_size` below `size`, or `mirror` without a `load_size`.
        ImageError: a tensor that is not a picture in [0, 1]; when an item is read: a file that is not a picture.

    >>> unpaired = UnpairedImages([torch.rand(1, 3, 40, 50)] * 3, [torch.rand(1, 3, 50, 40)] * 2, size=32)
    >>> len(unpaired), tuple(unpaired.item(epoch=5, k=2).shape)
    (3, (2, 3, 32, 32))
    """

    def __init__(
        self, a: str | Path | Iterable[Tensor], b: str | Path | Iterable[Tensor], *, size: int = 256,
        load_size: int | None = None, mirror: bool = False, seed: int = 0,
    ) -> None:  # fmt: skip
        cut: dict[str, Any] = {"size": size, "load_size": load_size, "mirror": mirror, "seed": seed}
        self.a, self.b = PictureSet(a, "a", **cut), PictureSet(b, "b", **cut)
        self.seed = self.a.seed

    @classmethod
    def from_folder(
        cls, folder: str | Path, split: str = "train", *, size: int = 256, load_size: int | None = None,
        mirror: bool = False, seed: int = 0,
    ) -> UnpairedImages:  # fmt: skip
        """Read a set in CycleGAN's own layout: a folder with ``trainA``, ``trainB``, ``testA`` and ``testB``.

        Args:
            folder: holds those folders, for example ``horse2zebra``.
            split: ``"train"`` or ``"test"``; only its two folders are needed.
            size, load_size, mirror, seed: see the class.

        Raises:
            ValueError: one of the two folders is missing or has no pictures.
        """
        root = arguments.path(folder, "a folder with trainA and trainB")
        split = arguments.choice("split", split, ("train", "test"))
        sides = [root / f"{split}{side}" for side in "AB"]
        if missing := [side for side in sides if not side.is_dir()]:
            raise ValueError(f"there is no folder {missing[0]}; {_found_in(root)}. A set in CycleGAN's layout has "
                             "trainA and trainB, testA and testB")  # fmt: skip
        return cls(*sides, size=size, load_size=load_size, mirror=mirror, seed=seed)

    @property
    def fingerprint(self) -> list[object]:
        """Pictures and settings, by which a checkpoint recognizes this set."""
        return [self.a.fingerprint, self.b.fingerprint, self.a.size, self.a.load_size, self.a.mirror, self.seed]

    def __len__(self) -> int:
        return max(len(self.a), len(self.b))

    def item(self, epoch: int, k: int) -> Tensor:
        """The k-th picture of the larger domain, and one of the other: (2, 3, size, size), A first.

        Raises:
            IndexError: a number outside 0 to len − 1.
        """
        k = item_number(k, len(self), "item")
        generator = item_generator(self.seed, epoch * len(self) + k)
        return torch.cat([each.square(each.number(epoch, k, len(self)), generator) for each in (self.a, self.b)])

    def __getitem__(self, k: int) -> Tensor:
        return self.item(0, k)


def _found_in(folder: Path) -> str:
    """What a folder contains, as part of a sentence."""
    if not folder.is_dir():
        return f"{folder} does not exist"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    shown = ", ".join(names[:6]) + ", …" * (len(names) > 6)
    return f"{folder} has the folders {shown}" if names else f"{folder} has no folders"
