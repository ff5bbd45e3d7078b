"""Pairs of pictures that show the same scene in two domains, A and B: read from folders, and jittered for training.

An item is one tensor (2, 3, H, W) in [0, 1], A then B: ``a, b = pairs[k]``, and a batch is one tensor. Item k of an
epoch is always the same. (`data.unpaired` holds sets without pairs.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib import arguments, runtime
from course_lib.data.augment import crop_and_flip, floating, item_generator, squeezed
from course_lib.data.checked import checked, item_number
from course_lib.images import load_image, resize
from course_lib.picture_files import pictures_in

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_TARGET = "_photo"  # of NAME_photo.jpg, next to NAME_labels.png (or _sketch, or any other word)
_SOURCES = ("_labels", "_sketch")
_CACHE = 2**30  # bytes of decoded pictures that are kept in memory


class PairedImages(Dataset[Tensor]):
    """Pairs from a folder, A → B. Three ways to lay them out are understood:

    - ``A/`` and ``B/`` with files of the same names (suffixes may differ);
    - ``NAME_labels.png`` or ``NAME_sketch.png`` (A) next to ``NAME_photo.jpg`` (B);
    - one file per pair, twice as wide as high: A in its left half and B in its right, as in the data sets of pix2pix.

    Args:
        folder: holds the pairs.
        split: a folder inside it (or inside ``A/`` and ``B/``), for example ``"train"``.
        size: side of the pictures; each is resized to a square, as in the paper. None: not resized.
        reverse: B → A, for example photo → labels.
        label_maps: the A side holds label maps, which are resized without mixing colors, since a color is a class.

    Raises:
        ValueError: no folder, no pair, or a picture without its partner; when an item is read: two sizes in one
            pair, or one file whose width is not twice its height.
        ImageError: when an item is read: a file that is not a picture.
    """

    def __init__(
        self, folder: str | Path, split: str | None = None, *, size: int | None = 256, reverse: bool = False,
        label_maps: bool = False,
    ) -> None:  # fmt: skip
        self.folder, self.reverse, self.label_maps = arguments.path(folder, "a folder of pairs"), reverse, label_maps
        self.size = None if size is None else arguments.whole("size", size, 1)
        if split is not None and not isinstance(split, str):
            raise ValueError(f"split must be the name of a folder or None, got {split!r}")
        self.files = _pairs(self.folder, split)
        self._kept: dict[int, Tensor] = {}
        self._room = _CACHE

    @property
    def fingerprint(self) -> list[object]:
        """Files, sizes and settings, by which a checkpoint recognizes this set."""
        files = [(file.name, file.stat().st_size) for pair in self.files for file in pair]
        return [files, self.size, self.reverse, self.label_maps]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, k: int) -> Tensor:
        k = item_number(k, len(self), "pair")
        if k not in self._kept:
            pair = self._read(k).mul(255).round().to(torch.uint8)
            if pair.numel() > self._room:
                return pair.float() / 255
            self._kept[k], self._room = pair, self._room - pair.numel()
        return self._kept[k].float() / 255

    def _read(self, k: int) -> Tensor:
        files = self.files[k]
        images = [load_image(file) for file in files]
        if len(images) == 1:
            height, width = images[0].shape[-2:]
            if width != 2 * height:
                raise ValueError(
                    f"{files[0]} is {width}×{height} px; two pictures side by side must be twice as wide as high. "
                    "If these are single pictures, put the two of a pair into the folders A/ and B/ under the same name"
                )
            images = list(images[0].split(height, -1))
        if images[0].shape != images[1].shape:
            sizes = " and ".join(f"{image.shape[-1]}×{image.shape[-2]}" for image in images)
            raise ValueError(f"{files[0]} and {files[1].name} are one pair but differ in size: {sizes} px")
        if self.size is not None:
            square = (self.size, self.size)
            a = nearest(images[0], square) if self.label_maps else resize(images[0], square)
            images = [a, resize(images[1], square)]
        return torch.cat(images[::-1] if self.reverse else images)  # (2, 3, H, W)


class Jitter(Dataset[Tensor]):
    """Pairs resized to `load_size`, cropped to `size` at a random position and mirrored, both pictures alike.

    "Random jitter was applied by resizing the 256 × 256 input images to 286 × 286 and then randomly cropping back"
    (Isola et al. 2017, Appendix 6.2). Every epoch draws new positions: ``item(epoch, k)`` depends only on
    (seed, epoch, k), and ``jitter[k]`` is ``item(0, k)``.

    Args:
        pairs: a map-style data set of (2, 3, H, W) in [0, 1]; each pair is checked when it is first used.
        load_size: side in px to which both pictures are resized first.
        size: side in px of the crop.
        mirror: mirror half of the pairs.
        seed: of positions and mirroring.

    Raises:
        ValueError: no pairs, or a `size` outside 1 to `load_size`.
        ImageError: pairs that are not a data set; when an item is used: a pair of another shape or range.

    >>> pairs = [torch.rand(2, 3, 20, 20)]
    >>> a, b = Jitter(pairs, load_size=36, size=32).item(epoch=4, k=0)
    >>> tuple(a.shape), tuple(b.shape)
    ((3, 32, 32), (3, 32, 32))
    """

    def __init__(
        self, pairs: Any, *, load_size: int = 286, size: int = 256, mirror: bool = True, seed: int = 0
    ) -> None:
        self.pairs = checked(pairs, (2, 3), "pair", same_size=False)
        self.load_size, self.mirror, self.seed = (
            arguments.whole("load_size", load_size, 1),
            mirror,
            arguments.seed(seed),
        )
        self.size = size = arguments.whole("size", size, 1, self.load_size)
        self.augment = crop_and_flip(size, mirror)
        self.device = torch.device("cpu")  # of the pairs; see `near`
        self._near: Tensor | None = None

    @property
    def fingerprint(self) -> list[object]:
        """The pairs' fingerprint and the settings, by which a checkpoint recognizes this set."""
        return [getattr(self.pairs, "fingerprint", None), self.load_size, self.size, self.mirror, self.seed]

    def __len__(self) -> int:
        return len(self.pairs)

    def near(self, device: torch.device) -> Jitter:
        """Prepare this set for training on `device`: move its pairs there if it is a CUDA device with enough memory.

        Returns:
            This set itself.
        """
        if runtime.has_room(device, 6 * self.load_size**2 * len(self.pairs)):
            pairs = (self._loaded(k).mul(255).round().to(torch.uint8) for k in range(len(self.pairs)))
            self._near = torch.stack([pair.to(device) for pair in pairs])  # (P, 2, 3, load_size, load_size)
            self.device = self._near.device  # with its number
        return self

    def batch(self, places: Sequence[tuple[int, int]]) -> Tensor:
        """Several items at once, by (epoch, k): (N, 2, 3, size, size), on the device of the pairs."""
        return torch.stack([self.item(epoch, k) for epoch, k in places])

    def item(self, epoch: int, k: int) -> Tensor:
        """Pair k with the jitter of an epoch, (2, 3, size, size) in [0, 1].

        Raises:
            IndexError: a number outside 0 to len − 1.
        """
        k = item_number(k, len(self), "pair")
        pair = self._loaded(k) if self._near is None else self._near[k]
        return floating(self.augment(pair, item_generator(self.seed, epoch * len(self) + k)))

    def __getitem__(self, k: int) -> Tensor:
        return self.item(0, k)

    def _loaded(self, k: int) -> Tensor:
        """Pair k, (2, 3, load_size, load_size)."""
        return squeezed(self.pairs[k], self.load_size)


def nearest(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize by nearest neighbor, which does not mix colors: (N, 3, H, W) → (N, 3, h, w)."""
    return torch.nn.functional.interpolate(image, size, mode="nearest-exact")


def picture_files(folder: Path) -> list[Path]:
    """The files of a folder that have a picture's suffix, sorted by name, without hidden files."""
    return pictures_in(folder, suffixes=SUFFIXES)


def _by_name(files: Sequence[Path], name_of: Callable[[str], str]) -> dict[str, Path]:
    """The files, by the name of their pair; two files with the same name raise a ValueError."""
    by_name: dict[str, Path] = {}
    for file in files:
        other = by_name.setdefault(name_of(file.stem), file)
        if other is not file:
            raise ValueError(f"{other} and {file.name} belong to the same pair; keep one, or move the other elsewhere")
    return by_name


def _pairs(folder: Path, split: str | None) -> list[tuple[Path, ...]]:
    """The files of each pair, or the one file that holds both."""
    inside = (lambda path: path / split) if split else (lambda path: path)
    if (folder / "A").is_dir() and (folder / "B").is_dir():
        sides = [inside(folder / side) for side in "AB"]
    elif (inside(folder) / "A").is_dir() and (inside(folder) / "B").is_dir():
        sides = [inside(folder) / side for side in "AB"]
    else:
        sides = [inside(folder)]
    for side in sides:
        if not side.is_dir():
            raise ValueError(f"there is no folder {side}; give a folder with pairs, and one of its splits, or None")
    if len(sides) == 2:
        a, b = (_by_name(picture_files(side), lambda stem: stem) for side in sides)
    else:
        targets = [file for file in picture_files(sides[0]) if file.stem.endswith(_TARGET)]
        if not targets and (left := [file for file in picture_files(sides[0]) if file.stem.endswith(_SOURCES)]):
            raise ValueError(f"{left[0]} has no partner; its photograph should be called NAME{_TARGET}")
        if not targets:
            side_by_side: list[tuple[Path, ...]] = [(file,) for file in picture_files(sides[0])]
            if not side_by_side:
                raise ValueError(f"there are no pairs in {sides[0]}: neither A/ and B/, nor NAME_labels.png next to "
                                 "NAME_photo.jpg, nor files with both pictures side by side")  # fmt: skip
            return side_by_side
        b = _by_name(targets, lambda stem: stem.removesuffix(_TARGET))
        others = [file for file in picture_files(sides[0]) if not file.stem.endswith(_TARGET)]
        a = _by_name(others, lambda stem: stem.rpartition("_")[0])
    for mine, theirs in ((a, b), (b, a)):
        if alone := sorted(set(mine) - set(theirs)):
            raise ValueError(f"{mine[alone[0]]} has no partner ({len(alone)} of {len(mine)} have none)")
    if not a:
        raise ValueError(f"there are no pictures in {sides[0]} and {sides[-1]}")
    return [(a[name], b[name]) for name in sorted(a)]
