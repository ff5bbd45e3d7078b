"""Augmentation: random crops, scales and flips of training pictures.

An augmentation is a function ``(pictures, generator) → pictures``. Pictures are (…, 3, H, W); all leading dimensions
share one random choice, so the two pictures of a pair (2, 3, H, W) are cropped alike. Values are floats in [0, 1], or
uint8, as data sets keep them in memory; `floating` converts them to floats after the crop. All random numbers come from
the generator, which is on the CPU; `item_generator` returns the generator of an item.

>>> augment = Compose(RandomCrop(32), RandomFlip())
>>> pair = augment(torch.rand(2, 3, 36, 40), item_generator(seed=0, number=7))
>>> tuple(pair.shape)
(2, 3, 32, 32)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from course_lib.images import resample, resize

Augmentation = Callable[[Tensor, Generator], Tensor]


def item_generator(seed: int, number: int) -> Generator:
    """The generator of one item; `number` counts the items of all epochs, epoch · length + k."""
    return torch.Generator().manual_seed(seed * 1_000_003 + number)


class Compose:
    """Apply one augmentation after another, from left to right."""

    def __init__(self, *steps: Augmentation) -> None:
        self.steps = steps

    def __call__(self, pictures: Tensor, generator: Generator) -> Tensor:
        for step in self.steps:
            pictures = step(pictures, generator)
        return pictures


@dataclass(frozen=True)
class RandomCrop:
    """A square crop, all positions equally likely: (…, H, W) → (…, size, size).

    Raises:
        ValueError: a picture smaller than `size`.
    """

    size: int

    def __call__(self, pictures: Tensor, generator: Generator) -> Tensor:
        margins = [side - self.size for side in pictures.shape[-2:]]
        if min(margins) < 0:
            raise ValueError(f"a crop of {self.size} px needs larger pictures than {tuple(pictures.shape)}")
        top, left = (int(draw * (margin + 1)) for draw, margin in zip(_uniform(2, generator), margins, strict=True))
        return pictures[..., top : top + self.size, left : left + self.size]


@dataclass(frozen=True)
class RandomScaleCrop:
    """A square crop of random side and position, resized: (…, 3, H, W) → (…, 3, size, size) float in [0, 1].

    The side lies between `size` (full detail) and the short side (as much as possible).

    Args:
        size: side of the result in px.
        scales: the part of that range to draw from; (0, 0) cuts at full detail only.
    """

    size: int
    scales: tuple[float, float] = (0.0, 1.0)

    def __call__(self, pictures: Tensor, generator: Generator) -> Tensor:
        height, width = pictures.shape[-2:]
        scale, y, x = _uniform(3, generator)
        low, high = self.scales
        side = round(self.size + (low + (high - low) * scale) * (min(height, width) - self.size))
        top, left = round(y * (height - side)), round(x * (width - side))
        crop = floating(pictures[..., top : top + side, left : left + side])
        if side == self.size:
            return crop
        resized = resample(crop.reshape(-1, 3, side, side), self.size, self.size)
        return resized.reshape(*crop.shape[:-2], self.size, self.size)


@dataclass(frozen=True)
class ResizedCrop:
    """Cut a random square as if the picture had a short side of `load_size`: → (…, 3, size, size) in [0, 1].

    Only the crop is resized; in the picture, its side is size / load_size times the short side.

    Raises:
        ValueError: a `load_size` below `size`.
    """

    size: int
    load_size: int

    def __post_init__(self) -> None:
        if self.load_size < self.size:
            raise ValueError(f"load_size must be at least the crop's {self.size} px, got {self.load_size}")

    def __call__(self, pictures: Tensor, generator: Generator) -> Tensor:
        part = RandomCrop(max(1, round(min(pictures.shape[-2:]) * self.size / self.load_size)))
        crop = floating(part(pictures, generator))
        resized = resample(crop.reshape(-1, *crop.shape[-3:]), self.size, self.size)
        return resized.reshape(*crop.shape[:-2], self.size, self.size)


@dataclass(frozen=True)
class RandomFlip:
    """Mirror the pictures left to right with the given probability."""

    probability: float = 0.5

    def __call__(self, pictures: Tensor, generator: Generator) -> Tensor:
        (draw,) = _uniform(1, generator)
        return pictures.flip(-1) if draw < self.probability else pictures


def crop_and_flip(size: int, mirror: bool) -> Augmentation:
    """`RandomCrop`, then `RandomFlip` if `mirror`: the random jitter of pix2pix and CycleGAN, after their resizing."""
    return Compose(RandomCrop(size), *[RandomFlip()] * mirror)


def floating(pictures: Tensor) -> Tensor:
    """uint8 in 0–255 → float32 in [0, 1]; floats stay as they are."""
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures


def squeezed(pictures: Tensor, side: int) -> Tensor:
    """(N, 3, H, W) in [0, 1] → (N, 3, side, side), without keeping the aspect ratio, as in pix2pix."""
    return pictures if pictures.shape[-2:] == (side, side) else resize(pictures, (side, side))


def _uniform(count: int, generator: Generator) -> list[float]:
    return torch.rand(count, generator=generator).tolist()
