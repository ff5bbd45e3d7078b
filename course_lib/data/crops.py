"""Random crops of photographs for training: a map-style data set whose k-th item is always the same.

An item depends only on the seed and its number, not on PyTorch's random state. So a training run that is stopped and
resumed gets exactly the crops that it would have got without the stop.

Photos of a folder are read when they are needed, so a folder may hold any number of them (`data.photos`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib import arguments, runtime
from course_lib.data.augment import Augmentation, Compose, RandomFlip, RandomScaleCrop, ResizedCrop, item_generator
from course_lib.data.checked import checked, item_number
from course_lib.data.photos import FolderPhotos, Progress, as_bytes
from course_lib.images import check_pictures
from course_lib.samples import sample_image, sample_names

_LENGTH = 80_000  # the size of COCO's training set in Johnson et al. 2016, Section 4.1


class Crops(Dataset[Tensor]):
    """Square crops of photographs, at random positions and scales, half of them mirrored.

    Item k is cut from photo k mod P. Its side lies between `size` (full detail) and the photo's short side
    (everything), drawn from (seed, k), and is resized to `size`: (3, size, size) float32 in [0, 1].

    Args:
        photos: a folder, or pictures (1, 3, H, W) in [0, 1], also as one batch; None for the open photos that come
            with the package. A photo of a folder that has more than 667,000 pixels (2 MB in memory) is reduced to that
            number, or to a short side of `size` if that is more; the crops are then cut from the reduced photo. Files
            that are no pictures, or smaller than `size`, are left out with a warning.
        size: side of a crop in pixels.
        length: number of crops; None: 80,000, the size of COCO's training set in Johnson et al. 2016, Section 4.1, or
            the number of photos if that is larger.
        seed: of positions, scales and mirroring.
        scales: the part of the range from `size` (0) to the short side (1) to draw from; (0, 0) cuts at full detail
            only.
        load_size: resize each photo to this short side first, as AdaIN's training does; then all crops of a photo have
            the same scale, and `scales` is ignored. None: scales are drawn.
        mirror: mirror half of the crops.
        progress: called with (photos so far, photos in all) while a folder is searched.

    Raises:
        ValueError: no folder, no photo, a picture smaller than `size`, a folder without a usable photo, scales
            outside 0 ≤ low ≤ high ≤ 1, or a `load_size` below `size`.
        ImageError: a tensor that is not a picture.

    >>> photos = [torch.rand(1, 3, 40, 60), torch.rand(1, 3, 50, 50)]
    >>> crops = Crops(photos, size=32, length=100)
    >>> len(crops), tuple(crops[7].shape), bool((crops[7] == crops[7]).all())
    (100, (3, 32, 32), True)
    """

    def __init__(
        self,
        photos: str | Path | Iterable[Tensor] | None = None,
        *,
        size: int = 256,
        length: int | None = None,
        seed: int = 0,
        scales: tuple[float, float] = (0.0, 1.0),
        load_size: int | None = None,
        mirror: bool = True,
        progress: Progress | None = None,
    ) -> None:
        size, seed = arguments.whole("size", size, 1), arguments.seed(seed)
        length = None if length is None else arguments.whole("length", length, 1)
        scales = _scales(scales)
        cut: Augmentation = RandomScaleCrop(size, scales)
        if load_size is not None:
            cut = ResizedCrop(size, arguments.whole("load_size", load_size, 1))
        self.photos: Sequence[Tensor]  # uint8 (3, H, W)
        if isinstance(photos, str | Path):
            self.photos = FolderPhotos(photos, size, progress)
        elif photos is None:
            self.photos = [_checked(name, sample_image(name), size) for name in sample_names("photos")]
        else:
            given = _several(photos)
            self.photos = [_checked(f"photo {k}", photo, size) for k, photo in enumerate(given)]
        if not self.photos:
            raise ValueError("there are no photos to cut crops from")
        self.fingerprint = _fingerprint(self.photos)
        self.length, self.seed = length or max(_LENGTH, len(self.photos)), seed
        self.augment = Compose(cut, *[RandomFlip()] * mirror)
        self.device = torch.device("cpu")  # where the photos lie; see `near`

    def __len__(self) -> int:
        return self.length

    def near(self, device: torch.device) -> Crops:
        """Prepare this set for training on `device`: move its photos there if it is a CUDA device with enough memory.

        Crops are then cut and resized on the device. Otherwise a GPU whose step takes two milliseconds would wait for
        a CPU that takes thirty to cut the crops. The items are equal up to rounding.

        Returns:
            This set itself.
        """
        if isinstance(self.photos, FolderPhotos):
            if runtime.has_room(device, self.photos.nbytes):
                self.photos.keep_on(device)
                self.device = self.photos.device
        elif runtime.has_room(device, sum(photo.nbytes for photo in self.photos)):
            self.photos = [photo.to(device) for photo in self.photos]
            self.device = self.photos[0].device  # with its number
        return self

    def batch(self, places: Sequence[tuple[int, int]]) -> Tensor:
        """Several items at once, by (epoch, k): (N, 3, size, size), on the device of the photos."""
        return torch.stack([self[k] for _, k in places])

    def __getitem__(self, k: int) -> Tensor:
        k = item_number(k, self.length, "crop")
        photo = self.photos[k % len(self.photos)]  # (3, H, W)
        return self.augment(photo, item_generator(self.seed, k))


def training_photos(
    photos: Any, *, size: int, seed: int, device: torch.device, scales: tuple[float, float] = (0.0, 1.0)
) -> Any:
    """The training set of a method, made from the photos that its `train` was given.

    Args:
        photos: what `Crops` takes, or a map-style data set of (3, H, W) in [0, 1], which is used as it is.
        size, seed, scales: of the crops.
        device: of the training; see `Crops.near`.

    >>> type(training_photos([torch.rand(1, 3, 40, 60)], size=32, seed=0, device=torch.device("cpu"))).__name__
    'Crops'
    """
    if photos is None or isinstance(photos, str | Path | Sequence | Iterator):
        return Crops(photos, size=size, seed=seed, scales=scales).near(device)
    return checked(photos, what="photo")


def _scales(scales: Any) -> tuple[float, float]:
    """The two ends of the range as numbers, checked."""
    try:
        low, high = (arguments.fraction("scales", end) for end in scales)
    except (TypeError, ValueError):
        low, high = 1, 0
    if low > high:
        raise ValueError(f"scales must be two numbers with 0 ≤ low ≤ high ≤ 1, got {scales!r}")
    return low, high


def _several(photos: Any) -> Iterable[Any]:
    """Pictures, of a batch each one by itself."""
    if isinstance(photos, Tensor) and photos.ndim == 4:
        return photos.split(1)
    if isinstance(photos, Tensor | np.ndarray) or not isinstance(photos, Iterable):
        got = f"a tensor {tuple(photos.shape)}" if isinstance(photos, Tensor) else type(photos).__name__
        raise ValueError(f"photos must be a folder, a list of pictures (1, 3, H, W), or None, got {got}")
    return photos


def _checked(name: str, photo: Tensor, size: int) -> Tensor:
    """A picture as it is kept in memory, or an error that calls it `name`."""
    check_pictures(photo, name)
    if len(photo) != 1 or min(photo.shape[-2:]) < size:
        shape = tuple(photo.shape)
        raise ValueError(f"a crop of {size} px needs photos (1, 3, H, W) at least as large; {name} is {shape}")
    return as_bytes(photo)


def _fingerprint(photos: Sequence[Tensor]) -> int | str:
    """What a checkpoint recognizes the photos by: names and sizes of files, or the sum of all pixel values."""
    return photos.fingerprint if isinstance(photos, FolderPhotos) else sum(int(photo.sum()) for photo in photos)
