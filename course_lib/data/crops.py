"""Random crops of photographs for training: a map-style data set whose k-th item is always the same.

An item depends only on the seed and its number, not on PyTorch's random state. So a training run that is stopped and
resumed gets exactly the crops that it would have got without the stop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib import runtime
from course_lib.data.augment import Compose, RandomFlip, RandomScaleCrop, item_generator
from course_lib.images import check_pictures, load_image
from course_lib.samples import sample_image, sample_names

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class Crops(Dataset[Tensor]):
    """Square crops of photographs, at random positions and scales, half of them mirrored.

    Item k is cut from photo k mod P. Its side lies between `size` (full detail) and the photo's short side
    (everything), drawn from (seed, k), and is resized to `size`: (3, size, size) float32 in [0, 1].

    Args:
        photos: a folder, or pictures (1, 3, H, W) in [0, 1]; None for the open photos that come with the package.
        size: side of a crop in pixels.
        length: number of crops; the default is the size of COCO's training set in Johnson et al. 2016, Section 4.1.
        seed: of positions, scales and mirroring.
        scales: the part of the range from `size` (0) to the short side (1) to draw from; (0, 0) cuts at full detail
            only.

    Raises:
        ValueError: no folder, no photo, a photo smaller than `size`, or scales outside 0 ≤ low ≤ high ≤ 1.
        ImageError: a file or a tensor that is not a picture.

    >>> photos = [torch.rand(1, 3, 40, 60), torch.rand(1, 3, 50, 50)]
    >>> crops = Crops(photos, size=32, length=100)
    >>> len(crops), tuple(crops[7].shape), bool((crops[7] == crops[7]).all())
    (100, (3, 32, 32), True)
    """

    def __init__(
        self,
        photos: str | Path | Sequence[Tensor] | None = None,
        *,
        size: int = 256,
        length: int = 80_000,
        seed: int = 0,
        scales: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if size < 1 or length < 1 or not 0 <= scales[0] <= scales[1] <= 1:
            raise ValueError(
                "expected a size and a length of at least 1 and scales with 0 ≤ low ≤ high ≤ 1, "
                f"got {size}, {length} and {scales}"
            )
        self.photos: list[Tensor] = []
        for name, photo in _read(photos):
            check_pictures(photo)
            if len(photo) != 1 or min(photo.shape[-2:]) < size:
                shape = tuple(photo.shape)
                raise ValueError(f"a crop of {size} px needs photos (1, 3, H, W) at least as large; {name} is {shape}")
            # a quarter of the memory of float32, and the precision of a file
            self.photos.append(photo.mul(255).round().to(torch.uint8)[0])
        if not self.photos:
            raise ValueError(f"there are no photos to cut crops from; a folder needs files {', '.join(_SUFFIXES)}")
        self.length, self.seed = length, seed
        self.augment = Compose(RandomScaleCrop(size, scales), RandomFlip())
        self.device = torch.device("cpu")  # where the photos lie; see `near`

    @property
    def fingerprint(self) -> int:
        """The sum of all pixel values, by which a checkpoint recognizes the photos."""
        return sum(int(photo.sum()) for photo in self.photos)

    def __len__(self) -> int:
        return self.length

    def near(self, device: torch.device) -> Crops:
        """Prepare this set for training on `device`: move its photos there if it is a CUDA device with enough memory.

        Crops are then cut and resized on the device. Otherwise a GPU whose step takes two milliseconds would wait for
        a CPU that takes thirty to cut the crops. The items are equal up to rounding.

        Returns:
            This set itself.
        """
        if runtime.has_room(device, sum(photo.numel() for photo in self.photos)):
            self.photos = [photo.to(device) for photo in self.photos]
            self.device = self.photos[0].device  # with its number
        return self

    def batch(self, places: Sequence[tuple[int, int]]) -> Tensor:
        """Several items at once, by (epoch, k): (N, 3, size, size), on the device of the photos."""
        return torch.stack([self[k] for _, k in places])

    def __getitem__(self, k: int) -> Tensor:
        if not 0 <= k < self.length:
            raise IndexError(f"crop {k} of {self.length}")
        photo = self.photos[k % len(self.photos)]  # (3, H, W)
        return self.augment(photo, item_generator(self.seed, k))


def _read(photos: str | Path | Sequence[Tensor] | None) -> Iterator[tuple[str, Tensor]]:
    """Yield each photo with a name for error messages."""
    if photos is None:
        yield from ((name, sample_image(name)) for name in sample_names("photos"))
    elif isinstance(photos, str | Path):
        if not Path(photos).is_dir():
            raise ValueError(
                f"there is no folder {photos}; give a folder with photos, or None for those of the package"
            )
        files = sorted(path for path in Path(photos).iterdir() if path.suffix.lower() in _SUFFIXES)
        yield from ((str(path), load_image(path)) for path in files)
    else:
        yield from ((f"photo {k}", photo) for k, photo in enumerate(photos))
