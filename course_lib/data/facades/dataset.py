"""Façades without end: street fronts drawn by code, each as a label map, a pencil sketch and a "photo".

A set of pairs for image-to-image translation that needs no download and no license. The label map holds everything
that is where it is; the colors of the walls, the weather, the hour and the season are drawn apart from it. So one map
has many photos, as in life, and whoever must guess one of them from the map alone has to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.data.facades.canvas import CLASSES, Painter
from course_lib.data.facades.street import draw_street

SOURCES = ("labels", "sketch")
_PALETTE = torch.tensor([*CLASSES.values()], dtype=torch.uint8)  # (9, 3)


@dataclass(frozen=True)
class Scene:
    """One street front, three times the same size S.

    Attributes:
        labels: (3, S, S) in [0, 1], colors of `CLASSES` and no others.
        photo: (3, S, S) in [0, 1].
        sketch: (3, S, S) in [0, 1], gray lines on white.
    """

    labels: Tensor
    photo: Tensor
    sketch: Tensor


class Facades(Dataset[Tensor]):
    """Street fronts in pairs: what a network is given, and the photo that it shall make of it.

    Item k is (2, 3, size, size) float32 in [0, 1], the source first: `source, photo = facades[k]`. It depends on
    (seed, k) alone; at another size it shows the same scene, in more or less detail.

    Args:
        source: "labels" for the label map in the colors of `CLASSES`, "sketch" for a pencil drawing.
        size: side of a picture in pixels, at least 32.
        length: how many scenes; the default is that of the CMP façades that pix2pix learned from.
        seed: another seed, other scenes.

    Raises:
        ValueError: another source, a picture that is too small, no scene, or a negative seed.

    >>> facades = Facades("sketch", size=64, length=10)
    >>> source, photo = facades[3]
    >>> len(facades), tuple(source.shape), bool((source == facades[3][0]).all())
    (10, (3, 64, 64), True)
    """

    def __init__(self, source: str = "labels", *, size: int = 128, length: int = 400, seed: int = 0) -> None:
        if source not in SOURCES:
            raise ValueError(f'expected a source "labels" or "sketch", got {source!r}')
        if length < 1:
            raise ValueError(f"expected a length of at least 1, got {length}")
        _check(0, size, seed)
        self.source, self.size, self.length, self.seed = source, size, length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> Tensor:
        if not 0 <= k < self.length:
            raise IndexError(f"façade {k} of {self.length}")
        drawn = self.source == "sketch"
        painter = _painted(k, self.size, self.seed, sketching=drawn)
        return torch.stack((_sketch(painter) if drawn else _labels(painter), _photo(painter)))


def draw_facade(k: int, *, size: int = 128, seed: int = 0, look: int | None = None) -> Scene:
    """Draw scene k of a seed.

    Args:
        k: which scene, from 0 on.
        size: side of the pictures in pixels, at least 32.
        seed: another seed, other scenes.
        look: the same street in other colors, another season and weather: a number for each; None: its own.

    Raises:
        ValueError: a picture that is too small, or a negative number.

    >>> scene = draw_facade(0, size=32)
    >>> scene.photo.shape == scene.sketch.shape == scene.labels.shape
    True
    """
    _check(k, size, seed)
    painter = _painted(k, size, seed, look=look)
    return Scene(_labels(painter), _photo(painter), _sketch(painter))


def class_map(labels: Tensor) -> Tensor:
    """Which class every pixel is: the one whose color is nearest, so that a blurred or compressed map is read as well.

    Args:
        labels: (N, 3, H, W) or (3, H, W), floating point, in [0, 1].

    Returns:
        (N, H, W) or (H, W), int64 indices into `CLASSES`.

    Raises:
        ValueError: a tensor of another shape or type.

    >>> list(CLASSES)[class_map(torch.tensor([0.0, 0.4, 0.1]).view(3, 1, 1)).item()]
    'vegetation'
    """
    if labels.ndim not in (3, 4) or labels.shape[-3] != 3 or not labels.is_floating_point():
        raise ValueError(
            "expected label maps (N, 3, H, W) or (3, H, W) of floating point in [0, 1], "
            f"got {tuple(labels.shape)} of {labels.dtype}"
        )
    colors = _PALETTE.to(labels) / 255  # (9, 3)
    # |x - c|² without |x|², which is the same for all: one product of matrices, nothing of size (…, 9, 3)
    far = colors.square().sum(1)[:, None, None] - 2 * torch.einsum("kc,...chw->...khw", colors, labels)
    return far.argmin(-3)


def _check(k: int, size: int, seed: int) -> None:
    if size < 32:
        raise ValueError(f"a façade needs a size of at least 32 px to have windows, got {size}")
    if k < 0 or seed < 0:
        raise ValueError(f"expected a number and a seed of at least 0, got {k} and {seed}")


def _painted(k: int, size: int, seed: int, sketching: bool = True, look: int | None = None) -> Painter:
    """A painter who has drawn the scene; three kinds of chance, so that none depends on how much another is used."""
    own = "" if look is None else f" {look}"
    chances = (Random(f"{part} {seed} {k}") for part in ("layout", f"look{own}", "hand"))
    painter = Painter(size, *chances, sketching=sketching)
    draw_street(painter)
    return painter


def _labels(painter: Painter) -> Tensor:
    classes = torch.from_numpy(painter.label_map().astype(np.int64))  # (S, S)
    return _PALETTE[classes].permute(2, 0, 1).contiguous().float() / 255  # (3, S, S)


def _photo(painter: Painter) -> Tensor:
    return torch.from_numpy(painter.picture()).permute(2, 0, 1).contiguous()  # (3, S, S)


def _sketch(painter: Painter) -> Tensor:
    return torch.from_numpy(painter.pencil()).expand(3, -1, -1).contiguous()  # (3, S, S)
