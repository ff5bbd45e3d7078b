"""Photographs, each paired with a random painting: the training set for any style (Huang & Belongie 2017).

An item depends only on the seed and its number, as in `data.crops`: its own generator draws the painting and the
positions of both crops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from course_lib import arguments, runtime
from course_lib.data.augment import item_generator
from course_lib.data.checked import checked, item_number
from course_lib.data.crops import Crops
from course_lib.data.photos import FolderPhotos, Progress
from course_lib.samples import sample_image, sample_names

_STYLES = 7_919  # added to the seed, so that paintings are cropped independently of photos

Item = tuple[Tensor, Tensor]


class ContentAndStyle(Dataset[Item]):
    """Pairs of a content crop and a style crop, (3, size, size) each, float32 in [0, 1].

    Item k of an epoch is the content crop k (`data.crops.Crops`) and a crop of a random painting, which is drawn anew
    in each epoch. ``pairs[k]`` is ``pairs.item(0, k)``.

    Args:
        photos: a folder, pictures (1, 3, H, W) in [0, 1], a map-style data set of (3, H, W) in [0, 1], which are used
            as they are, or None for the open photos that come with the package.
        styles: a folder, pictures, or None for the paintings that come with the package.
        size: side of the crops in pixels.
        load_size: photos and paintings are resized to this short side first; None: scales are drawn as in `Crops`.
        seed: of pairs, positions, scales and mirroring.
        mirror: mirror half of the crops.
        progress: called with (pictures so far, pictures in all) while a folder is searched.

    Raises:
        ValueError: as `Crops`, for photos or paintings; an iterable of photos without an index.
        ImageError: a tensor that is not a picture.

    >>> pairs = ContentAndStyle([torch.rand(1, 3, 40, 60)], [torch.rand(1, 3, 50, 40)] * 3, size=32, load_size=40)
    >>> content, style = pairs[7]
    >>> tuple(content.shape), tuple(style.shape)
    ((3, 32, 32), (3, 32, 32))
    """

    def __init__(
        self,
        photos: str | Path | Iterable[Tensor] | Dataset[Tensor] | None = None,
        styles: str | Path | Iterable[Tensor] | None = None,
        *,
        size: int = 256,
        load_size: int | None = None,
        seed: int = 0,
        mirror: bool = True,
        progress: Progress | None = None,
    ) -> None:
        self.seed = arguments.seed(seed)
        cut: dict[str, Any] = {"size": size, "load_size": load_size, "mirror": mirror, "progress": progress}
        self.contents: Any
        if photos is None or isinstance(photos, str | Path | Sequence | Iterator | Tensor):
            self.contents = Crops(photos, seed=seed, **cut)
        elif isinstance(photos, IterableDataset):
            raise ValueError("the photos are an unindexed iterable; give a data set with __getitem__ and __len__")
        else:
            self.contents = checked(photos, what="photo")
        if styles is None:
            styles = [sample_image(name) for name in sample_names("style")]
        try:
            self.styles = Crops(styles, seed=(self.seed + _STYLES) % (arguments.LARGEST_SEED + 1), **cut)
        except ValueError as error:
            raise type(error)(f"the paintings: {error}") from error
        self.device = torch.device("cpu")  # where the pictures are; see `near`

    @property
    def photos(self) -> Any:
        """The photographs, or the items of a caller's data set."""
        return getattr(self.contents, "photos", self.contents)

    @property
    def fingerprint(self) -> list[object]:
        """Identifies photos and paintings in a checkpoint."""
        return [getattr(self.contents, "fingerprint", len(self.contents)), self.styles.fingerprint]

    def near(self, device: torch.device) -> ContentAndStyle:
        """Move photos and paintings to `device` if it is a CUDA device with memory for all of them (`Crops.near`).

        Returns:
            This set itself.
        """
        if isinstance(self.contents, Crops) and runtime.has_room(device, _nbytes(self.contents) + _nbytes(self.styles)):
            self.contents.near(device)
            self.styles.near(device)
            self.device = self.contents.device
        return self

    def batch(self, places: Sequence[tuple[int, int]]) -> Item:
        """Several items at once, by (epoch, k): two tensors (N, 3, size, size), on the device of the pictures."""
        contents, styles = zip(*(self.item(epoch, k) for epoch, k in places), strict=True)
        return torch.stack(contents), torch.stack(styles)

    def __len__(self) -> int:
        return len(self.contents)

    def item(self, epoch: int, k: int) -> Item:
        """Content crop k, and a crop of the painting that it is paired with in this epoch.

        Raises:
            IndexError: a number outside 0 to len − 1.
        """
        k = item_number(k, len(self), "pair")
        changes = isinstance(self.contents, Dataset) and hasattr(self.contents, "item")
        content = self.contents.item(epoch, k) if changes else self.contents[k]
        generator = item_generator(self.seed + _STYLES, epoch * len(self) + k)
        number = int(torch.randint(len(self.styles.photos), (), generator=generator))
        return content, self.styles.augment(self.styles.photos[number], generator)

    def __getitem__(self, k: int) -> Item:
        return self.item(0, k)


def _nbytes(crops: Crops) -> int:
    if isinstance(crops.photos, FolderPhotos):
        return crops.photos.nbytes
    return sum(picture.nbytes for picture in crops.photos)
