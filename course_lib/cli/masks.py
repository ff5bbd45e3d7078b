"""``--mask`` and ``--style-mask``: which part of the photos takes its style from which part of which painting."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from course_lib.cli.arguments import picture_file
from course_lib.cli.batch import Job
from course_lib.images import ImageError, load_image
from course_lib.masks import Regions
from course_lib.painted_masks import plain_names

_COLOR = re.compile(r"#?([0-9a-f]{6})", re.IGNORECASE)


def mask_files(options: argparse.Namespace) -> list[Path]:
    """The files of ``--mask`` and ``--style-mask``, which a result must not overwrite.

    Raises:
        ImageError: the word after ``--mask`` is neither a file nor a picture of the project.
    """
    own = [] if options.mask is None else [picture_file(options.mask)]
    return own + [file for word in options.style_mask or [] if (file := _file(word)) is not None]


def regions(
    options: argparse.Namespace, paintings: Sequence[Tensor], names: Sequence[str], jobs: Sequence[Job]
) -> Regions | None:
    """The regions that the masks describe; None without ``--mask``.

    Args:
        options: ``mask`` and ``style_mask``: words for painted masks, or colors for whole paintings.
        paintings: each (1, 3, h, w), with its `names`.
        jobs: the photos, which must have the shape of their mask.

    Raises:
        ImageError: a mask that cannot be read.
        ValueError: no painted masks, not one for each painting, a color without a counterpart, another shape.
    """
    if options.mask is None:
        if options.style_mask:
            raise ValueError("--style-mask has no effect without --mask; add the mask of the photo, or leave it out")
        return None
    mask = load_image(picture_file(options.mask))
    colors = _described(mask)
    words = options.style_mask or []
    if len(words) != len(names):
        each = f"one for each of the {len(names)} paintings ({', '.join(names)})" if len(names) > 1 else "one"
        raise ValueError(
            f"--mask also needs --style-mask, {each}, and got {len(words) or 'none'}; give a mask in the same colors "
            f"or, for a whole painting, the color of its region: {_listed(colors)}"
        )
    made = Regions.from_colors(mask, [_style_mask(word, options.mask, colors) for word in words], names=colors)
    sizes = [(painting.shape[-2], painting.shape[-1]) for painting in paintings]
    for job in jobs:
        try:
            height, width = load_image(job.source).shape[-2:]
        except (ValueError, OSError):
            continue  # it is reported when its turn comes
        try:
            made.at((height, width), sizes)
        except ValueError as error:
            raise ValueError(f"{job.source}: {error}" if len(jobs) > 1 else str(error)) from None
    return made


def of_whole_paintings(regions: Regions, names: Sequence[str]) -> list[int]:
    """The number of each painting's region, where a painting has one region and gives it its style as a whole.

    Raises:
        ValueError: a painting with a mask of its own.
    """
    for masks, name in zip(regions.styles, names, strict=True):
        if masks.shape[-2:] != (1, 1):
            raise ValueError(
                f"AdaIN takes its style from whole paintings, and {name} has a mask; name one of the colors "
                f"{', '.join(regions.names)} after --style-mask, or leave --method adain out"
            )
    return [int(masks.flatten().argmax()) for masks in regions.styles]


def _described(mask: Tensor) -> dict[str, str]:
    """The colors of the photo's mask as codes, and what the regions are called: by a plain name that only one has."""
    codes = Regions.from_colors(mask, [mask]).names
    plain = plain_names(torch.cat([_solid(code).flatten(1) for code in codes]))
    return {code: name if plain.count(name) == 1 else code for code, name in zip(codes, plain, strict=True)}


def _listed(colors: dict[str, str]) -> str:
    return ", ".join(name if name == code else f"{name} ({code})" for code, name in colors.items())


def _file(word: str) -> Path | None:
    """The file that a word after ``--style-mask`` means; None: it is a color, or a mistake."""
    try:
        return picture_file(word)
    except ImageError:
        return None


def _style_mask(word: str, mask: str, colors: dict[str, str]) -> Tensor | Path:
    """A painted mask or, where a word means a color, the mask of a whole painting."""
    if (file := _file(word)) is not None:
        return file
    code = _COLOR.fullmatch(word)
    meant = f"#{code[1].lower()}" if code else next((c for c, name in colors.items() if name == word.lower()), "")
    if meant in colors:
        return _solid(meant)
    raise ValueError(f"there is no file {word}, and {mask} has no such color; it has {_listed(colors)}")


def _solid(code: str) -> Tensor:
    """A picture of one pixel, (1, 3, 1, 1)."""
    return torch.tensor([int(code[k : k + 2], 16) / 255 for k in (1, 3, 5)]).view(1, 3, 1, 1)
