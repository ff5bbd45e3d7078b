"""The pictures of one domain: files of a folder or pictures in memory, each cut to a square when it is asked for.

`data.unpaired` combines two of these sets, `data.domains` two or more. They show every picture of the largest set once
in an epoch, and each of a smaller set n or n + 1 times, in an order that is drawn anew (`PictureSet.number`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from course_lib import arguments
from course_lib.data.augment import crop_and_flip, item_generator, squeezed
from course_lib.data.pairs import SUFFIXES, picture_files
from course_lib.images import check_pictures, load_image


class PictureSet:
    """The pictures of one domain, as squares.

    Args:
        pictures: a folder, pictures (1, 3, H, W) in [0, 1], or a batch of them.
        name: of the domain, for messages.
        size: side of the squares in px.
        load_size: resize to this side first, then crop to `size` at a random position. None: resize to `size`.
        mirror: mirror half of the pictures; needs a `load_size`.
        seed: of the order of the pictures.

    Raises:
        ValueError: no folder, no picture in it, a `load_size` below `size`, or `mirror` without a `load_size`.
        ImageError: a tensor that is not a picture in [0, 1].

    >>> pictures = PictureSet([torch.rand(1, 3, 40, 50)] * 3, "photographs", size=32)
    >>> len(pictures), tuple(pictures.square(2, item_generator(seed=0, number=0)).shape)
    (3, (1, 3, 32, 32))
    """

    def __init__(
        self, pictures: str | Path | Iterable[Tensor], name: str, *, size: int, load_size: int | None = None,
        mirror: bool = False, seed: int = 0,
    ) -> None:  # fmt: skip
        self.name, self.size, self.seed = name, arguments.whole("size", size, 1), arguments.seed(seed)
        self.load_size = None if load_size is None else arguments.whole("load_size", load_size, 1)
        self.mirror = mirror
        if (self.load_size is not None and self.load_size < self.size) or (mirror and self.load_size is None):
            raise ValueError(
                "expected a load_size of at least the size, or None, and mirror=True only with a "
                f"load_size; got size {size}, load_size {load_size} and mirror {mirror}"
            )
        self.pictures: Sequence[Path | Tensor] = _pictures(pictures, name)
        self.augment = None if self.load_size is None else crop_and_flip(self.size, mirror)
        self._shuffled: tuple[int, list[int]] | None = None  # an epoch, and the order of the pictures in it
        self._fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def fingerprint(self) -> str:
        """How many pictures, and a digest: of all numbers in memory, or of the files' names and their sizes in bytes.

        Only the first call computes it. A set that was moved to another folder keeps its fingerprint.
        """
        if self._fingerprint is None:
            known = hashlib.sha256()
            for picture in self.pictures:
                known.update(_identity(picture))
            self._fingerprint = f"{len(self)} pictures, {known.hexdigest()[:16]}"
        return self._fingerprint

    def number(self, epoch: int, k: int, largest: int) -> int:
        """Which picture of this set is the k-th of an epoch that is as long as the largest set.

        In a set of that length it is picture k. A smaller set is shuffled for each epoch, and repeated.
        """
        if len(self) == largest:
            return k
        if self._shuffled is None or self._shuffled[0] != epoch:
            generator = item_generator(self.seed, -1 - epoch)  # items count from 0
            self._shuffled = epoch, torch.randperm(len(self), generator=generator).tolist()
        return self._shuffled[1][k % len(self)]

    def square(self, number: int, generator: Generator) -> Tensor:
        """Picture `number`, (1, 3, size, size) in [0, 1], cropped and mirrored by the random numbers of `generator`.

        Raises:
            ImageError: a file that is not a picture.
        """
        picture = self.pictures[number]
        image = load_image(picture) if isinstance(picture, Path) else picture
        image = squeezed(image, self.load_size or self.size)
        return image if self.augment is None else self.augment(image, generator)


def _pictures(pictures: str | Path | Iterable[Tensor], name: str) -> Sequence[Path | Tensor]:
    """Files of a folder, or the pictures as they were given, checked."""
    if isinstance(pictures, str | Path):
        folder = arguments.path(pictures, "a folder of pictures")
        if not folder.is_dir():
            raise ValueError(f"there is no folder {pictures}")
        files = picture_files(folder)
        if not files:
            raise ValueError(f"there are no pictures in {pictures}; a folder needs files {', '.join(SUFFIXES)}")
        return files
    mapped = hasattr(pictures, "__len__") and hasattr(pictures, "__getitem__")  # a data set of the caller's
    if (
        not (isinstance(pictures, Iterable) or mapped)
        or isinstance(pictures, np.ndarray | dict)
        or getattr(pictures, "ndim", 4) != 4
    ):
        raise ValueError(f"{name} must be a folder or a list of pictures (1, 3, H, W), got {type(pictures).__name__}")
    if isinstance(pictures, Tensor):
        chosen = list(pictures.split(1))
    else:
        chosen = [pictures[k] for k in range(len(pictures))] if mapped else list(pictures)  # type: ignore[arg-type, index]
    chosen = [each[None] if isinstance(each, Tensor) and each.ndim == 3 else each for each in chosen]
    for k, picture in enumerate(chosen):
        check_pictures(picture, f"{name}, picture {k}", single=True)
    if not chosen:
        raise ValueError(f"there are no pictures in {name}; give at least one")
    return [picture.detach().float() for picture in chosen]


def _identity(picture: Path | Tensor) -> bytes:
    """What distinguishes a picture from others: its shape and its numbers, or the file's name and its size."""
    if isinstance(picture, Tensor):
        return f"{tuple(picture.shape)}\0".encode() + picture.cpu().contiguous().numpy().tobytes()
    try:
        size = picture.stat().st_size
    except OSError:  # a broken link, which cannot be read as a picture either
        size = 0
    return f"{picture.name}\0{size}\0".encode()
