"""A component that takes Gram matrices apart: their entries, shuffled positions, two pictures, and a toy by hand."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments
from course_lib.losses import gram_matrix
from course_lib.runtime import seeded_generator
from course_lib.teaching.figures import QUALITY, Figure, picture
from course_lib.teaching.interactive.component import cell, component, need_titles, part

LEVELS = 255  # a byte holds each value of a map, as a share of its channel's largest
TOY: list[list[int]] = [[1, 0, 2, 1], [0, 3, 1, 1]]  # the two maps that chapter 2 multiplies by hand, (2, M)


def varied(features: Tensor, count: int) -> list[int]:
    """Channels whose maps differ: first the strongest, then always the one farthest from all combinations of those.

    This is a Cholesky factorization of the Gram matrix with pivots: when channel k is taken, G − g_k g_kᵀ / G_kk is
    left, the Gram matrix of what the chosen maps do not explain.

    Args:
        features: (N, C, h, w); the energies of the N pictures are added.
        count: of channels, at most C.

    Raises:
        ValueError: fewer than `count` channels are linearly independent.

    >>> varied(torch.tensor([[[[2.0, 0]], [[3, 0]], [[0, 1]]]]), 2)  # the first map is a multiple of the second
    [1, 2]
    """
    rest = gram_matrix(features.double()).sum(0)  # (C, C)
    least = 1e-9 * rest.diagonal().max()
    chosen: list[int] = []
    for _ in range(count):
        k = int(rest.diagonal().argmax())
        if not rest[k, k] > least:
            raise ValueError(
                f"only {len(chosen)} of {len(rest)} channels differ from combinations of the others, and {count} "
                f"were asked for; ask for fewer, or use larger pictures"
            )
        chosen.append(k)
        rest = rest - torch.outer(rest[:, k], rest[k]) / rest[k, k]
    return chosen


def rounded(features: Tensor) -> tuple[Tensor, Tensor]:
    """Features in bytes, one step for each channel, so that features ≈ codes · steps.

    Args:
        features: (N, C, h, w), at least 0.

    Returns:
        Codes (N, C, h, w), whole numbers from 0 to 255 as float64, and steps (C, 1, 1), float64.

    >>> codes, steps = rounded(torch.tensor([[[[0.0, 5.0, 10.0]]]]))
    >>> codes.flatten().tolist()
    [0.0, 128.0, 255.0]
    """
    f = features.detach().double().cpu()
    steps = f.amax((0, 2, 3))[:, None, None].clamp(min=1e-12) / LEVELS  # (C, 1, 1)
    return (f / steps).round(), steps


def gram_explorer(
    pictures: Sequence[Tensor],
    features: Sequence[Tensor],
    *,
    titles: Sequence[str],
    layer: str,
    caption: str,
    alt: str,
    channels: int = 16,
    size: int | None = None,
    quality: int = QUALITY,
) -> Figure:
    """Point at an entry of a Gram matrix and see both maps, their product, and the part of the picture behind it.

    The page computes G / M = F Fᵀ / M (`losses.gram_matrix` with ``mean=True``) from the feature maps of two pictures.
    The reader shuffles all maps alike, or one alone, and compares the two pictures entry by entry; the entries that
    differ most are listed. Below, two maps with 2 × 2 positions can be changed by hand. Where no script runs, a sheet
    shows that shuffled positions keep the matrix and another picture changes it.

    Args:
        pictures: two squares, (1, 3, S, S) in [0, 1].
        features: their feature maps at one rectified layer, (1, C, s, s), s at most 64, with S a multiple of s. They
            should show the same part of the scene as the pictures.
        titles: one per picture.
        layer: its name, for the words.
        caption, alt, size, quality: as in `figures.sheet`.
        channels: that are shown, chosen by `varied`; those that are stronger in the first picture come first.

    Raises:
        ValueError: other shapes, features that are negative or not finite, or fewer channels that differ.
    """
    need_titles(pictures, titles, least=2)
    maps = _checked(pictures, features)  # (2, C, s, s)
    chosen = varied(maps, arguments.whole("channels", channels, least=2, most=maps.shape[1]))
    energies = maps[:, chosen].double().square().sum((2, 3))  # (2, channels)
    order = (energies[0] / energies.sum(0)).argsort(descending=True, stable=True).tolist()
    chosen = [chosen[k] for k in order]
    codes, steps = rounded(maps[:, chosen])
    exact, baked = gram_matrix(maps[:, chosen].double(), mean=True), gram_matrix(codes * steps, mean=True)
    settings: dict[str, Any] = {
        "maps": base64.b64encode(_packed(codes)).decode(), "steps": steps.flatten().tolist(), "names": chosen,
        "side": maps.shape[-1], "titles": list(titles), "layer": layer, "of": maps.shape[1], "toy": TOY,
        "error": ((baked - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)).max().item(),
        "at": _farthest(baked[0] - baked[1]),
    }  # fmt: skip
    still = _still(pictures[0], maps.shape[-1])
    first, second = (baked / baked.max()).sqrt().float()
    names = (titles[0], "its positions shuffled", titles[1], "its Gram matrix", "the same matrix", "another matrix")
    shown = (pictures[0], still, pictures[1], first[None], first[None], second[None])
    cells = [
        cell(picture(image, name, size=size if image.shape[-1] > 64 else None, quality=quality), name)
        for name, image in zip(names, shown, strict=True)
    ]
    body = f'<div class="sheet"><div class="strip">{"".join(cells)}</div></div>{part("gram_explorer.html")}'
    return component("gram-explorer", body, caption, alt, settings)


def _checked(pictures: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
    """The features of both pictures, (2, C, s, s)."""
    shapes = [tuple(one.shape) for one in (*pictures, *features)]
    sides = [shape[-1] for shape in shapes if len(shape) == 4 and shape[0] == 1 and shape[2] == shape[3] > 0]
    two = len(pictures) == len(features) == 2 and len(sides) == 4
    if not two or shapes[0] != shapes[1] or shapes[2] != shapes[3] or sides[0] % sides[2] or sides[2] > 64:
        raise ValueError(
            "expected two pictures (1, 3, S, S) and the features of each, (1, C, s, s), s at most 64 and S a multiple "
            f"of it; got the shapes {', '.join(map(str, shapes))}"
        )
    maps = torch.cat(list(features)).detach().cpu()
    if not maps.isfinite().all() or maps.min() < 0:
        raise ValueError(
            "the features contain values that are negative or not finite; use those of a rectified layer, such as "
            "relu2_1"
        )
    return maps


def _packed(codes: Tensor) -> bytes:
    """Bytes in which zeros, the most frequent value after a ReLU, are written as 0 and how many there are."""
    packed = bytearray()
    for value, run in groupby(codes.flatten().to(torch.uint8).tolist()):
        count = len(list(run))
        if value:
            packed += bytes([value]) * count
            continue
        for start in range(0, count, LEVELS):
            packed += bytes([0, min(LEVELS, count - start)])
    return bytes(packed)


def _farthest(difference: Tensor) -> list[int]:
    """Row and column of the largest entry above the diagonal, in absolute value."""
    above = difference.abs().triu(1)
    return list(divmod(int(above.argmax()), len(above)))


def _still(image: Tensor, side: int) -> Tensor:
    """The picture's side × side squares in a random order."""
    block = image.shape[-1] // side
    columns = F.unfold(image, block, stride=block)  # (1, 3·block², side²)
    order = torch.randperm(side * side, generator=seeded_generator(0))
    return F.fold(columns[:, :, order], tuple(image.shape[-2:]), block, stride=block)
