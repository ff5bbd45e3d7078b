"""Sets of pictures that belong together: pairs of the same place in two forms, and two heaps without pairs.

An item is one tensor (2, 3, H, W) in [0, 1], A then B, so that ``a, b = pairs[k]`` reads as it should and a batch is
one tensor. Like every set of this package, the k-th item is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib import runtime
from course_lib.images import check_pictures, load_image, resize

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_TARGET = "_photo"  # of the two files NAME_photo.jpg and NAME_labels.png (or _sketch, or any other word)
_SOURCES = ("_labels", "_sketch")
_CACHE = 2**30  # bytes of pictures kept once they were read


class PairedImages(Dataset[Tensor]):
    """Pairs from a folder, A → B. Three ways to lay them out are understood:

    - ``A/`` and ``B/`` with files of the same names (suffixes may differ);
    - ``NAME_labels.png`` or ``NAME_sketch.png`` (A) beside ``NAME_photo.jpg`` (B);
    - one file a pair, A in its left half and B in its right, as pix2pix's own sets come.

    Args:
        folder: the set.
        split: a folder inside it (or inside ``A/`` and ``B/``), for example ``"train"``.
        size: side of the pictures; each is squeezed into a square, as in the paper. None: as they are.
        reverse: B → A, for example photo → labels.
        label_maps: the A side holds label maps, whose colors mean something: it is resized without mixing them.

    Raises:
        ValueError: no folder, no pair, a picture without its partner (named), two sizes in one pair.
        ImageError: a file that is no picture, when it is asked for.
    """

    def __init__(
        self, folder: str | Path, split: str | None = None, *, size: int | None = 256, reverse: bool = False,
        label_maps: bool = False,
    ) -> None:  # fmt: skip
        self.folder, self.size, self.reverse, self.label_maps = Path(folder), size, reverse, label_maps
        self.files = _pairs(self.folder, split)
        self._kept: dict[int, Tensor] = {}
        self._room = _CACHE

    @property
    def identity(self) -> list[object]:
        """What tells this set from another; a checkpoint knows it by this."""
        files = [(file.name, file.stat().st_size) for pair in self.files for file in pair]
        return [files, self.size, self.reverse, self.label_maps]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, k: int) -> Tensor:
        if not 0 <= k < len(self):
            raise IndexError(f"pair {k} of {len(self)}")
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
            width = images[0].shape[-1]
            if width % 2:
                raise ValueError(f"{files[0]} should hold two pictures side by side, but is {width} px wide")
            images = list(images[0].split(width // 2, -1))
        if images[0].shape != images[1].shape:
            sizes = " and ".join(f"{image.shape[-1]}×{image.shape[-2]}" for image in images)
            raise ValueError(f"{files[0]} and {files[1].name} are one pair but not of one size: {sizes} px")
        if self.size is not None:
            square = (self.size, self.size)
            a = nearest(images[0], square) if self.label_maps else resize(images[0], square)
            images = [a, resize(images[1], square)]
        return torch.cat(images[::-1] if self.reverse else images)  # (2, 3, H, W)


class Jitter(Dataset[Tensor]):
    """Pairs a little larger than needed, cut to `size` at random places and mirrored, both pictures alike.

    "Random jitter was applied by resizing the 256 × 256 input images to 286 × 286 and then randomly cropping back"
    (Isola et al. 2017, Appendix 6.2). Item k is pair k mod P, cut as (seed, k) says.

    Args:
        pairs: any set of (2, 3, H, W).
        load_size: what both are resized to first.
        size: what is cut out.
        epochs: how often each pair is there, every time cut in another place.
        mirror: mirror half of them.

    >>> pairs = [torch.rand(2, 3, 20, 20)]
    >>> a, b = Jitter(pairs, load_size=36, size=32, epochs=2)[1]
    >>> tuple(a.shape), tuple(b.shape)
    ((3, 32, 32), (3, 32, 32))
    """

    def __init__(
        self, pairs: Any, *, load_size: int = 286, size: int = 256, epochs: int = 1, mirror: bool = True, seed: int = 0
    ) -> None:
        if not 1 <= size <= load_size or epochs < 1 or len(pairs) < 1:
            raise ValueError(
                "expected at least one pair, one epoch and 1 ≤ size ≤ load_size, "
                f"got {len(pairs)} pairs, {epochs} epochs, size {size} and load_size {load_size}"
            )
        self.pairs, self.load_size, self.size, self.mirror, self.seed = pairs, load_size, size, mirror, seed
        self.epochs = epochs
        self.device = torch.device("cpu")  # where the pairs lie; see `near`
        self._near: Tensor | None = None

    @property
    def identity(self) -> list[object]:
        """What tells this set from another."""
        return [getattr(self.pairs, "identity", None), self.load_size, self.size, self.mirror, self.seed]

    def __len__(self) -> int:
        return self.epochs * len(self.pairs)

    def near(self, device: torch.device) -> Jitter:
        """This set for a training on `device`: its pairs move there if that is a CUDA device with room for them."""
        if runtime.has_room(device, 6 * self.load_size**2 * len(self.pairs)):
            loaded = (self._loaded(k).mul(255).round().to(torch.uint8) for k in range(len(self.pairs)))
            self._near = torch.stack([pair.to(device) for pair in loaded])  # (P, 2, 3, load_size, load_size)
            self.device = self._near.device  # with its number
        return self

    def batch(self, items: Sequence[int]) -> Tensor:
        """Several items at once: (N, 2, 3, size, size) where the pairs lie."""
        return torch.stack([self[k] for k in items])

    def _loaded(self, k: int) -> Tensor:
        """Pair k, (2, 3, load_size, load_size)."""
        pair: Tensor = self.pairs[k]
        side = self.load_size
        return pair if pair.shape[-2:] == (side, side) else resize(pair, (side, side))

    def __getitem__(self, k: int) -> Tensor:
        if not 0 <= k < len(self):
            raise IndexError(f"pair {k} of {len(self)}")
        number = k % len(self.pairs)
        pair = self._loaded(number) if self._near is None else self._near[number].float() / 255
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + k)
        mirror, y, x = torch.rand(3, generator=generator).tolist()
        top, left = (int(place * (self.load_size - self.size + 1)) for place in (y, x))
        pair = pair[..., top : top + self.size, left : left + self.size]
        return pair.flip(-1) if self.mirror and mirror < 0.5 else pair


class UnpairedImages(Dataset[Tensor]):
    """Two heaps of pictures of which no two belong together: item k is the k-th of A with any of B.

    Args:
        a, b: folders, or pictures (1, 3, H, W) in [0, 1]. CycleGAN's own sets are ``trainA`` and ``trainB``.
        size: side of the square that each is squeezed into.
        seed: which of B meets which of A.

    Raises:
        ValueError: no folder, or no picture in it.

    >>> heaps = UnpairedImages([torch.rand(1, 3, 40, 50)] * 3, [torch.rand(1, 3, 50, 40)] * 2, size=32)
    >>> len(heaps), tuple(heaps[2].shape)
    (3, (2, 3, 32, 32))
    """

    def __init__(
        self, a: str | Path | Sequence[Tensor], b: str | Path | Sequence[Tensor], *, size: int = 256, seed: int = 0
    ) -> None:
        self.a, self.b, self.size, self.seed = _heap(a), _heap(b), size, seed

    @property
    def identity(self) -> list[object]:
        """What tells this set from another."""
        names = [
            [str(picture) if isinstance(picture, Path) else float(picture.sum()) for picture in heap]
            for heap in (self.a, self.b)
        ]
        return [names, self.size, self.seed]

    def __len__(self) -> int:
        return max(len(self.a), len(self.b))

    def __getitem__(self, k: int) -> Tensor:
        if not 0 <= k < len(self):
            raise IndexError(f"item {k} of {len(self)}")
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + k)
        other = int(torch.randint(len(self.b), (), generator=generator))
        found = []
        for picture in (self.a[k % len(self.a)], self.b[other]):
            image = load_image(picture) if isinstance(picture, Path) else picture
            check_pictures(image)
            found.append(resize(image[:1], (self.size, self.size)))
        return torch.cat(found)


def nearest(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize without mixing colors: every pixel is the one nearest to its center. (N, 3, H, W) → (N, 3, h, w)."""
    return torch.nn.functional.interpolate(image, size, mode="nearest-exact")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _heap(pictures: str | Path | Sequence[Tensor]) -> Sequence[Any]:
    if not isinstance(pictures, str | Path):
        found: Sequence[Any] = pictures
    elif not Path(pictures).is_dir():
        raise ValueError(f"there is no folder {pictures}")
    else:
        found = _files(Path(pictures))
    if not found:
        raise ValueError(f"there are no pictures in {pictures}; a folder needs files {', '.join(_SUFFIXES)}")
    return found


def _by_name(files: Sequence[Path], name_of: Callable[[str], str]) -> dict[str, Path]:
    """Files by the name of their pair; two files of one name are refused."""
    found: dict[str, Path] = {}
    for file in files:
        other = found.setdefault(name_of(file.stem), file)
        if other is not file:
            raise ValueError(f"{other} and {file.name} both belong to one pair; keep one, or put the other elsewhere")
    return found


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
            raise ValueError(f"there is no folder {side}; give one that holds pairs, and a split that it has, or None")
    if len(sides) == 2:
        a, b = (_by_name(_files(side), lambda stem: stem) for side in sides)
    else:
        targets = [file for file in _files(sides[0]) if file.stem.endswith(_TARGET)]
        if not targets and (left := [file for file in _files(sides[0]) if file.stem.endswith(_SOURCES)]):
            raise ValueError(f"{left[0]} has no partner: its photograph should be called NAME{_TARGET}")
        if not targets:
            found: list[tuple[Path, ...]] = [(file,) for file in _files(sides[0])]
            if not found:
                raise ValueError(f"there are no pairs in {sides[0]}: neither A/ and B/, nor NAME_labels.png beside "
                                 "NAME_photo.jpg, nor files with both pictures side by side")  # fmt: skip
            return found
        b = _by_name(targets, lambda stem: stem.removesuffix(_TARGET))
        others = [file for file in _files(sides[0]) if not file.stem.endswith(_TARGET)]
        a = _by_name(others, lambda stem: stem.rpartition("_")[0])
    for mine, theirs in ((a, b), (b, a)):
        if alone := sorted(set(mine) - set(theirs)):
            raise ValueError(f"{mine[alone[0]]} has no partner ({len(alone)} of {len(mine)} have none)")
    if not a:
        raise ValueError(f"there are no pictures in {sides[0]} and {sides[-1]}")
    return [(a[name], b[name]) for name in sorted(a)]
