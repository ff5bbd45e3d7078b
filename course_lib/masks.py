"""Regions: which part of a photo takes its style from which part of which painting.

A mask is a picture with one channel in [0, 1]: 1 inside the region, 0 outside, and between them where it is soft. For
one style for the sky and another one for the ground, Gatys et al. 2017 (Section 4) and Luan et al. 2017 (Section 3.2)
give the photo and every painting one mask for each region. `Regions` holds them, checks them, and brings them to other
sizes. They come from painted masks (every color is a region), from maps of class numbers, or from masks of the photo
alone. `box_mask` makes a mask from a box around an object, `feathered` makes borders soft.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments
from course_lib.grabcut import box_mask as box_mask  # part of this module's interface
from course_lib.grabcut import refine_mask as refine_mask
from course_lib.painted_masks import color_regions

Sizes = tuple[int, int]  # (H, W)
_ROUNDING = 1.0  # px: a picture that was resized twice may have sides that are off by as much


@dataclass(frozen=True, eq=False)
class Regions:
    """R regions of a photo and where each finds its style.

    Attributes:
        content: (R, 1, H, W) in [0, 1], of the photo.
        styles: (R, 1, h, w) in [0, 1] for each painting: where region r finds its style there; zeros: that painting
            gives nothing to region r. A mask of 1 × 1 stands for a whole painting of any size.
        names: of the regions, for histories and messages.

    The masks may overlap, and they need not cover the photo. They are stored as float32, without a gradient.

    Raises:
        ValueError: a wrong shape, type or range, names that are not R different strings, or a region that is empty in
            the photo or in all paintings.

    >>> sky = torch.zeros(1, 1, 8, 8)
    >>> sky[..., :4, :] = 1
    >>> regions = Regions.split([sky, 1 - sky], names=["sky", "land"])
    >>> [mask.flatten().tolist() for mask in regions.styles]  # the first painting for the sky, the second for the land
    [[1.0, 0.0], [0.0, 1.0]]
    >>> regions.at((4, 4), [(6, 9), (5, 5)]).content[:, 0, :, 0].tolist()
    [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    """

    content: Tensor
    styles: tuple[Tensor, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        content = checked_masks(self.content, "the content masks")
        if isinstance(self.styles, Tensor) or not isinstance(self.styles, Sequence) or not self.styles:
            raise ValueError(
                f"styles must be a tuple with the masks of each painting, (R, 1, h, w), got {_what(self.styles)}"
            )
        styles = [checked_masks(masks, f"the masks of painting {k}") for k, masks in enumerate(self.styles, start=1)]
        names = arguments.names("names", self.names)
        count = len(content)
        if len(names) != count or len({*names}) != count:
            raise ValueError(f"names must be {count} different names, one for each content mask, got {names}")
        for number, masks in enumerate(styles, start=1):
            if len(masks) != count:
                raise ValueError(
                    f"painting {number} has {len(masks)} masks, but the photo has {count}; give one for each region, "
                    "all zeros where the painting has nothing for it"
                )
        for k, name in enumerate(names):
            if not bool(content[k].any()):
                raise ValueError(f"region {name!r} is empty in the photo; leave it out, or paint it there")
            if not any(bool(masks[k].any()) for masks in styles):
                raise ValueError(f"region {name!r} has no style: it is empty in all paintings; paint it into one")
        for field, value in (("content", content), ("styles", tuple(styles)), ("names", names)):
            object.__setattr__(self, field, value)  # the dataclass is frozen

    @classmethod
    def split(cls, content_masks: Tensor | Sequence[Tensor], *, names: Sequence[str] | None = None) -> Self:
        """Each region takes a whole painting: region 1 the first, region 2 the second, and so on.

        Args:
            content_masks: (R, 1, H, W) in [0, 1], or R masks (1, 1, H, W).
            names: R names; "region 1", "region 2", … by default.

        Raises:
            ValueError: as `Regions`.
        """
        masks = _stacked(content_masks)
        count = len(masks)
        own = torch.eye(count, device=masks.device).view(count, count, 1, 1, 1)  # one pixel stands for a whole painting
        return cls(masks, tuple(own), tuple(names or (f"region {k}" for k in range(1, count + 1))))

    @classmethod
    def from_colors(
        cls,
        content_mask: Tensor | str | Path,
        style_masks: Sequence[Tensor | str | Path],
        *,
        names: Mapping[str, str] | None = None,
        tolerance: float = 0.2,
    ) -> Self:
        """Painted masks: a color of the photo's mask is a region, and the same color in a painting's mask its style.

        Soft borders and the traces of JPEG do not count as colors (`course_lib.painted_masks` says what does). A color
        that only the paintings have is not used.

        Args:
            content_mask: a picture (1, 3, H, W) in [0, 1], or a file.
            style_masks: one such picture or file for each painting.
            names: of the regions by their color in the photo's mask, ``{"#3070c0": "sky"}``; the others are called by
                their color.
            tolerance: how far two colors may lie apart and still be the same, in the cube [0, 1]³ of R, G, B.

        Raises:
            ImageError: a file that cannot be read, or not a picture in [0, 1].
            ValueError: a photo instead of a painted mask, or a color of the photo's mask that no painting's mask has.

        >>> left = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 8, 4)  # red
        >>> mask = torch.cat((left, left.flip(1)), 3)  # and blue
        >>> regions = Regions.from_colors(mask, [mask.flip(3)])
        >>> regions.names, regions.styles[0][0, 0, 0].tolist()
        (('#0000ff', '#ff0000'), [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
        """
        content, styles, colors = color_regions(content_mask, style_masks, arguments.positive("tolerance", tolerance))
        given = dict(names or {})
        if unknown := [color for color in given if color not in colors]:
            raise ValueError(
                f"names has {', '.join(map(str, unknown))}; the colors of the photo's mask are {', '.join(colors)}"
            )
        return cls(content, styles, tuple(given.get(color, color) for color in colors))

    @classmethod
    def from_labels(
        cls, content_labels: Tensor, style_labels: Sequence[Tensor], names: Sequence[str] | None = None
    ) -> Self:
        """Maps of class numbers: every class of the photo is a region, and the same class in a painting its style.

        Args:
            content_labels: (H, W), whole numbers of at least 0.
            style_labels: such a map for each painting.
            names: of all classes, names[k] for class k; "class 0", "class 1", … by default.

        Raises:
            ValueError: not such maps, a class without a name, or a class of the photo that no painting has.

        >>> photo, painting = torch.tensor([[0, 0], [2, 2]]), torch.tensor([[2, 1, 0]])
        >>> regions = Regions.from_labels(photo, [painting], ["sky", "tree", "water"])
        >>> regions.names, regions.styles[0].tolist()
        (('sky', 'water'), [[[[0.0, 0.0, 1.0]]], [[[1.0, 0.0, 0.0]]]])
        """
        style_labels = [style_labels] if isinstance(style_labels, Tensor) else list(style_labels)
        for labels in (content_labels, *style_labels):
            whole = isinstance(labels, Tensor) and not labels.is_floating_point() and not labels.is_complex()
            if not whole or labels.ndim != 2 or labels.numel() == 0 or int(labels.min()) < 0:
                raise ValueError(f"labels must be (H, W) whole numbers of at least 0, got {_what(labels)}")
        classes = content_labels.unique().tolist()
        found = {k for labels in style_labels for k in labels.unique().tolist()}
        if names is not None and classes[-1] >= len(names):
            raise ValueError(
                f"the photo has class {classes[-1]}, but names has only {len(names)} entries; name every class"
            )
        called = [f"class {k}" if names is None else names[k] for k in classes]
        if missing := [name for k, name in zip(classes, called, strict=True) if k not in found]:
            raise ValueError(
                f"no painting has {', '.join(missing)}; the photo has {', '.join(called)}, the paintings have "
                f"{', '.join(f'class {k}' if names is None or k >= len(names) else names[k] for k in sorted(found))}"
            )
        content, *styles = (
            torch.stack([labels == k for k in classes])[:, None] for labels in (content_labels, *style_labels)
        )
        return cls(content, tuple(styles), tuple(called))

    def at(self, size: Sizes, style_sizes: Sequence[Sizes]) -> Self:
        """The regions for pictures of other sizes: each value is the mean over the area of the new pixel.

        A mean is never 0 where the region was, but a dot or a thin line becomes faint. If the largest value of a region
        falls below half of what it was, all its values there are multiplied so that the largest one stays.

        Args:
            size: (H, W) of the photo.
            style_sizes: (h, w) of each painting.

        Raises:
            ValueError: the sizes are not one for each painting, or a size has other proportions than its mask, such as
                an upright size for a wide mask.
        """
        if len(style_sizes) != len(self.styles):
            raise ValueError(f"these regions are for {len(self.styles)} paintings, got the sizes of {len(style_sizes)}")
        styles = (
            _resized(masks, wanted, f"painting {k}")
            for k, (masks, wanted) in enumerate(zip(self.styles, style_sizes, strict=True), start=1)
        )
        return type(self)(_resized(self.content, size, "the photo"), tuple(styles), self.names)

    def to(self, device: torch.device | str) -> Self:
        """The regions on another device."""
        return type(self)(self.content.to(device), tuple(masks.to(device) for masks in self.styles), self.names)


def feathered(masks: Tensor, width: int) -> Tensor:
    """Masks with soft borders: averages over a window whose weights fall linearly from the middle.

    The sum of all masks is averaged in the same way: where it was 1 everywhere, it stays 1 everywhere. Beyond the edge
    of the picture, a mask keeps the value it has at the edge.

    Args:
        masks: (R, 1, H, W) in [0, 1].
        width: how many pixels become soft on each side of a straight border; 0 changes nothing.

    Returns:
        (R, 1, H, W) float32 in [0, 1].

    Raises:
        ValueError: not masks, or a width that is not a whole number of at least 0.

    >>> feathered(torch.tensor([0.0, 0, 1, 1]).view(1, 1, 1, 4), 1).tolist()
    [[[[0.0, 0.25, 0.75, 1.0]]]]
    """
    masks, width = checked_masks(masks, "masks"), arguments.whole("width", width)
    weights = width + 1 - torch.arange(-width, width + 1, device=masks.device, dtype=torch.float32).abs()
    weights /= weights.sum()
    for kernel, padding in (
        (weights.view(1, 1, 1, -1), (width, width, 0, 0)),
        (weights.view(1, 1, -1, 1), (0, 0, width, width)),
    ):
        masks = F.conv2d(F.pad(masks, padding, mode="replicate"), kernel)
    return masks.clamp(0, 1)


def checked_masks(masks: object, what: str) -> Tensor:
    """Masks as float32 without a gradient.

    Args:
        masks: (R, 1, H, W) in [0, 1], of any type of numbers, or bool.
        what: their name in the message.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(masks, Tensor) or masks.ndim != 4 or masks.shape[1] != 1 or masks.numel() == 0:
        raise ValueError(f"{what} must be a tensor (R, 1, H, W), one for each region, got {_what(masks)}")
    check_mask_values(masks, what)
    return masks.detach().float()


def check_mask_values(masks: Tensor, what: str = "masks") -> None:
    """Refuse values outside [0, 1], and NaN.

    Raises:
        ValueError: such values.
    """
    if not bool(((masks >= 0) & (masks <= 1)).all()):  # false for NaN
        raise ValueError(f"{what} must have values from 0, outside the region, to 1, inside; divide 0..255 by 255")


def _resized(masks: Tensor, size: Sizes, what: str) -> Tensor:
    height, width = (arguments.whole("a side", side, 1) for side in size)
    old_height, old_width = masks.shape[-2:]
    if (old_height, old_width) == (height, width):
        return masks
    if (old_height, old_width) == (1, 1):
        return masks.expand(-1, -1, height, width)
    scale = max(height / old_height, width / old_width)
    slack = _ROUNDING * max(1.0, scale)
    if abs(height - scale * old_height) > slack or abs(width - scale * old_width) > slack:
        raise ValueError(
            f"{what} is {width} px wide and {height} px high, its mask {old_width} by {old_height}: another shape; "
            "make the mask from this picture, or crop both in the same way"
        )
    means = F.interpolate(masks, (height, width), mode="area")
    for before, after in zip(masks, means, strict=True):
        if after.max() < before.max() / 2:
            after *= before.max() / after.max()
    return means


def _stacked(masks: Tensor | Sequence[Tensor]) -> Tensor:
    if isinstance(masks, Tensor):
        return checked_masks(masks, "the content masks")
    if not isinstance(masks, Sequence) or not masks:
        raise ValueError(
            f"the content masks must be a tensor (R, 1, H, W), or R masks (1, 1, H, W), got {_what(masks)}"
        )
    several = [checked_masks(mask, f"content mask {k}") for k, mask in enumerate(masks, start=1)]
    if len({mask.shape for mask in several}) > 1 or len(several[0]) != 1:
        shapes = ", ".join(str(tuple(mask.shape)) for mask in several)
        raise ValueError(f"the content masks must all be (1, 1, H, W) of the photo's size, got {shapes}")
    return torch.cat(several)


def _what(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    return "an empty list" if isinstance(value, list | tuple) and not value else type(value).__name__
