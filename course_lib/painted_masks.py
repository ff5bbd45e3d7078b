"""Painted masks: a picture in which every color is a region, as people draw them with any program.

Only a file without lossy compression holds exactly the colors that were painted. A brush with soft edges, a resized
picture or a JPEG file adds hundreds between them. Here, a color counts as painted if it fills areas, that is, if
neighboring pixels have it, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.image_checks import check_pictures
from course_lib.images import load_image

MOST_COLORS = 16  # more regions than anybody paints
_FLAT = 0.1  # in a flat area, a channel varies by less among a pixel and its neighbors
_LEAST = 1e-3  # share of the flat pixels that a color needs
_NEAR = 0.06  # of [0, 1]: what JPEG does to an area of one color
_CLEAR = 0.8  # share of the pixels of a painted mask that are so near to a painted color
_NAMES = {
    "black": (0, 0, 0), "gray": (128, 128, 128), "white": (255, 255, 255), "red": (230, 25, 25),
    "orange": (255, 150, 20), "yellow": (250, 235, 40), "green": (40, 160, 50), "cyan": (70, 220, 230),
    "light blue": (125, 195, 250),
    "blue": (35, 60, 210), "purple": (130, 40, 170), "pink": (250, 130, 190), "magenta": (245, 30, 230),
    "brown": (120, 70, 30),
}  # fmt: skip


def color_regions(
    content_mask: Tensor | str | Path, style_masks: Sequence[Tensor | str | Path], tolerance: float
) -> tuple[Tensor, tuple[Tensor, ...], tuple[str, ...]]:
    """For each color of the photo's mask, where it is in the photo's mask and in those of the paintings.

    Args:
        content_mask: (1, 3, H, W) in [0, 1], or a file.
        style_masks: one for each painting.
        tolerance: how far two colors may lie apart and still be the same, in the cube [0, 1]³.

    Returns:
        (R, 1, H, W) bool for the photo, (R, 1, h, w) bool for each painting, and the R colors as "#3070c0".

    Raises:
        ImageError: a file that cannot be read, or not a picture in [0, 1].
        ValueError: a photo instead of a painted mask, or a color of the photo's mask that no painting's mask has.
    """
    several = not isinstance(style_masks, Tensor | str | Path)
    style_masks = [*style_masks] if several else [style_masks]  # type: ignore[list-item]
    colors, content = painted_colors(content_mask, "the photo's mask", tolerance)
    painted = [painted_colors(mask, f"the mask of painting {k}", tolerance) for k, mask in enumerate(style_masks, 1)]
    styles = []
    for found, classes in painted:
        distances = torch.cdist(found, colors)  # (K, R)
        partner = torch.where(distances.amin(1) <= tolerance, distances.argmin(1), -1)  # (K,)
        styles.append(_one_hot(partner[classes], len(colors)))
    missing = [k for k in range(len(colors)) if not any(bool(masks[k].any()) for masks in styles)]
    if missing:
        theirs = "; ".join(f"{k}: {_listed(found)}" for k, (found, _) in enumerate(painted, start=1))
        raise ValueError(
            f"no painting's mask has {_listed(colors[missing])}; the photo's mask has {_listed(colors)}, those of the "
            f"paintings have {theirs}. Use the same colors in all masks"
        )
    return _one_hot(content, len(colors)), tuple(styles), tuple(map(_hex, colors))


def painted_colors(mask: Tensor | str | Path, what: str, tolerance: float) -> tuple[Tensor, Tensor]:
    """The colors of a painted mask, and which of them each pixel has.

    If there are only a few colors and all are far apart, they are the painted ones, however small their areas.
    Otherwise, the colors of flat areas are collected, the most frequent one first, together with all colors within
    `tolerance` of it; those that fill less than a thousandth are left out. Every pixel then has the nearest color.

    Args:
        mask: (1, 3, H, W) in [0, 1], or a file.
        what: its name in messages.
        tolerance: how far two colors may lie apart and still be the same.

    Returns:
        (K, 3) in [0, 1], in the order of their hexadecimal codes, and (H, W) int64.

    Raises:
        ImageError: a file that cannot be read, or not a picture in [0, 1].
        ValueError: not a painted mask.

    >>> mask = torch.zeros(1, 3, 8, 8)
    >>> mask[:, 2, :, 4:] = 1
    >>> painted_colors(mask, "the mask", 0.2)[0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if isinstance(mask, str | Path):
        mask = load_image(mask)
    check_pictures(mask, what, single=True)
    mask = mask.detach().float().clamp(0, 1).cpu()
    levels = (mask[0] * 255).round().long()  # (3, H, W)
    codes = (levels[0] << 16) + (levels[1] << 8) + levels[2]  # (H, W)
    own = codes.unique()
    colors = _rgb(own)
    if len(own) > MOST_COLORS or bool((torch.pdist(colors) <= tolerance).any()):
        flat = codes[_is_flat(mask)]
        colors = _peaks(flat if len(flat) else codes.flatten(), tolerance)
    pixels = mask[0].flatten(1).T.contiguous()  # (H*W, 3)
    nearest = [torch.cdist(part, colors).min(1) for part in pixels.split(1 << 18)] if len(colors) else []
    near = sum(int((part.values <= _NEAR).sum()) for part in nearest) / len(pixels)
    if len(colors) > MOST_COLORS or near < _CLEAR:
        raise ValueError(
            f"{what} looks like a photo, not like a painted mask: only {near:.0%} of its pixels have a color that "
            "fills an area. Paint each region in one color"
            if near < _CLEAR
            else f"{what} has more than {MOST_COLORS} colors that fill areas; paint at most {MOST_COLORS} regions"
        )
    return colors, torch.cat([part.indices for part in nearest]).view_as(codes)


def plain_names(colors: Tensor) -> list[str]:
    """The nearest plain name of each color, such as "light blue".

    Args:
        colors: (K, 3) in [0, 1].

    >>> plain_names(torch.tensor([[0.1, 0.2, 0.7], [0.9, 0.9, 0.95]]))
    ['blue', 'white']
    """
    plain = torch.tensor([*_NAMES.values()]) / 255
    return [[*_NAMES][k] for k in torch.cdist(colors, plain).argmin(1).tolist()]


def _is_flat(mask: Tensor) -> Tensor:
    """Where all channels vary by at most `_FLAT` among a pixel and its eight neighbors: (H, W) bool."""
    highest, lowest = F.max_pool2d(mask, 3, 1, 1), -F.max_pool2d(-mask, 3, 1, 1)
    return ((highest - lowest).amax(1) <= _FLAT)[0]


def _peaks(codes: Tensor, tolerance: float) -> Tensor:
    """The frequent colors (K, 3) among codes (M,)."""
    own, counts = codes.unique(return_counts=True)
    colors, total = _rgb(own), len(codes)
    found: list[int] = []
    while len(own):
        peak = int(counts.argmax())
        same = (colors - colors[peak]).square().sum(1).sqrt() <= tolerance
        if int(counts[same].sum()) >= _LEAST * total:
            found.append(int(own[peak]))
        own, counts, colors = own[~same], counts[~same], colors[~same]
    return _rgb(torch.tensor(sorted(found), dtype=torch.int64))


def _one_hot(classes: Tensor, count: int) -> Tensor:
    return torch.stack([classes == k for k in range(count)])[:, None]  # (R, 1, H, W)


def _rgb(codes: Tensor) -> Tensor:
    return torch.stack((codes >> 16, (codes >> 8) & 255, codes & 255), 1) / 255


def _hex(color: Tensor) -> str:
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in color.tolist())


def _listed(colors: Tensor) -> str:
    """Colors with their nearest plain name: ``#3070c0 (blue), #000000 (black)``."""
    return ", ".join(f"{_hex(color)} ({name})" for color, name in zip(colors, plain_names(colors), strict=True))
