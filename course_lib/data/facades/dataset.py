"""A synthetic data set of street fronts, each drawn by code as a label map, a pencil sketch and a "photo".

It provides pairs for image-to-image translation without a download or a license. The label map fixes the layout of a
scene. The colors of the walls, the weather, the time of day and the season are drawn independently of it, so one map
has many possible photos, as in reality, and a network that sees only the map has to choose among them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.data.facades.canvas import CLASSES, Painter
from course_lib.data.facades.street import draw_street
from course_lib.data.facades.weather import Conditions, conditions

SOURCES = ("labels", "sketch")
_BY_CHANCE = Conditions()
_PALETTE = torch.tensor([*CLASSES.values()], dtype=torch.uint8)  # (9, 3)


@dataclass(frozen=True)
class Scene:
    """One street front as three pictures of the same size S.

    Attributes:
        labels: (3, S, S) in [0, 1], only colors of `CLASSES`.
        photo: (3, S, S) in [0, 1].
        sketch: (3, S, S) in [0, 1], gray lines on white.
    """

    labels: Tensor
    photo: Tensor
    sketch: Tensor


class Facades(Dataset[Tensor]):
    """Street fronts as pairs of a network's input and its target, a photo.

    Item k is (2, 3, size, size) float32 in [0, 1], with the source first: `source, photo = facades[k]`. It depends only
    on (seed, k). Another size shows the same scene in more or less detail.

    Args:
        source: "labels" for the label map in the colors of `CLASSES`, "sketch" for a pencil drawing.
        size: side of a picture in pixels, at least 32.
        length: number of scenes; the default is that of the training set of CMP façades in pix2pix (Isola et al. 2017).
        seed: each seed gives different scenes.

    Raises:
        ValueError: another source, a size below 32, a length below 1, or a negative seed.

    >>> facades = Facades("sketch", size=64, length=10)
    >>> source, photo = facades[3]
    >>> len(facades), tuple(source.shape), bool((source == facades[3][0]).all())
    (10, (3, 64, 64), True)
    """

    def __init__(self, source: str = "labels", *, size: int = 128, length: int = 400, seed: int = 0) -> None:
        if source not in SOURCES:
            raise ValueError(f'source must be "labels" or "sketch", got {source!r}')
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        _check(0, size, seed)
        self.source, self.size, self.length, self.seed = source, size, length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> Tensor:
        if not 0 <= k < self.length:
            raise IndexError(f"there is no façade {k}; the set has {self.length}, numbered from 0")
        drawn = self.source == "sketch"
        painter = _painted(k, self.size, self.seed, sketching=drawn)
        return torch.stack((_sketch(painter) if drawn else _labels(painter), _photo(painter)))


def draw_facade(
    k: int, *, size: int = 128, seed: int = 0, look: int | None = None, weather: str | None = None,
    season: str | None = None, material: str | None = None,
) -> Scene:  # fmt: skip
    """Draw scene k of a seed.

    With a `weather`, everything that the weather does not change is the same in all of them: the label map, the sketch,
    the colors of walls, cars, trees and coats. So one street in two weathers is a pair.

    Args:
        k: number of the scene, from 0 up.
        size: side of the pictures in pixels, at least 32.
        seed: each seed gives different scenes.
        look: each number gives the same layout with other colors, season and weather; None for the scene's own.
        weather: a key of `WEATHERS`; None: it is drawn, as are the next two.
        season: a key of `SEASONS`, the color of the leaves.
        material: a key of `MATERIALS`, of the walls.

    Returns:
        A `Scene` with three pictures (3, size, size) in [0, 1].

    Raises:
        ValueError: a size below 32, a negative `k` or `seed`, or an unknown weather, season or material.

    >>> scene = draw_facade(0, size=32)
    >>> scene.photo.shape == scene.sketch.shape == scene.labels.shape
    True
    """
    _check(k, size, seed)
    own = f"{seed} {k}" if look is None else f"{seed} {k} {look}"
    painter = _painted(k, size, seed, look=look, given=conditions(weather, season, material, own))
    return Scene(_labels(painter), _photo(painter), _sketch(painter))


def weather_photos(weather: str, numbers: Iterable[int], *, size: int = 128, seed: int = 0) -> Tensor:
    """The photos of several scenes in one weather: a domain for translation without pairs, and its truth.

    Train on some numbers in one weather and on *other* numbers in another. Photos of the same numbers in the two
    weathers are pairs, with which a translation can be scored.

    Args:
        weather: a key of `WEATHERS`.
        numbers: of the scenes.
        size, seed: as `draw_facade` takes them.

    Returns:
        (N, 3, size, size) in [0, 1].

    Raises:
        ValueError: as `draw_facade`, or no numbers.

    >>> clear, dusk = (weather_photos(weather, range(2), size=32) for weather in ("clear", "dusk"))
    >>> tuple(dusk.shape), bool(clear.mean() > dusk.mean())
    ((2, 3, 32, 32), True)
    """
    numbers = list(numbers)
    if not numbers:
        raise ValueError("there are no scenes to draw: give their numbers, for example range(400)")
    photos = []
    for k in numbers:
        _check(k, size, seed)
        given = conditions(weather, None, None, f"{seed} {k}")
        photos.append(_photo(_painted(k, size, seed, sketching=False, given=given)))
    return torch.stack(photos)


def class_map(labels: Tensor) -> Tensor:
    """Classify every pixel of a label map by its nearest class color, so that blurred or compressed maps work too.

    Args:
        labels: (N, 3, H, W) or (3, H, W), floating point, in [0, 1].

    Returns:
        (N, H, W) or (H, W), int64 indices into `CLASSES`.

    Raises:
        ValueError: a tensor of another shape or an integer dtype.

    >>> list(CLASSES)[class_map(torch.tensor([0.0, 0.4, 0.1]).view(3, 1, 1)).item()]
    'vegetation'
    """
    if labels.ndim not in (3, 4) or labels.shape[-3] != 3 or not labels.is_floating_point():
        raise ValueError(
            "expected label maps (N, 3, H, W) or (3, H, W), floating point, in [0, 1], "
            f"got {tuple(labels.shape)} of {labels.dtype}"
        )
    colors = _PALETTE.to(labels) / 255  # (9, 3)
    # |x - c|² without |x|², which is the same for all classes: a matrix product, without a tensor of size (…, 9, 3)
    far = colors.square().sum(1)[:, None, None] - 2 * torch.einsum("kc,...chw->...khw", colors, labels)
    return far.argmin(-3)


def _check(k: int, size: int, seed: int) -> None:
    if size < 32:
        raise ValueError(f"size must be at least 32 px, so that a façade has windows, got {size}")
    if k < 0 or seed < 0:
        raise ValueError(f"the number of a scene and the seed must be at least 0, got {k} and {seed}")


def _painted(
    k: int, size: int, seed: int, sketching: bool = True, look: int | None = None, given: Conditions = _BY_CHANCE
) -> Painter:
    """A painter that has drawn the scene, with separate random numbers for layout, look and pencil."""
    own = "" if look is None else f" {look}"
    layout, face, hand = (Random(f"{part} {seed} {k}") for part in ("layout", f"look{own}", "hand"))
    painter = Painter(size, layout, face, hand, given, sketching=sketching)
    draw_street(painter)
    return painter


def _labels(painter: Painter) -> Tensor:
    classes = torch.from_numpy(painter.label_map().astype(np.int64))  # (S, S)
    return _PALETTE[classes].permute(2, 0, 1).contiguous().float() / 255  # (3, S, S)


def _photo(painter: Painter) -> Tensor:
    return torch.from_numpy(painter.picture()).permute(2, 0, 1).contiguous()  # (3, S, S)


def _sketch(painter: Painter) -> Tensor:
    return torch.from_numpy(painter.pencil()).expand(3, -1, -1).contiguous()  # (3, S, S)
