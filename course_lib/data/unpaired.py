"""Two sets of pictures without pairs, as CycleGAN learns from: horses and zebras, photographs and paintings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib import arguments
from course_lib.data.augment import crop_and_flip, item_generator, squeezed
from course_lib.data.checked import item_number
from course_lib.data.pairs import SUFFIXES, picture_files
from course_lib.images import check_pictures, load_image


class UnpairedImages(Dataset[Tensor]):
    """Pictures of two domains, A and B, with no correspondence: an item is one of each, (2, 3, size, size) in [0, 1].

    There are as many items as the larger domain has pictures, and ``item(epoch, k)`` holds its k-th. The other domain
    is shuffled anew for every epoch and repeated as often as needed. So an epoch shows every picture of the larger
    domain once, and each of the smaller n or n + 1 times. ``unpaired[k]`` is ``item(0, k)``.

    Args:
        a, b: folders, pictures (1, 3, H, W) in [0, 1], or a batch of them. CycleGAN's own sets are ``trainA`` and
            ``trainB``.
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
        size, seed = arguments.whole("size", size, 1), arguments.seed(seed)
        load_size = None if load_size is None else arguments.whole("load_size", load_size, 1)
        if (load_size is not None and load_size < size) or (mirror and load_size is None):
            raise ValueError(
                "expected a load_size of at least the size, or None, and mirror=True only with a "
                f"load_size; got size {size}, load_size {load_size} and mirror {mirror}"
            )
        self.a, self.b = _pictures(a, "a"), _pictures(b, "b")
        self.size, self.load_size, self.mirror, self.seed = size, load_size, mirror, seed
        self.augment = None if load_size is None else crop_and_flip(size, mirror)
        self._shuffled: tuple[int, list[int]] | None = None  # an epoch, and the order of the smaller domain in it

    @property
    def fingerprint(self) -> list[object]:
        """Pictures and settings, by which a checkpoint recognizes this set."""
        pictures = [
            [str(picture) if isinstance(picture, Path) else float(picture.sum()) for picture in domain]
            for domain in (self.a, self.b)
        ]
        return [pictures, self.size, self.load_size, self.mirror, self.seed]

    def __len__(self) -> int:
        return max(len(self.a), len(self.b))

    def item(self, epoch: int, k: int) -> Tensor:
        """The k-th picture of the larger domain, and one of the other: (2, 3, size, size), A first.

        Raises:
            IndexError: a number outside 0 to len − 1.
        """
        k = item_number(k, len(self), "item")
        order = self._order(epoch)
        other = order[k % len(order)]
        chosen = (self.a[k], self.b[other]) if len(self.a) >= len(self.b) else (self.a[other], self.b[k])
        generator = item_generator(self.seed, epoch * len(self) + k)
        return torch.cat([self._cut(picture, generator) for picture in chosen])

    def __getitem__(self, k: int) -> Tensor:
        return self.item(0, k)

    def _order(self, epoch: int) -> list[int]:
        """The order of the smaller domain in an epoch; the latest one is cached."""
        if self._shuffled is None or self._shuffled[0] != epoch:
            generator = item_generator(self.seed, -1 - epoch)  # items count from 0
            count = min(len(self.a), len(self.b))
            self._shuffled = epoch, torch.randperm(count, generator=generator).tolist()
        return self._shuffled[1]

    def _cut(self, picture: Any, generator: torch.Generator) -> Tensor:
        """A file or a picture → (1, 3, size, size)."""
        image = load_image(picture) if isinstance(picture, Path) else picture
        image = squeezed(image, self.load_size or self.size)
        return image if self.augment is None else self.augment(image, generator)


def _pictures(pictures: str | Path | Iterable[Tensor], domain: str) -> Sequence[Any]:
    """Files of a folder, or the pictures as they were given, checked."""
    if isinstance(pictures, str | Path):
        folder = arguments.path(pictures, "a folder of pictures")
        if not folder.is_dir():
            raise ValueError(f"there is no folder {pictures}")
        files = picture_files(folder)
        if not files:
            raise ValueError(f"there are no pictures in {pictures}; a folder needs files {', '.join(SUFFIXES)}")
        return files
    if not isinstance(pictures, Iterable) or isinstance(pictures, np.ndarray) or getattr(pictures, "ndim", 4) != 4:
        raise ValueError(f"{domain} must be a folder or a list of pictures (1, 3, H, W), got {type(pictures).__name__}")
    chosen = list(pictures.split(1) if isinstance(pictures, Tensor) else pictures)
    for k, picture in enumerate(chosen):
        check_pictures(picture, f"picture {k} of {domain}", single=True)
    if not chosen:
        raise ValueError(f"there are no pictures in {domain}; give at least one")
    return [picture.detach().float() for picture in chosen]
